package storage

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// The keys of table meta. The facts of the callers are stored beside them.
const (
	metaApplied = "applied_index"
	metaTerm    = "applied_term"
	metaDigest  = "applied_digest"
	metaSeats   = "seats"
	// metaConfig is absent if the configuration is the initial one.
	metaConfig    = "configuration"
	metaTime      = "time"
	metaCompacted = "compacted"
	metaCut       = "cut"
	metaSum       = "sum"
	metaKeys      = "keys"
	metaCRC       = "crc" // of all other pairs
)

var metaOwn = []string{
	metaApplied, metaTerm, metaDigest, metaSeats, metaConfig, metaTime, metaCompacted, metaCut, metaSum, metaKeys, metaCRC,
}

// stateMeta is table meta: what a checkpoint is of. It is written in the transaction of the rows (trap T44).
type stateMeta struct {
	position raft.LogStart // of the last applied entry
	store    kv.Meta
	facts    map[string]string
}

// pairs returns every pair of the table.
func (m *stateMeta) pairs() map[string]string {
	seats, err := json.Marshal(m.position.Seats)
	if err != nil {
		panic(fmt.Sprintf("storage: invariant broken: numbers cannot be encoded: %v", err))
	}
	unsigned := func(n uint64) string { return strconv.FormatUint(n, 10) }
	pairs := map[string]string{
		metaApplied: unsigned(uint64(m.position.Index)), metaTerm: unsigned(uint64(m.position.Term)),
		metaDigest: unsigned(uint64(m.position.Digest)), metaSeats: string(seats),
		metaTime: strconv.FormatInt(m.store.Time, 10), metaCompacted: unsigned(m.store.Compacted),
		metaCut: unsigned(m.store.Cut), metaSum: fmt.Sprintf("%016x", m.store.Sum), metaKeys: strconv.Itoa(m.store.Keys),
	}
	if cfg := m.position.Configuration; cfg.Index > 0 {
		text, err := json.Marshal(cfg)
		if err != nil {
			panic(fmt.Sprintf("storage: invariant broken: a configuration cannot be encoded: %v", err))
		}
		pairs[metaConfig] = string(text)
	}
	maps.Copy(pairs, m.facts)
	pairs[metaCRC] = metaChecksum(pairs)
	return pairs
}

// metaChecksum returns the value of metaCRC, given every other pair.
func metaChecksum(pairs map[string]string) string {
	var buffer []byte
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if key == metaCRC {
			continue
		}
		for _, text := range []string{key, pairs[key]} {
			buffer = binary.BigEndian.AppendUint64(buffer, uint64(len(text)))
			buffer = append(buffer, text...)
		}
	}
	return fmt.Sprintf("%08x", crc32.Checksum(buffer, castagnoli))
}

// readMeta reads the table and checks it.
func readMeta(c *conn) (stateMeta, error) {
	pairs := make(map[string]string)
	err := c.query(metaStatement, func(row []driver.Value) error {
		key, isKey := row[0].(string)
		value, isValue := row[1].(string)
		if !isKey || !isValue {
			return fmt.Errorf("%w: meta has a pair that is no text: %v = %v", ErrDamaged, row[0], row[1])
		}
		pairs[key] = value
		return nil
	})
	if err != nil {
		return stateMeta{}, err
	}
	m, err := parseMeta(pairs)
	if err == nil && !reflect.DeepEqual(m.pairs(), pairs) {
		err = fmt.Errorf("%w: meta has the checksum %s, but %q was written with it", ErrDamaged, metaChecksum(pairs),
			pairs[metaCRC])
	}
	return m, err
}

// parseMeta parses the pairs. It accepts some that pairs does not return.
func parseMeta(pairs map[string]string) (stateMeta, error) {
	numbers, base := make(map[string]uint64), map[string]int{metaSum: 16}
	for _, key := range []string{metaApplied, metaTerm, metaDigest, metaTime, metaCompacted, metaCut, metaSum, metaKeys} {
		n, err := strconv.ParseUint(pairs[key], max(base[key], 10), 64)
		if signed, bad := strconv.ParseInt(pairs[key], 10, 64); key == metaTime && bad == nil {
			n, err = uint64(signed), nil
		}
		if err != nil {
			return stateMeta{}, fmt.Errorf("%w: %s in meta is %q, and must be a number", ErrDamaged, key, pairs[key])
		}
		numbers[key] = n
	}
	var seats []raft.Seat
	if err := json.Unmarshal([]byte(pairs[metaSeats]), &seats); err != nil {
		return stateMeta{}, fmt.Errorf("%w: %s in meta is %q, and must be a list of seats", ErrDamaged, metaSeats,
			pairs[metaSeats])
	}
	config, err := parseMetaConfig(pairs)
	if err != nil {
		return stateMeta{}, err
	}
	facts := maps.Clone(pairs)
	for _, key := range metaOwn {
		delete(facts, key)
	}
	return stateMeta{
		position: raft.LogStart{
			Index: raft.Index(numbers[metaApplied]), Term: raft.Term(numbers[metaTerm]),
			Digest: raft.Digest(numbers[metaDigest]), Seats: seats, Configuration: config,
		},
		store: kv.Meta{
			Applied: numbers[metaApplied], Time: int64(numbers[metaTime]), Compacted: numbers[metaCompacted],
			Cut: numbers[metaCut], Sum: numbers[metaSum], Keys: int(numbers[metaKeys]),
		},
		facts: facts,
	}, nil
}

// parseMetaConfig parses the configuration; it is zero if there is none.
func parseMetaConfig(pairs map[string]string) (cfg raft.Configuration, err error) {
	text, is := pairs[metaConfig]
	if !is {
		return cfg, nil
	}
	if err = json.Unmarshal([]byte(text), &cfg); err == nil {
		err = cfg.Validate()
	}
	if err == nil && cfg.Index == 0 {
		err = errors.New("it has no index")
	}
	if err != nil {
		err = fmt.Errorf("%w: %s in meta is %.200q, and must be a configuration: %w", ErrDamaged, metaConfig, text, err)
	}
	return cfg, err
}

// checkNames refuses facts that would replace a key of the storage.
func checkNames(facts map[string]string) error {
	for _, key := range metaOwn {
		if _, is := facts[key]; is {
			return fmt.Errorf("the key %q belongs to the storage itself", key)
		}
	}
	return nil
}
