package raft

import (
	"fmt"
	"slices"
)

// The log records its configurations in ascending order of their index: the one in force at its start, or before, and
// all later ones. There is always at least one, the initial configuration if there is no other.

// configuration returns the configuration in force: the last one of the log, committed or not (trap T24).
func (l *raftLog) configuration() *Configuration { return l.configurations[len(l.configurations)-1] }

// committedConfiguration returns the last configuration that is committed.
func (l *raftLog) committedConfiguration() *Configuration { return l.configurationAt(l.commit) }

// configurationAt returns the configuration at an index; the oldest one on record if that is later. That one is
// committed then.
func (l *raftLog) configurationAt(i Index) *Configuration {
	for k := len(l.configurations) - 1; k > 0; k-- {
		if l.configurations[k].Index <= i {
			return l.configurations[k]
		}
	}
	return l.configurations[0]
}

// noteConfiguration records the configuration of an entry. One up to the index of a configuration that a checkpoint
// named already, from after the start of the log on the disk, is older than that.
func (l *raftLog) noteConfiguration(e *Entry) {
	cfg, err := l.encoding.readConfiguration(e)
	if err != nil {
		panic(fmt.Sprintf("raft: invariant broken: %v", err))
	}
	if e.Index > l.configuration().Index {
		l.configurations = append(l.configurations, &cfg)
	}
}

// dropConfigurations drops the configurations after an index.
func (l *raftLog) dropConfigurations(after Index) {
	for n := len(l.configurations); n > 1 && l.configurations[n-1].Index > after; n = len(l.configurations) {
		l.configurations = l.configurations[:n-1]
	}
}

// startConfigurations begins the record with the configuration at the start of a log.
func (l *raftLog) startConfigurations(start Configuration) {
	if start.Index == 0 {
		start = l.initial
	}
	l.configurations = []*Configuration{&start}
}

// trimConfigurations drops the configurations that were replaced up to an index, and the seats of nodes that were
// removed up to there.
func (l *raftLog) trimConfigurations(upTo Index) {
	k := 0
	for k+1 < len(l.configurations) && l.configurations[k+1].Index <= upTo {
		k++
	}
	l.configurations = append([]*Configuration(nil), l.configurations[k:]...)
	if first := l.configurations[0]; first.Index > 0 {
		l.seats = slices.DeleteFunc(l.seats, func(s placedSeat) bool { return first.removed(s.Member) })
	}
}

// readConfiguration returns the configuration of an EntryConfig. The error states what is wrong with it.
func (e *Encoding) readConfiguration(entry *Entry) (Configuration, error) {
	cfg, err := e.ParseConfiguration(entry.Command)
	if err == nil {
		cfg.Index = entry.Index
		err = cfg.Validate()
	}
	if err != nil {
		return Configuration{}, fmt.Errorf("the configuration of entry %d cannot be read: %w", entry.Index, err)
	}
	return cfg, nil
}

// checkConfigurations returns an error for the first configuration among some entries that cannot be read.
func (e *Encoding) checkConfigurations(entries []Entry) error {
	for i := range entries {
		if entries[i].Type != EntryConfig {
			continue
		}
		if _, err := e.readConfiguration(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// ConfigurationUpTo returns the configuration at a committed index: that of a LogStart with that index. It is zero if
// that is the initial one. If the memory has no record of it, a later one that is committed is returned.
func (c *Core) ConfigurationUpTo(i Index) Configuration {
	if i > c.log.commit {
		panic(fmt.Sprintf("raft: invariant broken: the configuration at entry %d was asked for; the commit index is %d",
			i, c.log.commit))
	}
	if cfg := c.log.configurationAt(i); cfg.Index > 0 {
		return *cfg
	}
	return Configuration{}
}
