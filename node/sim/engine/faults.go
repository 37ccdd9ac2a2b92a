package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Fault names something that may go wrong.
type Fault int

// The faults. What each figure counts stands in the table below.
const (
	Loss Fault = iota
	Duplicate
	Reorder
	Spike
	LateElection
	FormerLife
	Cut
	Partition
	LeaderCut
	Crash
	PowerLoss
	Restart
	Pause
	ClockDrift
	ClockJump
	LateTask
	WriteError
	SyncError
	Stall
	SlowDisk
	TornWrite
	BitFlip
	LostDisk
	Transfer
	Halt
	Suspend
	Cancel
	ReadError
	LostDisks
	LateStart
	StateError
	SlowState
	Away
	FullDisk
	Forge
	ForgeCommitted
	SpoiledState
	DamagedState
	faultCount
)

// occasion is what a fault's figure is a chance of.
type occasion string

const (
	perMessage  occasion = "per message"
	perElection occasion = "per message of an election"
	perSecond   occasion = "per simulated second"
	perStep     occasion = "per step of a node"
	perStart    occasion = "per start of a node"
	perSave     occasion = "per save"
	perCrash    occasion = "per crash"
	perTask     occasion = "per time that a task could go on"
	perCall     occasion = "per call of a client or a peer"
	perMachine  occasion = "per node of a chapter"
	perRead     occasion = "per read of the disk at a start"
)

// catalogue has the name of each fault, what it does, and between which figures a seed draws it, evenly on
// a scale of logarithms. longest bounds how long it lasts, for those that last.
var catalogue = [faultCount]struct {
	name    string
	words   string
	of      occasion
	low     float64
	high    float64
	longest time.Duration
}{
	Loss:         {"loss", "a message is lost", perMessage, 0.002, 0.25, 0},
	Duplicate:    {"duplicate", "a request arrives twice", perMessage, 0.002, 0.15, 2 * time.Second},
	Reorder:      {"reorder", "a message overtakes others", perMessage, 0.01, 0.5, 20 * time.Millisecond},
	Spike:        {"spike", "a message takes long", perMessage, 0.001, 0.05, 3 * time.Second},
	LateElection: {"late-election", "a message of an election takes long", perElection, 0.01, 0.3, 3 * time.Second},
	FormerLife:   {"former-life", "an answer finds its asker in another life", perMessage, 0.05, 1, 0},
	Cut:          {"cut", "one direction of a link is cut", perSecond, 0.05, 2, 4 * time.Second},
	Partition:    {"partition", "the nodes fall into two groups", perSecond, 0.05, 1, 6 * time.Second},
	LeaderCut:    {"leader-cut", "the leader is cut off", perSecond, 0.05, 1, 4 * time.Second},
	Crash:        {"crash", "a node is killed between two steps", perStep, 0.00002, 0.002, 3 * time.Second},
	PowerLoss:    {"power-loss", "all nodes are killed at once", perSecond, 0.01, 0.3, time.Second},
	Restart:      {"restart", "a node is stopped in order, and comes back", perSecond, 0.02, 0.5, 2 * time.Second},
	Pause:        {"pause", "a process is stopped and goes on later", perSecond, 0.05, 1, 3 * time.Second},
	ClockDrift:   {"clock-drift", "a clock runs fast or slow", perStart, 0.1, 0.8, 0},
	ClockJump:    {"clock-jump", "a wall clock jumps", perSecond, 0.05, 1, time.Hour},
	LateTask:     {"late-task", "a goroutine runs late", perTask, 0.0005, 0.05, 50 * time.Millisecond},
	WriteError:   {"write-error", "a write to the disk fails", perSave, 0.0001, 0.01, 0},
	SyncError:    {"sync-error", "an fsync fails", perSave, 0.0001, 0.01, 0},
	Stall:        {"stall", "the disk hangs", perSave, 0.0002, 0.01, 3 * time.Second},
	SlowDisk:     {"slow-disk", "a save is slow", perSave, 0.005, 0.3, 40 * time.Millisecond},
	TornWrite:    {"torn-write", "the last write is half there", perCrash, 0.1, 1, 0},
	BitFlip:      {"bit-flip", "a bit on the disk flips", perCrash, 0.01, 0.3, 0},
	LostDisk:     {"lost-disk", "the disk comes back empty", perCrash, 0.01, 0.3, 0},
	Transfer:     {"transfer", "a client orders a leadership transfer", perSecond, 0.05, 1, 0},
	Halt:         {"halt", "a process stops between two steps; its clock jumps", perStep, 0.00001, 0.001, time.Minute},
	Suspend:      {"suspend", "a machine sleeps, and its clock stands still", perSecond, 0.02, 0.5, time.Minute},
	Cancel:       {"cancel", "a caller gives up in the middle of a call", perCall, 0.005, 0.2, 2 * time.Second},
	ReadError:    {"read-error", "the disk cannot be read at a start", perRead, 0.01, 0.3, 0},
	LostDisks:    {"lost-disks", "a power failure takes several disks with it", perSecond, 0.01, 0.3, 20 * time.Second},
	LateStart:    {"late-start", "a node first starts when others have worked", perMachine, 0.05, 0.6, 30 * time.Second},
	StateError:   {"state-error", "a write of state.db or a snapshot fails", perSave, 0.0005, 0.03, 0},
	SlowState:    {"slow-state", "a checkpoint is slow", perSave, 0.01, 0.5, 10 * time.Second},
	Away:         {"away", "a node is killed and stays down for long", perSecond, 0.02, 0.4, 15 * time.Second},
	FullDisk:     {"full-disk", "a disk has little room left", perSecond, 0.05, 0.6, 8 * time.Second},
	DamagedState: {"damaged-state", "state.db is damaged, and a start finds it", perCrash, 0.02, 0.5, 0},
	// No seed draws the forgeries, and those of the state.
	Forge:          {"forge", "an append is changed on its way, or one is invented", perMessage, 0, 0, 0},
	ForgeCommitted: {"forge-committed", "the same, in an append of which every entry is committed", perMessage, 0, 0, 0},
	SpoiledState:   {"spoiled-state", "a value in state.db changes, and its checksums with it", perCrash, 0, 0, 0},
}

