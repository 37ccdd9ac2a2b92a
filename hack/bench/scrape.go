package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/api"
)

// The metrics of Kontiki that the benchmark reads.
const (
	checkpointsDone = "kontiki_checkpoint_duration_seconds_count"
	checkpointsTook = "kontiki_checkpoint_duration_seconds_sum"
	snapshotsHere   = `kontiki_snapshots_total{result="installed"}`
	firstLogIndex   = "kontiki_log_first_index"
	lastLogIndex    = "kontiki_log_last_index"
	historyBytes    = "kontiki_history_bytes"
	goHeap          = "go_memstats_heap_alloc_bytes"
	goRoutines      = "go_goroutines"
)

// metrics are the values that a node of Kontiki exposes, by name and labels as the node writes them. What a node has
// not counted yet is 0.
type metrics map[string]float64

func scrape(ctx context.Context, m *member) (metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.api+api.PathMetrics, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the metrics of %s: %s", m.process.Name, response.Status)
	}
	return parseMetrics(response.Body)
}

// parseMetrics reads the text format of Prometheus, without time stamps.
func parseMetrics(in io.Reader) (metrics, error) {
	all := metrics{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		blank := strings.LastIndexByte(line, ' ')
		if blank < 0 {
			return nil, fmt.Errorf("the metric %q has no value", line)
		}
		value, err := strconv.ParseFloat(line[blank+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the metric %q: %w", line, err)
		}
		all[line[:blank]] = value
	}
	return all, lines.Err()
}

// ownStatus is a node's report of itself.
func ownStatus(ctx context.Context, m *member) (api.Status, error) {
	var all api.ClusterStatus
	if err := getJSON(ctx, "http://"+m.api+api.PathStatus, &all); err != nil {
		return api.Status{}, err
	}
	for _, n := range all.Nodes {
		if n.ID == uint64(m.number) {
			return n.Status, nil
		}
	}
	return api.Status{}, fmt.Errorf("%s does not report its own status", m.process.Name)
}

// fileSize is the size of a file in a member's folder, 0 if there is none.
func (m *member) fileSize(name string) (int64, error) {
	info, err := os.Stat(filepath.Join(m.data, name))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
