package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// memberAnswer is the output of a change of the members.
type memberAnswer struct {
	Before api.MembersView `json:"before"`
	After  api.MembersView `json:"after"`
	Added  []uint64        `json:"added,omitempty"`
}

// printChange prints the members before and after a change; raw: the ids that were added, else the index of the
// configuration.
func (p *program) printChange(a *memberAnswer) error {
	raw := fmt.Sprintln(a.After.Index)
	if len(a.Added) > 0 {
		raw = ""
		for _, id := range a.Added {
			raw += fmt.Sprintln(id)
		}
	}
	return p.printValue(a, memberTable("before: ", &a.Before)+"\n"+memberTable("after: ", &a.After), raw)
}

// memberTable returns the members as a table, under a title with the index of their configuration.
func memberTable(title string, view *api.MembersView) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%sconfiguration %d\n", title, view.Index)
	t := table{right: []bool{false, true}}
	t.add("", "ID", "ROLE", "ADDRESS", "API", "PROGRESS")
	for _, m := range view.Members {
		mark, progress := "", ""
		if m.ID == view.LeaderID {
			mark = "*"
		}
		if m.Role == api.RoleLearner {
			progress = progressText(progressOf(view, m.ID))
			if m.AutoPromote {
				progress += "; then a voter"
			}
		}
		t.add(mark, fmt.Sprint(m.ID), m.Role, m.Address, dash(m.APIAddress), progress)
	}
	t.render(&b)
	return b.String()
}

// progressOf returns what the leader records of a learner; nil: it is not known.
func progressOf(view *api.MembersView, id uint64) *api.LearnerProgress {
	if p, known := view.Progress[id]; known {
		return &p
	}
	return nil
}

// progressText describes how far a learner is.
func progressText(p *api.LearnerProgress) string {
	switch {
	case p == nil:
		return "not known"
	case p.Unreachable:
		return "no answer for " + age(time.Duration(p.AckAgeMs)*time.Millisecond)
	case p.CaughtUp:
		return "caught up"
	case p.State == "snapshot":
		return "receives a snapshot"
	case p.Lag == 1:
		return "1 entry behind"
	}
	return grouped(p.Lag) + " entries behind"
}

// notAMember returns the failure of a command about a node that is no member.
func notAMember(id uint64, view *api.MembersView) error {
	return &failure{
		code: exitUsage, message: fmt.Sprintf("node %d is not a member; members: %s", id, idsOf(view)),
		hints: []string{"see: raftctl member list"},
	}
}

func idsOf(view *api.MembersView) string {
	var ids []string
	for _, m := range view.Members {
		ids = append(ids, fmt.Sprint(m.ID))
	}
	return strings.Join(ids, ", ")
}

// explainChange adds to the error of a change of the members what to do about it.
func (p *program) explainChange(
	c *client.Client, before *api.MembersView, change *api.MemberChange, err error,
) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	f := &failure{code: exitCode(e.Code), message: e.Message, cause: e}
	switch e.Code {
	case api.CodeConflict:
		f.hints = append(f.hints, conflictHint(e, change))
	case api.CodeInvalid:
		f.hints = append(f.hints, badChangeHints(before, change)...)
	case api.CodeOutcomeUnknown:
		explained := p.explain(c, "", err)
		if errors.As(explained, &f) {
			f.hints = append(f.hints, "see what became of it before you repeat it: raftctl member list")
		}
		return explained
	default:
		return p.explain(c, "", err)
	}
	return f
}

// conflictHint returns what to do if the leader refuses a change for now.
func conflictHint(e *api.Error, change *api.MemberChange) string {
	expected := change.ExpectedConfigIndex
	switch {
	case e.Config != nil && expected != nil && e.Config.Index != *expected:
		return fmt.Sprintf("nothing was done; the members are those of configuration %d now: look at them, and decide "+
			"again: raftctl member list", e.Config.Index)
	case change.Force:
		return "nothing was done; look at the members, and repeat it later: raftctl member list"
	}
	return "nothing was done; repeat it later, or with --force if too few voters would respond and you accept that"
}

// badChangeHints returns what would be right instead of a change that does not fit the members.
func badChangeHints(before *api.MembersView, change *api.MemberChange) []string {
	hints := []string{"members: " + idsOf(before) + "; see: raftctl member list"}
	for _, added := range change.Add {
		if added.ID != 0 {
			hints = append(hints, "without --id the new member gets the next free id")
		}
		if m := memberAt(before, added.Address); m != nil && !slices.Contains(change.Remove, m.ID) {
			hints = append(hints, fmt.Sprintf("if the disk of member %d was lost: raftctl member replace %d --with %s", m.ID,
				m.ID, m.Address))
		}
	}
	return slices.Compact(hints)
}

// memberAt returns the member at a peer URL; nil: there is none.
func memberAt(view *api.MembersView, peer string) *api.ConfigMember {
	for i := range view.Members {
		if address.HostAndPort(view.Members[i].Address) == address.HostAndPort(peer) {
			return &view.Members[i]
		}
	}
	return nil
}
