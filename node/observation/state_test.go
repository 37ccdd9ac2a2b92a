package observation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/metrics"
)

// A damaged checkpoint and states that are split share an alarm. The end of one is not that of the other.
func TestTheAlarmOfTheStateHasTwoCauses(t *testing.T) {
	t.Parallel()
	o := observationOf(peers{}, nil)
	r := NewRecorder(o, metrics.New(time.Now, nil))
	damage := errors.New("key k is damaged")
	for _, end := range []func(){r.CheckpointRewritten, r.CheckpointReplaced} {
		r.CheckpointDamaged(damage)
		end()
		if raised := o.Alarms(); len(raised) != 0 {
			t.Errorf("without damage, the alarms are %v", raised)
		}
		r.StatesSplit(7)
		r.CheckpointDamaged(damage)
		end()
		raised := o.Alarms()
		if len(raised) != 1 || raised[0].Name != api.AlarmState || !strings.Contains(raised[0].Message, "entry 7") {
			t.Errorf("while the states are split, the alarms are %v", raised)
		}
		r.CheckpointDamaged(damage)
		r.StatesAgree(8, true)
		if raised := o.Alarms(); len(raised) != 1 {
			t.Errorf("while the checkpoint is damaged, the alarms are %v", raised)
		}
		end()
		if raised := o.Alarms(); len(raised) != 0 {
			t.Errorf("after both, the alarms are %v", raised)
		}
	}
}
