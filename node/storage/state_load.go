package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/kv"
)

// LoadState returns the state machine as the last checkpoint holds it; an empty one if there was none. It checks every
// row (traps T54, S10).
func (d *DB) LoadState() (*kv.Store, error) {
	s := &d.checkpoint
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(d.broken(), s.failure); err != nil {
		return nil, err
	}
	if s.reader == nil {
		return kv.New(), nil
	}
	store, _, err := readState(s.reader)
	return store, explain("read", s.path, err)
}

// readState reads and checks everything, in one transaction.
func readState(c *conn) (*kv.Store, stateMeta, error) {
	if err := c.exec("BEGIN"); err != nil {
		return nil, stateMeta{}, err
	}
	store, meta, err := loadStore(c)
	return store, meta, errors.Join(err, c.exec("COMMIT"))
}

func loadStore(c *conn) (*kv.Store, stateMeta, error) {
	meta, err := readMeta(c)
	if err != nil {
		return nil, stateMeta{}, err
	}
	loader, sum := kv.NewLoader(meta.store), rowSum{}
	if err := loadRecords(c, loader); err != nil {
		return nil, stateMeta{}, err
	}
	err = c.query(historyStatement, func(row []driver.Value) error {
		past, err := sum.past(row)
		if err != nil {
			return err
		}
		return misfit(loader.AddPast(past))
	})
	if err != nil {
		return nil, stateMeta{}, err
	}
	store, err := loader.Store()
	return store, meta, misfit(err)
}

// recordsAtOnce is the number of records that go from the goroutine that reads rows to the one that adds them.
const recordsAtOnce = 512

// loadRecords adds every record. One goroutine reads and checks rows, and another one adds them to the store: a start
// waits for it.
func loadRecords(c *conn, loader *kv.Loader) error {
	batches, added := make(chan []kv.Record, 4), make(chan error, 1)
	go func() { added <- addRecords(loader, batches) }()
	var sum rowSum
	records := make([]kv.Record, 0, recordsAtOnce)
	err := c.query(recordsStatement, func(row []driver.Value) error {
		record, err := sum.record(row)
		if err != nil {
			return err
		}
		if records = append(records, record); len(records) == recordsAtOnce {
			batches <- records
			records = make([]kv.Record, 0, recordsAtOnce)
		}
		return nil
	})
	batches <- records
	close(batches)
	return errors.Join(err, <-added)
}

// addRecords adds the records of every batch. After an error it only receives the rest.
func addRecords(loader *kv.Loader, batches <-chan []kv.Record) (err error) {
	for records := range batches {
		for i := range records {
			if err == nil {
				err = misfit(loader.Add(records[i]))
			}
		}
	}
	return err
}

// misfit marks an error of a kv.Loader: the rows are not those that were written.
func misfit(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
