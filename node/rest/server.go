package rest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Node is what the API needs of a node. *node.Node is one; the tests have another.
type Node interface {
	// Propose replicates commands and returns one outcome per command, in order. Any node accepts it. It has deadlines
	// of its own.
	Propose(ctx context.Context, commands [][]byte) []node.Outcome
	// ReadBarrier returns nil once local reads are linearizable. It has deadlines of its own.
	ReadBarrier(ctx context.Context) error
	// BeginLeaseRead returns once a local read is linearizable if its Holds returns true afterwards. It has deadlines of
	// its own.
	BeginLeaseRead(ctx context.Context) (node.LeaseRead, error)
	// AwaitApplied returns nil once this node has applied the entry at index. It has a deadline of its own.
	AwaitApplied(ctx context.Context, index raft.Index) error
	// Get, GetAt, Scan, Count and History read the local state. Each but Get bounds how long it locks the state by its
	// arguments. They fail with a *kv.CompactedError or *kv.FutureError.
	Get(key string) (kv.Record, bool)
	GetAt(key string, revision uint64) (kv.Record, bool, error)
	Scan(q kv.Query) (kv.Page, error)
	Count(from, to string, revision uint64, maxVisits int) (node.Counted, error)
	History(key string, before uint64, limit int) node.History
	// Sound returns nil if this node may serve from its state. It is cheap.
	Sound() error
	// Revision returns the index of the last entry that this node has applied.
	Revision() uint64
	// Status returns the node's view of itself; it must be cheap.
	Status() api.Status
	Staleness() func() (time.Duration, bool)
	// Log reads up to limit entries of the log.
	Log(ctx context.Context, from raft.Index, limit int) (node.LogPage, error)
	// HandOver transfers leadership from the leader of a term (0: any term) to a member (0: the best follower). Any node
	// accepts it.
	HandOver(ctx context.Context, term raft.Term, to raft.NodeID) error
	// Members returns the configuration in force, as this node has it.
	Members() api.Membership
	// ChangeMembers changes the configuration, and returns once that is committed. Any node accepts it. It has deadlines
	// of its own. The error for another configuration than the expected one is a *node.ConfigIndexError.
	ChangeMembers(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error)
	// Bootstrap sets the identity of an empty node.
	Bootstrap(ctx context.Context, clusterID string, id raft.NodeID, members []identity.Member) error
	// OpenBackup returns a copy of the state that includes the entries up to an index that this node has applied. The
	// caller releases it.
	OpenBackup(ctx context.Context, including raft.Index) (snapshot.Source, error)
	// Stalled reports whether the loop should run and has not run for long.
	Stalled() bool
}

// Observation is what the API shows of the cluster. *observation.Observation is one; the tests have another.
type Observation interface {
	// Observe returns how each member sees itself. It has a short deadline of its own.
	Observe(ctx context.Context) api.ClusterStatus
	// Membership returns the members as they are now.
	Membership() api.Membership
	// Events returns the events after the cursor; the channel is closed when there are more.
	Events(since uint64) ([]api.ObservedEvent, <-chan struct{})
}

// Options configure a server. The zero value works.
type Options struct {
	// Dashboard serves GET / and everything under /ui/; nil: both answer 404.
	Dashboard http.Handler
	// Registry has the metrics that /metrics serves. Each server needs its own. Nil: a new one, with the collectors of
	// the Go runtime and the process.
	Registry *prometheus.Registry
	// Collectors are registered beside the server's own: the node's histograms and counters.
	Collectors []prometheus.Collector
	// Logger logs faults of the server; nil: no logging.
	Logger *slog.Logger
	// Version of the program, for /api/v1/cluster and the metric build_info.
	Version string
	// Capabilities are listed by /api/v1/cluster, so that a page offers only what the server supports.
	Capabilities []string
	// AllowedHosts are the values of the Host header that are accepted beside loopback names and the address that a
	// connection leads to. Every other Host is refused if there are any, or while the server listens on loopback.
	AllowedHosts []string
	// TrustedOrigins are origins (scheme://host[:port]) whose pages may send every request.
	TrustedOrigins []string
	// TrustMemberOrigins allows pages that members serve to send every request to other members, not only GET. It is for
	// clusters on one machine.
	TrustMemberOrigins bool
	// ReadyLag is how many entries that are known to be committed a ready node may have not applied; 0: 1000.
	ReadyLag uint64
	// ReadyContact is the maximum time since the last message of the leader to a ready follower; 0: 5 s. It should be
	// several election timeouts. A follower that is cut off reports earlier that there is no leader; this is for one that
	// hangs.
	ReadyContact time.Duration
	// Gate, if not nil, wraps the whole handler: a local cluster holds the requests of a paused node there.
	Gate func(http.Handler) http.Handler
	// Extra registers further routes: the chaos routes of a local cluster.
	Extra func(gin.IRouter)
	// Memory bounds what requests and responses hold, and Connections what Serve accepts; all servers of a process share
	// one of each. Nil: a new one, from the limits of the process.
	Memory      *budget.Memory
	Connections *budget.Connections
}

