package storage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// takenBy returns the number of bytes of the disk that the files of the checkpoint take.
func takenBy(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, suffix := range []string{"", walSuffix} {
		info, err := os.Stat(filepath.Join(dir, stateName+suffix))
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	return bytes
}

// A checkpoint takes at most what is estimated, whether its records share pages or not, and however often: otherwise
// one that begins would fill the disk.
func TestACheckpointTakesWhatIsEstimated(t *testing.T) {
	t.Parallel()
	key := func(i int) string { return fmt.Sprintf("%08d", i) }
	put := func(i, bytes int) string {
		return fmt.Sprintf(`{"op":"put","key":%q,"value":%q}`, key(i), strings.Repeat("v", bytes))
	}
	const keys, slack = 20_000, 256 << 10 // of the pages that any transaction changes
	for name, command := range map[string]func(i int) string{
		"scattered records": func(int) string { return put(rand.IntN(keys), 256) },
		"neighbors":         func(i int) string { return put(i, 256) },
		"new records":       func(i int) string { return put(keys+i, 256) },
		"large records":     func(i int) string { return put(rand.IntN(keys), 20_000) },
		"one key":           func(int) string { return put(7, 2000) },
		"scattered deletes": func(int) string { return fmt.Sprintf(`{"op":"delete","key":%q}`, key(rand.IntN(keys))) },
		"scattered deletes of a transaction": func(int) string {
			at := rand.IntN(keys / 4)
			return fmt.Sprintf(`{"op":"txn","then":[{"delete":{"key":%q}},{"delete":{"key":%q}},{"delete":{"key":%q}}]}`,
				key(at+keys/2), key(at), key(at+keys/4))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, t.TempDir(), Options{})
			m.load(keys, func(i int) string { return put(i, 256) })
			m.save()
			for round := range max(1, 3/thinned) {
				m.load(1000, command)
				m.d.SetReserve(1)
				delta := m.checkpoint().Delta
				takes, _ := m.d.StateFiles().Room(delta.Volume(lastChanges(delta)))
				before := takenBy(t, m.dir)
				m.save()
				if took := takenBy(t, m.dir) - before; took > takes+slack {
					t.Errorf("round %d: the checkpoint took %d bytes, and the estimate was %d", round, took, takes)
				}
			}
			mustClose(t, m.d)
		})
	}
}

// load does many commands.
func (m *machine) load(count int, command func(i int) string) {
	m.tb.Helper()
	const atOnce = 500
	for i := 0; i < count; i += atOnce {
		var commands []string
		for k := range min(atOnce, count-i) {
			commands = append(commands, command(i+k))
		}
		m.do(commands...)
	}
}
