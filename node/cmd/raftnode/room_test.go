package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/storage"
)

func TestSizesOfTheQuotaAndTheReserve(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		limits room.Limits
		wrong  string // the flag that is refused; empty: none
	}{
		"":                           {room.Limits{Quota: 2 << 30, Reserve: -1}, ""},
		"--quota-bytes=0":            {room.Limits{Reserve: -1}, ""},
		"--quota-bytes=1000":         {room.Limits{Quota: 1000, Reserve: -1}, ""},
		"--quota-bytes=3GiB":         {room.Limits{Quota: 3 << 30, Reserve: -1}, ""},
		"--disk-reserve-bytes=0":     {room.Limits{Quota: 2 << 30}, ""},
		"--disk-reserve-bytes=64MiB": {room.Limits{Quota: 2 << 30, Reserve: 64 << 20}, ""},
		"--quota-bytes=much":         {room.Limits{}, "--quota-bytes"},
		"--quota-bytes=-1":           {room.Limits{}, "--quota-bytes"},
		"--quota-bytes=16EiB":        {room.Limits{}, "--quota-bytes"},
		"--disk-reserve-bytes=5%":    {room.Limits{}, "--disk-reserve-bytes"},
		"--disk-reserve-bytes=9223372036854775808": {room.Limits{}, "--disk-reserve-bytes"},
	} {
		var f roomFlags
		flags := pflag.NewFlagSet("raftnode", pflag.ContinueOnError)
		f.register(flags)
		if err := flags.Parse(strings.Fields(text)); err != nil {
			t.Fatal(err)
		}
		err := f.check()
		if want.wrong != "" {
			if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want.wrong) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if got := f.sizes(); err != nil || got != want.limits {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestTheDefaultReserveDependsOnTheDisk(t *testing.T) {
	t.Parallel()
	disk, err := storage.Open(t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	total, err := disk.TotalBytes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := keepReserve(room.Limits{Quota: 7, Reserve: -1}, disk)
	if want := defaultReserve(total); err != nil || got.Reserve != want || got.Quota != 7 {
		t.Errorf("%+v of a disk of %d bytes, %v", got, total, err)
	}
	if got, err := keepReserve(room.Limits{Reserve: 5}, disk); err != nil || got.Reserve != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	for size, want := range map[int64]int64{
		100 << 20: 25 << 20, 256 << 20: 64 << 20, 1 << 30: 64 << 20, 2 << 30: 2 << 30 / 20, 10 << 30: 256 << 20,
		1 << 40: 256 << 20,
	} {
		if got := defaultReserve(size); got != want {
			t.Errorf("a disk of %d bytes keeps %d, want %d", size, got, want)
		}
	}
}
