package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// commonFlags are the flags of serve and local.
type commonFlags struct {
	heartbeat time.Duration
	election  time.Duration
	stall     time.Duration
	drift     float64
	logFormat string
	logLevel  string

	requestMemory string
	connections   int

	historyFlags
	roomFlags
}

func (f *commonFlags) register(c *cobra.Command) {
	c.Flags().DurationVar(&f.heartbeat, "heartbeat-interval", node.DefaultHeartbeatInterval,
		"leader heartbeat interval")
	c.Flags().DurationVar(&f.election, "election-timeout", node.DefaultElectionTimeout,
		"minimum election timeout; each timeout is random in [1x, 2x]")
	c.Flags().DurationVar(&f.stall, "disk-stall-timeout", node.DefaultStallLimit,
		"time that a save to the disk may take before the process ends; a leader is replaced after an election timeout")
	c.Flags().Float64Var(&f.drift, "clock-drift", node.DefaultClockDrift,
		"fraction by which the clock of one member may run slower than that of another; shortens the lease for reads")
	f.historyFlags.register(c.Flags())
	f.roomFlags.register(c.Flags())
	c.Flags().StringVar(&f.requestMemory, "request-memory", "",
		"memory for requests and responses in flight, like 128MiB (default: a quarter of the lesser of GOMEMLIMIT and the "+
			"limit of the cgroup, or 128MiB if there is neither)")
	c.Flags().IntVar(&f.connections, "max-api-connections", 0,
		"maximum number of API connections (default: derived from the limits on descriptors and memory)")
	c.Flags().StringVar(&f.logFormat, "log-format", "text", "log format: text or json")
	c.Flags().StringVar(&f.logLevel, "log-level", "info", "log level: debug, info, warn or error")
}

func (f *commonFlags) check() error {
	if f.heartbeat < time.Millisecond {
		return fmt.Errorf("%w: --heartbeat-interval %v is too short: give at least 1ms", errUsage, f.heartbeat)
	}
	if f.election <= f.heartbeat {
		return fmt.Errorf("%w: --election-timeout %v must be longer than --heartbeat-interval %v", errUsage,
			f.election, f.heartbeat)
	}
	if f.stall < leastStall {
		return fmt.Errorf("%w: --disk-stall-timeout %v is too short: give at least %v", errUsage, f.stall, leastStall)
	}
	if !(f.drift > 0 && f.drift < 1) {
		return fmt.Errorf("%w: --clock-drift %v must be more than 0 and less than 1: 0.1 is 10 %%", errUsage, f.drift)
	}
	if f.connections < 0 {
		return fmt.Errorf("%w: --max-api-connections %d: give 1 or more, or 0 for the default", errUsage, f.connections)
	}
	if err := errors.Join(f.historyFlags.check(), f.roomFlags.check()); err != nil {
		return err
	}
	if f.requestMemory == "" {
		return nil
	}
	bytes, err := humanize.ParseBytes(f.requestMemory)
	if bytes > math.MaxInt64 || err != nil && strings.HasPrefix(err.Error(), "too large") {
		return fmt.Errorf("%w: --request-memory %q is too large: give a part of this machine's memory, like 128MiB", errUsage,
			f.requestMemory)
	}
	if err != nil || bytes < leastRequestMemory {
		return fmt.Errorf("%w: --request-memory %q: give a size of at least 32MiB, like 128MiB", errUsage,
			f.requestMemory)
	}
	return nil
}

// leastStall is the shortest time after which a disk may count as dead: any disk is slow for a moment at times.
const leastStall = time.Second

// leastRequestMemory has room for one batch and one message of a peer.
const leastRequestMemory = 32 << 20

// budgets returns the limits that all nodes of the process share, and sets the Go runtime's memory limit and how often
// it collects garbage. The flags must be checked.
func (f *commonFlags) budgets(nodes int, log *slog.Logger) (*budget.Memory, *budget.Connections) {
	budget.ApplyMemoryLimit(log)
	budget.PaceCollector()
	memory := budget.DefaultMemory()
	if bytes, err := humanize.ParseBytes(f.requestMemory); err == nil {
		memory = budget.NewMemory(int64(bytes))
	}
	limits := budget.DefaultLimits(nodes)
	if f.connections > 0 {
		limits.API = f.connections
	}
	log.Info("limits of the process", "request_memory", memory.Limit(),
		"api_connections", limits.API, "spare_connections", limits.Spare, "peer_connections", limits.Peers)
	return memory, budget.NewConnections(limits, memory, log)
}

func (f *commonFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q: give debug, info, warn or error", errUsage, f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("%w: --log-format %q: give text or json", errUsage, f.logFormat)
}

// parseMembers parses --initial-cluster: 1=http://h1:7080,2=http://h2:7080.
func parseMembers(text string) ([]identity.Member, error) {
	members, err := identity.ParseMembers(text)
	if err != nil {
		return nil, fmt.Errorf("%w: --initial-cluster: %w", errUsage, err)
	}
	return members, nil
}

func checkHostPort(flag, text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%w: %s: %q should be HOST:PORT, like 0.0.0.0:8080", errUsage, flag, text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || len(port) > 1 && port[0] == '0' {
		return fmt.Errorf("%w: %s: port %q should be a number from 0 to 65535, without leading zeros", errUsage, flag, port)
	}
	return nil
}

// checkGiven refuses flags with an empty value, as from an unset variable: each would have its default.
func checkGiven(flags *pflag.FlagSet) error {
	var err error
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" && err == nil {
			err = fmt.Errorf("%w: --%s is empty, perhaps because a variable is not set: give it a value, or leave it out",
				errUsage, f.Name)
		}
	})
	return err
}

// hostList is the value of --allowed-host.
type hostList []string

// String implements pflag.Value.
func (h *hostList) String() string { return strings.Join(*h, ",") }

// Type implements pflag.Value.
func (h *hostList) Type() string { return "hosts" }

// Set implements pflag.Value.
func (h *hostList) Set(text string) error {
	for host := range strings.SplitSeq(text, ",") {
		if err := address.CheckHost(host); err != nil {
			return err
		}
		*h = append(*h, host)
	}
	return nil
}

// flagExamples are example values of the flags whose default is no example.
var flagExamples = map[string]string{"id": "1", "shutdown-delay": "10s", "max-api-connections": "1000"}

// flagError adds to a parse error what the flag accepts.
func flagError(c *cobra.Command, err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return fmt.Errorf("%w: %w; see: %s --help", errUsage, err, c.CommandPath())
	}
	flag := wrong.GetFlag()
	right := ""
	switch flag.Value.Type() {
	case "duration":
		right = "a duration"
	case "int":
		right = "a whole number"
	case "uint64":
		right = "a whole number from 1"
	case "bool":
		return fmt.Errorf("%w: --%s=%s: give true or false, or only --%s", errUsage, flag.Name, wrong.GetValue(), flag.Name)
	default:
		return fmt.Errorf("%w: --%s: %w", errUsage, flag.Name, errors.Unwrap(err))
	}
	return fmt.Errorf("%w: --%s %s: give %s, like --%s %s", errUsage, flag.Name, wrong.GetValue(), right, flag.Name,
		cmp.Or(flagExamples[flag.Name], flag.DefValue))
}
