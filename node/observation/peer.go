package observation

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/plaintext"
)

// The status that a member sends becomes part of pages, headers, logs and terminals, so it is checked once, where it
// comes in.

// maxSentence bounds a sentence in a status, in bytes: it may name some members with their addresses.
const maxSentence = 1024

// maxForeignNumber bounds the terms and indexes in a status: every JSON tool reads integers up to here exactly, and no
// cluster runs long enough to have larger ones.
const maxForeignNumber = 1 << 53

// accept returns the status that a member sent as far as it may be shown, or an error if it cannot be that member's.
func (o *Observation) accept(m identity.Member, s api.Status) (api.Status, error) {
	who, members := o.cfg.Self(), o.cfg.Members()
	isEmpty := s.LifeCycle == api.StateEmpty
	switch {
	case s.ID != uint64(m.ID) && (s.ID != 0 || !isEmpty):
		return api.Status{}, fmt.Errorf("it reports to be node %d", s.ID)
	case s.ClusterID != who.ClusterID && !isEmpty:
		return api.Status{}, fmt.Errorf("it reports to belong to cluster %q", plaintext.Of(s.ClusterID))
	}
	for _, number := range []uint64{s.CurrentTerm, s.CommitIndex, s.LastApplied, s.LastLogIndex, s.FirstIndex} {
		if number > maxForeignNumber {
			return api.Status{}, fmt.Errorf("it reports a term or an index of %d, and none is above 2^53", number)
		}
	}
	reported := s.APIAddress
	s.Address, s.APIAddress = m.Address, o.apiAddress(m, reported)
	if s.APIAddress == "" && reported != "" {
		o.warnOnce(m, reported)
	}
	s.LifeCycle = api.LifeCycle(plaintext.Of(string(s.LifeCycle)))
	s.ClusterID, s.Version = plaintext.Of(s.ClusterID), plaintext.Of(s.Version)
	s.Notice, s.Mismatch = plaintext.Bounded(s.Notice, maxSentence), plaintext.Bounded(s.Mismatch, maxSentence)
	s.Alarms = acceptAlarms(s.Alarms)
	s.State, s.Reason = plaintext.Of(s.State), plaintext.Of(s.Reason)
	for _, q := range []*api.Quantiles{&s.Latency.Write, &s.Latency.Read, &s.Latency.Fsync} {
		q.Buckets = q.Buckets[:min(len(q.Buckets), maxBuckets)]
	}
	s.NextIndex, s.MatchIndex = ofMembers(s.NextIndex, members), ofMembers(s.MatchIndex, members)
	s.Progress = ofMembers(s.Progress, members)
	for id, p := range s.Progress {
		p.State = plaintext.Of(p.State)
		s.Progress[id] = p
	}
	s.Founders = plaintext.Of(s.Founders)
	s.Founding = acceptFounding(s.Founding, members)
	s.SeenMembers = slices.Clone(s.SeenMembers[:min(len(s.SeenMembers), identity.MaxMembers)])
	return s, nil
}

// maxBuckets is more than a histogram of this program has.
const maxBuckets = 64

// ofMembers returns a copy of a map without what is not about a member.
func ofMembers[T any](reported map[uint64]T, members []identity.Member) map[uint64]T {
	var known map[uint64]T
	for _, m := range members {
		if value, ok := reported[uint64(m.ID)]; ok {
			if known == nil {
				known = map[uint64]T{}
			}
			known[uint64(m.ID)] = value
		}
	}
	return known
}

// warnOnce logs that a member's API address is not accepted, and what would make it so.
func (o *Observation) warnOnce(m identity.Member, reported string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.warned[m.ID] {
		return
	}
	o.warned[m.ID] = true
	o.cfg.Logger.Warn("a member reports an API address on another host than that of its peer address; pages and clients"+
		" are not sent there. Allow the host (--allowed-host), or correct its --advertise-api", "member", m.ID,
		"api_address", plaintext.Of(reported), "address", m.Address)
}

// apiAddress returns the URL of a member's API: pages are sent there, and may read from here if they come from there.
// The configuration has it. Where it has not, as in a static start, the member reports it, but its host must be that of
// its peer address, or one that this node was configured to accept.
func (o *Observation) apiAddress(m identity.Member, reported string) string {
	u, err := address.Base(reported, "http", "https")
	if m.APIAddress != "" || err != nil {
		return m.APIAddress
	}
	host := address.HostOf(u.Host)
	for _, accepted := range append([]string{m.Address, o.cfg.APIAddress}, o.cfg.APIHosts...) {
		if own, err := url.Parse(accepted); err == nil && own.Host != "" {
			accepted = own.Host
		}
		if address.HostOf(accepted) == host {
			return u.Scheme + "://" + u.Host
		}
	}
	return ""
}

// acceptFounding returns a copy of what a member reports to wait for, without what cannot be so.
func acceptFounding(f *api.Founding, members []identity.Member) *api.Founding {
	if f == nil {
		return nil
	}
	accepted := &api.Founding{Members: len(members), Needed: min(max(f.Needed, 1), len(members)), Missing: []uint64{}}
	for _, m := range identity.SortedMembers(members) {
		if id := uint64(m.ID); slices.Contains(f.Missing, id) {
			accepted.Missing = append(accepted.Missing, id)
		}
	}
	return accepted
}