// String returns the fault's name.
func (f Fault) String() string { return catalogue[f].name }

// Longest bounds how long the fault lasts, if it lasts.
func (f Fault) Longest() time.Duration { return catalogue[f].longest }

// AllFaults lists every fault there is.
func AllFaults() []Fault {
	all := make([]Fault, faultCount)
	for i := range all {
		all[i] = Fault(i)
	}
	return all
}

// FaultNamed finds a fault by its name.
func FaultNamed(name string) (Fault, error) {
	var names []string
	for f := range faultCount {
		if f.String() == name {
			return f, nil
		}
		names = append(names, f.String())
	}
	return 0, fmt.Errorf("there is no fault %q; the faults are %s", name, strings.Join(names, ", "))
}

// Mix is how often each fault happens: a chance between 0 and 1 on each occasion, or for those that count by the
// second their mean number per simulated second. 0: never.
type Mix [faultCount]float64

// isDrawnApart reports whether DrawApart draws it.
func (f Fault) isDrawnApart() bool { return f == FullDisk || f == DamagedState }

// DrawMix draws a mix of its own for a seed (swarm testing, Groce et al. 2012): what happens always hides what
// happens only without it.
func DrawMix(rng *rand.Rand) Mix {
	var m Mix
	share := rng.Float64() // of the faults that take part
	for f := range m {
		if catalogue[f].high == 0 || Fault(f).isDrawnApart() {
			continue // only a person asks for it, or it is drawn apart
		}
		takesPart, at := rng.Float64() < share, rng.Float64()
		if takesPart {
			low, high := math.Log(catalogue[f].low), math.Log(catalogue[f].high)
			m[f] = math.Exp(low + at*(high-low))
		}
	}
	return m
}

// Happens reports whether a fault takes place on this occasion.
func (m *Mix) Happens(rng *rand.Rand, f Fault) bool { return m[f] > 0 && rng.Float64() < m[f] }

// Lasts draws how long a fault lasts: evenly on a scale of logarithms, because a moment finds other bugs than an hour.
func (m *Mix) Lasts(rng *rand.Rand, f Fault) time.Duration { return lasts(rng, catalogue[f].longest) }

func lasts(rng *rand.Rand, longest time.Duration) time.Duration {
	const scale = 1000
	return time.Duration(float64(longest) * math.Pow(scale, rng.Float64()-1))
}

// Next draws how long it is until a fault that counts by the second happens again.
func (m *Mix) Next(rng *rand.Rand, f Fault) time.Duration {
	return time.Duration(rng.ExpFloat64() / m[f] * float64(time.Second))
}

// String lists what can happen, as raftsim prints it and takes it.
func (m *Mix) String() string { return m.Text(3) }

// Text lists what can happen, with so many digits; all of them if negative.
func (m *Mix) Text(digits int) string {
	var parts []string
	for f, figure := range m {
		if figure > 0 {
			parts = append(parts, Fault(f).String()+"="+strconv.FormatFloat(figure, 'g', digits, 64))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ",")
}

// ParseMix reads a mix as Mix.String prints it: "loss=0.1,crash=0.001", or "none".
func ParseMix(text string) (Mix, error) {
	var m Mix
	if text == "none" {
		return m, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, figure, found := strings.Cut(part, "=")
		if !found {
			return m, fmt.Errorf("%q should be a fault and its figure, such as loss=0.1", part)
		}
		f, err := FaultNamed(name)
		if err != nil {
			return m, err
		}
		if m[f], err = strconv.ParseFloat(figure, 64); err != nil {
			return m, fmt.Errorf("%q should be a fault and its figure, such as loss=0.1: %w", part, err)
		}
		if err := f.check(m[f]); err != nil {
			return m, err
		}
	}
	return m, nil
}

// check returns an error if a figure is invalid for a fault. What counts by the second may happen often, but not so
// often that nothing else does.
func (f Fault) check(figure float64) error {
	most := 1.0
	if catalogue[f].of == perSecond {
		most = 1000
	}
	if figure >= 0 && figure <= most { // false for what is no number
		return nil
	}
	return fmt.Errorf("%v is %v; it counts %s, and must be from 0 to %v", f, figure, catalogue[f].of, most)
}
