package api

// Alarm is a condition of a node that needs the attention of a person. It is part of the status while it lasts.
type Alarm struct {
	Name  AlarmName  `json:"alarm"`
	Level AlarmLevel `json:"level"`
	// Message is a sentence that begins with a verb, of which the node is the subject.
	Message string `json:"message"`
	SinceMs int64  `json:"since_ms"` // Unix milliseconds, on that node's clock: when it reached its level
}

// AlarmName identifies an alarm.
type AlarmName string

// The alarms.
const (
	AlarmQuota AlarmName = "quota" // live bytes against --quota-bytes: warning, exceeded
	AlarmDisk  AlarmName = "disk"  // free space against --disk-reserve-bytes: low, full
	AlarmState AlarmName = "state" // the state is not that of the other members, or damaged on the disk: warning, differs
	// AlarmMembers is raised by a leader: members whose disk was lost must be replaced: warning.
	AlarmMembers AlarmName = "members"
)

// AlarmNames lists every alarm, in the order of a status.
var AlarmNames = []AlarmName{AlarmQuota, AlarmDisk, AlarmState, AlarmMembers}

// AlarmLevel is how far a condition goes.
type AlarmLevel string

// The levels.
const (
	AlarmCleared  AlarmLevel = ""         // in an event: the condition has ended; no alarm of a status has it
	AlarmWarning  AlarmLevel = "warning"  // everything works
	AlarmExceeded AlarmLevel = "exceeded" // what adds bytes is refused
	AlarmLow      AlarmLevel = "low"      // what adds bytes is refused
	AlarmFull     AlarmLevel = "full"     // the node takes nothing
	AlarmDiffers  AlarmLevel = "differs"  // the node serves nothing
)

// Severity returns 0 for a cleared alarm, 1 for a warning and 2 for every other level.
func (l AlarmLevel) Severity() int {
	switch l {
	case AlarmCleared:
		return 0
	case AlarmWarning:
		return 1
	}
	return 2
}