// How long the parts of a request may take, and how often a stream sends.
const (
	headerTimeout = 5 * time.Second
	// bodyTimeout bounds reading a request and writing its response; streams set their own.
	bodyTimeout     = 60 * time.Second
	idleTimeout     = 3 * time.Minute
	maxHeaderBytes  = 64 << 10
	defaultReadyLag = 1000
	// defaultContact is several election timeouts of a cluster on shared disks.
	defaultContact = 5 * time.Second

	statusEvery  = 500 * time.Millisecond
	commentEvery = 5 * time.Second
	// streamPatience is how long a stream waits for a client that does not read before it ends.
	streamPatience = 5 * time.Second
	// learnEvery is how often the members are asked for their addresses while some are unknown.
	learnEvery = time.Second
)

// Server is the HTTP server of the API port: the router, and what runs before it. The handlers are methods of keys,
// logs, cluster, health and eventStreams.
type Server struct {
	*responder
	keys        *keys
	logs        *logs
	lists       *lists
	backups     *backups
	cluster     *cluster
	members     *memberChanges
	health      *health
	events      *eventStreams
	observation Observation

	options     Options
	log         *slog.Logger
	guard       *guard
	metrics     *metrics
	engine      *gin.Engine
	http        *http.Server
	connections *budget.Connections
}

func init() { gin.SetMode(gin.ReleaseMode) }

// New returns a server for the node, which shows the cluster as o does. It fails if a trusted origin is malformed, or
// if a collector is registered already.
func New(n Node, o Observation, options Options) (*Server, error) {
	if options.Memory == nil {
		options.Memory = budget.DefaultMemory()
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Connections == nil {
		options.Connections = budget.NewConnections(budget.DefaultLimits(1), options.Memory, options.Logger)
	}
	options.Collectors = append(slices.Clone(options.Collectors), options.Connections.Collector())
	r := newResponder(n, options.Memory, newFaultLog(options.Logger))
	k := &keys{r, deleteTime}
	s := &Server{
		responder: r, keys: k, lists: newLists(k), backups: newBackups(k), logs: &logs{r}, health: newHealth(r, options),
		events: newEventStreams(r, o), observation: o,
		options: options, log: options.Logger, connections: options.Connections,
	}
	s.members = &memberChanges{r, k, o}
	s.cluster = &cluster{r, o, s.health, options.Version, options.Capabilities}
	var err error
	if s.guard, err = newGuard(o, options); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(n, o, options); err != nil {
		return nil, err
	}
	s.engine = s.routes()
	s.http = s.newHTTPServer()
	return s, nil
}

func (s *Server) newHTTPServer() *http.Server {
	handler := s.Handler()
	if s.options.Gate != nil {
		handler = s.options.Gate(handler)
	}
	server := &http.Server{
		Handler:           s.withinCapacity(handler),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	budget.Attach(server)
	return server
}

// Handler returns the whole API as a handler, for tests and for other servers. It must not be wrapped in a handler that
// cleans paths or redirects, as net/http.ServeMux does: keys may contain doubled slashes and dots.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	shared := s.guard.share(w.Header(), r)
	if err := s.guard.check(r); err != nil {
		s.stamp(w.Header())
		s.failTo(w, err)
		return
	}
	if shared && preflight(r) {
		s.stamp(w.Header())
		s.stampRevision(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.engine.ServeHTTP(w, r)
}

// Serve accepts connections until Shutdown, then returns nil. If the listener is on a loopback address, Host headers
// are checked (DNS rebinding), as they are with Options.AllowedHosts.
func (s *Server) Serve(l net.Listener) error {
	if address, ok := l.Addr().(*net.TCPAddr); ok && address.IP.IsLoopback() {
		s.guard.checkHost.Store(true)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go s.learnAddresses(ctx)
	if err := s.http.Serve(s.connections.API(l)); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// learnAddresses polls the members until there are members, which an empty node gets later, and the API address of each
// is known. A page may read from this node after the node that served it has stopped (CORS), and then it is too late to
// ask that node.
func (s *Server) learnAddresses(ctx context.Context) {
	tick := time.NewTicker(learnEvery)
	defer tick.Stop()
	for {
		s.observation.Observe(ctx)
		silent := func(m api.ConfigMember) bool { return m.APIAddress == "" }
		if members := s.observation.Membership().Members; len(members) > 0 && !slices.ContainsFunc(members, silent) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// SetStopping makes /readyz fail from now on, so that load balancers send new requests to other nodes. The server still
// serves every request.
func (s *Server) SetStopping() { s.health.stopping.Store(true) }

// Shutdown ends the streams, accepts no new connections, and returns when the last request has been answered. If the
// context ends first, it closes the open connections and returns the error of the context.
func (s *Server) Shutdown(ctx context.Context) error {
	s.SetStopping()
	s.events.close()
	s.lists.close()
	s.backups.close()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // the error that is returned reports that requests were cut off
		return err
	}
	return nil
}
