package node

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// What a peer says of itself becomes part of pages, headers, logs and terminals, so it is checked once, where it comes
// in.

// maxText bounds a text that a peer tells, in bytes.
const maxText = 256

// maxSentence bounds a sentence that a peer tells, in bytes: it may name some members with their addresses.
const maxSentence = 1024

// maxForeignNumber bounds the terms and indexes that a peer tells: every JSON tool reads integers up to here exactly,
// and no cluster runs long enough to have larger ones.
const maxForeignNumber = 1 << 53

// PlainText returns foreign text as it may stand in a log, a header or on a terminal: at most 256 bytes, and U+FFFD in
// place of each character that is not printed as itself.
func PlainText(text string) string { return plainText(text, maxText) }

// plainText is PlainText for at most so many bytes.
func plainText(text string, most int) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text[:min(len(text), most)])
	if len(plain) <= most {
		return plain
	}
	return strings.Clone(strings.ToValidUTF8(plain[:most], ""))
}

// believable returns what a member told of itself as far as it may be shown, or an error if it cannot be that member's
// status.
func (n *Node) believable(m identity.Member, s api.Status) (api.Status, error) {
	who := n.self()
	isEmpty := s.LifeCycle == api.StateEmpty
	switch {
	case s.ID != uint64(m.ID) && (s.ID != 0 || !isEmpty):
		return api.Status{}, fmt.Errorf("it says that it is node %d", s.ID)
	case s.ClusterID != who.ClusterID && !isEmpty:
		return api.Status{}, fmt.Errorf("it says that it belongs to cluster %q", PlainText(s.ClusterID))
	}
	for _, number := range []uint64{s.CurrentTerm, s.CommitIndex, s.LastApplied, s.LastLogIndex, s.FirstIndex} {
		if number > maxForeignNumber {
			return api.Status{}, fmt.Errorf("it tells a term or an index of %d, and none is above 2^53", number)
		}
	}
	told := s.APIAddress
	s.Address, s.APIAddress = m.Address, n.apiAddress(m, told)
	if s.APIAddress == "" && told != "" {
		n.observer.warnOnce(m, told)
	}
	s.LifeCycle = api.LifeCycle(PlainText(string(s.LifeCycle)))
	s.ClusterID, s.Version = PlainText(s.ClusterID), PlainText(s.Version)
	s.Notice, s.Mismatch = plainText(s.Notice, maxSentence), plainText(s.Mismatch, maxSentence)
	s.State, s.Reason = PlainText(s.State), PlainText(s.Reason)
	for _, q := range []*api.Quantiles{&s.Latency.Write, &s.Latency.Read, &s.Latency.Fsync} {
		q.Buckets = q.Buckets[:min(len(q.Buckets), maxBuckets)]
	}
	s.NextIndex, s.MatchIndex = ofMembers(s.NextIndex, who.Members), ofMembers(s.MatchIndex, who.Members)
	s.Progress = ofMembers(s.Progress, who.Members)
	for id, p := range s.Progress {
		p.State = PlainText(p.State)
		s.Progress[id] = p
	}
	s.Founders = PlainText(s.Founders)
	s.Founding = believableFounding(s.Founding, who.Members)
	s.SeenMembers = slices.Clone(s.SeenMembers[:min(len(s.SeenMembers), identity.MaxMembers)])
	return s, nil
}

// maxBuckets is more than a histogram of this program has.
const maxBuckets = 64

// ofMembers returns a copy of a map without what is not about a member.
func ofMembers[T any](told map[uint64]T, members []identity.Member) map[uint64]T {
	var known map[uint64]T
	for _, m := range members {
		if value, ok := told[uint64(m.ID)]; ok {
			if known == nil {
				known = map[uint64]T{}
			}
			known[uint64(m.ID)] = value
		}
	}
	return known
}

// warnOnce says that a member's API address is not believed, and what would make it so.
func (o *observer) warnOnce(m identity.Member, told string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.warned[m.ID] {
		return
	}
	o.warned[m.ID] = true
	o.node.cfg.Logger.Warn("a member tells an API address on a host that is not its peer address's; pages and clients are"+
		" not sent there. Allow the host (--allowed-host), or correct its --advertise-api", "member", m.ID,
		"api_address", PlainText(told), "address", m.Address)
}

// apiAddress is where the API of a member is: pages are sent there, and may read from here if they come from there. The
// configuration says it. Where it does not, as in a static start, the member tells it; but not on which host: only on
// that of its peer address, or on one that this node was told to trust.
func (n *Node) apiAddress(m identity.Member, told string) string {
	u, err := address.Base(told, "http", "https")
	if m.APIAddress != "" || err != nil {
		return m.APIAddress
	}
	host := address.HostOf(u.Host)
	for _, trusted := range append([]string{m.Address, n.cfg.APIAddress}, n.cfg.APIHosts...) {
		if own, err := url.Parse(trusted); err == nil && own.Host != "" {
			trusted = own.Host
		}
		if address.HostOf(trusted) == host {
			return u.Scheme + "://" + u.Host
		}
	}
	return ""
}
