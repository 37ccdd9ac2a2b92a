package watchdog

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// watched returns a Watchdog that runs until the test ends, and the errors with which it ends the process.
func watched(t *testing.T) (*Watchdog, chan error) {
	fatal, ended := make(chan error, 2), make(chan struct{})
	w := New(Config{
		Limit: time.Second, File: "/data/raft.db", Fatal: func(err error) { fatal <- err },
		Logger:    slog.New(slog.DiscardHandler),
		Scheduler: &scheduler.Machine{},
	})
	go w.Run(ended, 1)
	t.Cleanup(func() {
		close(ended)
		synctest.Wait()
	})
	return w, fatal
}

func TestASaveThatHangsEndsTheProcessOnce(t *testing.T) { // T53
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, fatal := watched(t)
		err := w.Save(func() error {
			time.Sleep(10 * time.Second) // fake time
			return nil
		})
		if err != nil || len(fatal) != 1 {
			t.Fatalf("%v, and the process was ended %d times", err, len(fatal))
		}
		const want = "a save to /data/raft.db has not finished for 1.05s, and may take 1s at most"
		if err := <-fatal; !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

func TestTheAgeOfASaveIsKnownWhileItLasts(t *testing.T) { // T53
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := watched(t)
		for range 2 {
			if age := w.Saving(); age != 0 {
				t.Errorf("without a save the age is %v", age)
			}
			go w.Save(func() error { time.Sleep(300 * time.Millisecond); return nil }) //nolint:errcheck // nil
			time.Sleep(200 * time.Millisecond)                                         // fake time
			if age := w.Saving(); age != 200*time.Millisecond {
				t.Errorf("after 200 ms the age is %v", age)
			}
			time.Sleep(200 * time.Millisecond) // fake time
		}
	})
}

func TestSavesWithinTheLimitAndTheirErrorsAreLeftAlone(t *testing.T) { // T53
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, fatal := watched(t)
		for range 20 {
			if err := w.Save(func() error { time.Sleep(time.Second / 2); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		full := errors.New("the disk is full")
		if err := w.Save(func() error { return full }); !errors.Is(err, full) {
			t.Errorf("got %v, want the error of the disk", err)
		}
		time.Sleep(10 * time.Second) // fake time: the node takes its time to end
		if len(fatal) != 0 {
			t.Errorf("the process was ended: %v", <-fatal)
		}
	})
}

func TestALoopWithoutTurnsHasStalledUntilItTurns(t *testing.T) { // O23
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := watched(t)
		for range 30 {
			w.Turn()
			time.Sleep(time.Second / 10) // fake time
			if w.Stalled() {
				t.Fatal("it has stalled although the loop turns")
			}
		}
		time.Sleep(2 * time.Second)
		if !w.Stalled() {
			t.Error("it has not stalled after two limits without a turn")
		}
		w.Turn()
		time.Sleep(time.Second / 10)
		if w.Stalled() {
			t.Error("it has stalled although the loop turned again")
		}
	})
}

func TestALoopThatHasEndedHasNotStalled(t *testing.T) { // O23
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		w := New(Config{
			Limit: time.Second, Fatal: func(err error) { t.Error(err) }, Logger: slog.New(slog.DiscardHandler),
			Scheduler: &scheduler.Machine{},
		})
		go w.Run(ended, 1)
		time.Sleep(2 * time.Second) // fake time
		if !w.Stalled() {
			t.Error("it has not stalled after two limits without a turn")
		}
		close(ended)
		synctest.Wait()
		if w.Stalled() {
			t.Error("it has ended, and counts as stalled")
		}
	})
}
