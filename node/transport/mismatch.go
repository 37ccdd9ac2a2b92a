package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/plaintext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A static start derives the cluster's id from the list of members, so a wrong entry in one node's list makes another
// cluster. A node that refuses a request for another cluster answers with its own list; the node that is refused
// compares it with its own and names the entries that differ. It is the list of the founding, whatever the members are
// now. The list is no secret: the API serves it to anyone.

// memberWire is a member in the list of a refusal.
type memberWire struct {
	ID      raft.NodeID `json:"id"`
	Address string      `json:"address"`
}

// appendRefusal appends the body of a refusal.
func appendRefusal(dst []byte, no *refusal) []byte {
	dst = appendError(dst, no.code, no.message)
	if len(no.members) == 0 {
		return dst
	}
	list := make([]memberWire, len(no.members))
	for i, m := range no.members {
		list[i] = memberWire{m.ID, m.Address}
	}
	text, err := json.Marshal(list)
	if err != nil { // numbers and strings always marshal
		return dst
	}
	dst = append(dst[:len(dst)-len(`}}`)], `,"members":`...)
	return append(append(dst, text...), `}}`...)
}

// readMembers reads the list in a refusal: nil if it is not one that a node may have.
func readMembers(text json.RawMessage) []identity.Member {
	var members []identity.Member
	known := map[raft.NodeID]bool{}
	l := jsontext.List{Name: "members", Take: jsontext.Each(func(w *memberWire) error {
		if w.ID == 0 || known[w.ID] || len(known) == identity.MaxMembers || plaintext.Of(w.Address) != w.Address {
			return errors.New("no member of a list")
		}
		known[w.ID] = true
		members = append(members, identity.Member{ID: w.ID, Address: w.Address})
		return nil
	})}
	if err := l.UnmarshalJSON(text); err != nil || identity.CheckAddresses(members) != nil {
		return nil
	}
	return members
}

// met takes in how an exchange with the peer ended, and returns its error: that of a node with another list of members
// names the entries that differ.
func (p *peer) met(err error) error {
	r := asRefusal(err)
	if err != nil && (r == nil || isDial(err)) { // which does not show who is at the peer's address
		return err
	}
	differs := ""
	founding := p.transport.who.Load().founding
	if r != nil && len(r.members) > 0 && len(founding) > 0 {
		differs = identity.ExactDifference(founding, "its own list", r.members, "the other")
	}
	p.mu.Lock()
	p.differs = differs
	p.mu.Unlock()
	if differs != "" {
		r.mismatch = &identity.ListMismatchError{Text: fmt.Sprintf("node %d has another list of members than member %d: %s",
			p.self, p.member.ID, differs)}
		p.logRefusal(err)
	}
	return err
}

// Mismatch returns in which entries this node's list of members differs from that of a peer which refuses it for that,
// as a sentence that begins with a verb, of which the node is the subject; "" if no peer does.
func (t *Transport) Mismatch() string {
	peers := t.who.Load().peers
	var differs string
	var others []string
	for _, id := range slices.Sorted(maps.Keys(peers)) {
		p := peers[id]
		p.mu.Lock()
		found := p.differs
		p.mu.Unlock()
		if found == "" || differs != "" && found != differs {
			continue
		}
		differs = found
		others = append(others, fmt.Sprint(id))
	}
	switch len(others) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("has another list of members than member %s: %s", others[0], differs)
	}
	return fmt.Sprintf("has another list of members than members %s: %s", strings.Join(others, ", "), differs)
}
