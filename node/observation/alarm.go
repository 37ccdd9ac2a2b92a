package observation

import (
	"fmt"
	"slices"
	"sync"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/plaintext"
)

// alarms are the conditions of this node that last. Any goroutine may use them.
type alarms struct {
	mu     sync.Mutex
	raised []api.Alarm // in the order of api.AlarmNames
}

// SetAlarm sets the level of an alarm of this node; api.AlarmCleared ends it. A change of the level is an event and a
// line in the log. Another message at the same level only replaces the message.
func (o *Observation) SetAlarm(name api.AlarmName, level api.AlarmLevel, message string) {
	now := api.Alarm{Name: name, Level: level, Message: message, SinceMs: o.cfg.Now().UnixMilli()}
	if !o.alarms.set(now) {
		return
	}
	o.Record(api.Event{
		Kind: api.EventAlarm, Term: uint64(o.cfg.Term()), Alarm: name, Level: level, Reason: message,
	})
	args := []any{"node", o.cfg.Self().ID, "alarm", name, "level", level, "message", message}
	if level == api.AlarmCleared {
		o.cfg.Logger.Info("an alarm is cleared", args...)
		return
	}
	o.cfg.Logger.Warn("an alarm is raised", args...)
}

// Alarms returns the alarms of this node.
func (o *Observation) Alarms() []api.Alarm {
	o.alarms.mu.Lock()
	defer o.alarms.mu.Unlock()
	return slices.Clone(o.alarms.raised)
}

// set records an alarm, and reports whether its level is another one than before.
func (a *alarms) set(now api.Alarm) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, found := slices.BinarySearchFunc(a.raised, now.Name, func(have api.Alarm, name api.AlarmName) int {
		return slices.Index(api.AlarmNames, have.Name) - slices.Index(api.AlarmNames, name)
	})
	switch {
	case !found && now.Level == api.AlarmCleared:
		return false
	case !found:
		a.raised = slices.Insert(a.raised, at, now)
		return true
	case now.Level == api.AlarmCleared:
		a.raised = slices.Delete(a.raised, at, at+1)
		return true
	case a.raised[at].Level == now.Level:
		now.SinceMs = a.raised[at].SinceMs
		a.raised[at] = now
		return false
	}
	a.raised[at] = now
	return true
}

// acceptAlarms returns a copy of the alarms that a member reports, with plain texts, and none twice.
func acceptAlarms(reported []api.Alarm) []api.Alarm {
	var accepted alarms
	for _, alarm := range reported {
		if !slices.Contains(api.AlarmNames, alarm.Name) || alarm.Level == api.AlarmCleared {
			continue
		}
		alarm.Level = api.AlarmLevel(plaintext.Of(string(alarm.Level)))
		alarm.Message = plaintext.Bounded(alarm.Message, maxSentence)
		alarm.SinceMs = min(max(alarm.SinceMs, 0), maxForeignNumber)
		accepted.set(alarm)
	}
	return accepted.raised
}

// alarmReasons returns a sentence for each alarm of a member, and whether one of them is more than a warning.
func alarmReasons(s *api.NodeStatus) (sentences []string, severe bool) {
	for _, alarm := range s.Alarms {
		sentences = append(sentences, fmt.Sprintf("node %d %s", s.ID, alarm.Message))
		severe = severe || alarm.Level.Severity() > 1
	}
	return sentences, severe
}
