package observation

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// An alarm is an event when its level changes, and only then: a message may change at every tick.
func TestAnAlarmIsAnEventWhenItsLevelChanges(t *testing.T) {
	t.Parallel()
	r, _ := recorder(t)
	o, cursor := r.observation, uint64(0)
	event := func(name api.AlarmName, level api.AlarmLevel, message string) api.Event {
		return api.Event{Kind: api.EventAlarm, Term: uint64(o.cfg.Term()), Alarm: name, Level: level, Reason: message}
	}
	o.SetAlarm(api.AlarmDisk, api.AlarmCleared, "has room")
	wantEvents(t, r, &cursor)
	o.SetAlarm(api.AlarmDisk, api.AlarmLow, "has 5 MiB")
	o.SetAlarm(api.AlarmQuota, api.AlarmWarning, "uses 80%")
	wantEvents(t, r, &cursor, event(api.AlarmDisk, api.AlarmLow, "has 5 MiB"),
		event(api.AlarmQuota, api.AlarmWarning, "uses 80%"))
	since := o.Alarms()[0].SinceMs
	o.SetAlarm(api.AlarmQuota, api.AlarmWarning, "uses 81%")
	wantEvents(t, r, &cursor)
	want := []api.Alarm{
		{Name: api.AlarmQuota, Level: api.AlarmWarning, Message: "uses 81%", SinceMs: since},
		{Name: api.AlarmDisk, Level: api.AlarmLow, Message: "has 5 MiB", SinceMs: since},
	}
	if got := o.Alarms(); got[0].SinceMs < since || !sameAlarms(got, want) {
		t.Errorf("the alarms are %+v, want %+v", got, want)
	}
	o.SetAlarm(api.AlarmQuota, api.AlarmExceeded, "uses all")
	o.SetAlarm(api.AlarmQuota, api.AlarmCleared, "uses 10%")
	o.SetAlarm(api.AlarmDisk, api.AlarmCleared, "has room")
	wantEvents(t, r, &cursor, event(api.AlarmQuota, api.AlarmExceeded, "uses all"),
		event(api.AlarmQuota, api.AlarmCleared, "uses 10%"), event(api.AlarmDisk, api.AlarmCleared, "has room"))
	if got := o.Alarms(); len(got) != 0 {
		t.Errorf("all are cleared, and the alarms are %+v", got)
	}
}

// sameAlarms compares alarms but for their times.
func sameAlarms(a, b []api.Alarm) bool {
	untimed := func(alarms []api.Alarm) []api.Alarm {
		alarms = slices.Clone(alarms)
		for i := range alarms {
			alarms[i].SinceMs = 0
		}
		return alarms
	}
	return reflect.DeepEqual(untimed(a), untimed(b))
}

func TestTheAlarmsOfAMemberAreChecked(t *testing.T) {
	t.Parallel()
	got := acceptAlarms([]api.Alarm{
		{Name: api.AlarmState, Level: "le\x1bvel", Message: strings.Repeat(nasty, 1000), SinceMs: -5},
		{Name: nasty, Level: api.AlarmLow},
		{Name: api.AlarmQuota},
		{Name: api.AlarmDisk, Level: api.AlarmLow, Message: "first"},
		{Name: api.AlarmDisk, Level: api.AlarmLow, Message: "last", SinceMs: 1 << 60},
	})
	if len(got) != 2 || got[0].Name != api.AlarmDisk || got[0].Message != "last" || got[1].SinceMs != 0 {
		t.Errorf("accepted are %.200v", got)
	}
	if len(got[1].Message) > maxSentence || strings.Contains(string(got[1].Level), "\x1b") {
		t.Errorf("a text is too long or not plain: %.100q %q", got[1].Message, got[1].Level)
	}
}

func TestTheVerdictNamesAlarms(t *testing.T) {
	t.Parallel()
	for level, state := range map[api.AlarmLevel]api.HealthState{
		api.AlarmWarning: api.Healthy, api.AlarmExceeded: api.Degraded, api.AlarmLow: api.Degraded,
	} {
		h := judgeHealth(clusterOf(3, func(c *api.ClusterStatus) {
			c.Nodes[1].Alarms = []api.Alarm{{Name: api.AlarmQuota, Level: level, Message: "uses 1 MiB"}}
		}))
		if h.State != state || !slices.Contains(h.Reasons, "node 2 uses 1 MiB") {
			t.Errorf("at %s the verdict is %s: %q", level, h.State, h.Reasons)
		}
	}
}
