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
)

// Node is what the API needs of a node. *node.Node is one; the tests have another.
type Node interface {
	// Propose replicates commands and gives one outcome per command, in order. Any node takes it. It has its
	// own deadlines.
	Propose(ctx context.Context, commands [][]byte) []node.Outcome
	// ReadBarrier returns nil once local reads are linearizable. It has its own deadlines.
	ReadBarrier(ctx context.Context) error
	// AwaitApplied returns nil once the entry at index is applied here. It has its own deadline.
	AwaitApplied(ctx context.Context, index raft.Index) error
	// Get reads a key from this node's own state.
	Get(key string) (kv.Record, bool)
	// Revision is the index of the last entry applied here.
	Revision() uint64
	// Status is the node's view of itself; it must be cheap.
	Status() api.Status
	Staleness() func() (time.Duration, bool)
	// Observe gathers what the peers say of themselves, with a short deadline.
	Observe(ctx context.Context) api.ClusterStatus
	// Config is the membership in force.
	Config() api.Membership
	// Log reads a stretch of the log.
	Log(ctx context.Context, from raft.Index, limit int) (node.LogPage, error)
	// Events gives the events after the cursor; the channel is closed when there are more.
	Events(since uint64) ([]api.ObservedEvent, <-chan struct{})
	// HandOver has the leader of a term hand over, 0: of any term; 0: to the best follower. Any node takes it.
	HandOver(ctx context.Context, term raft.Term, to raft.NodeID) error
	// Bootstrap gives an empty node its identity.
	Bootstrap(ctx context.Context, clusterID string, id raft.NodeID, members []identity.Member) error
	// Stalled reports whether the loop should run and has made no turn for long.
	Stalled() bool
}

// Options are what a server is told. The zero value works.
type Options struct {
	// Dashboard serves GET / and everything under /ui/; nil: both answer 404.
	Dashboard http.Handler
	// Registry is where the metrics are registered and served from at /metrics. Give each server its own. Nil:
	// a new one, with the collectors of the Go runtime and the process.
	Registry *prometheus.Registry
	// Collectors are registered beside the server's own: the node's histograms and counters.
	Collectors []prometheus.Collector
	// Logger gets faults of the server; nil: none.
	Logger *slog.Logger
	// Version is the program's, for /api/v1/cluster and the metric build_info.
	Version string
	// Capabilities are told by /api/v1/cluster, so that a page knows what it may offer.
	Capabilities []string
	// AllowedHosts are what a Host header may carry beside loopback names and the address that a connection leads to. If
	// there are any, every other Host is refused, wherever the server listens; if there are none, that is so while it
	// listens on loopback.
	AllowedHosts []string
	// TrustedOrigins are origins (scheme://host[:port]) whose pages may send every request.
	TrustedOrigins []string
	// TrustMemberOrigins lets the pages that the members serve send every request to each other, not only GET.
	// For clusters on one machine.
	TrustMemberOrigins bool
	// ReadyLag is by how many entries a ready node may be behind what it knows to be committed; 0: 1000.
	ReadyLag uint64
	// ReadyContact is how long ago a ready follower may have heard from its leader; 0: 5 s. Give some election
	// timeouts. A follower that is merely cut off says sooner that it knows no leader; this is for one that hangs.
	ReadyContact time.Duration
	// Gate, if not nil, stands in front of everything: a local cluster holds the requests of a paused node there.
	Gate func(http.Handler) http.Handler
	// Extra registers further routes: the chaos routes of a local cluster.
	Extra func(gin.IRouter)
	// Memory is what requests and answers may hold, and Connections what Serve accepts; all servers of a process share
	// one of each. Nil: one of the server's own, from the limits of the process.
	Memory      *budget.Memory
	Connections *budget.Connections
}

// How long a client may take over the parts of a request, and how often a stream speaks.
const (
	headerTimeout = 5 * time.Second
	// bodyTimeout bounds reading a request and writing its answer; streams set their own.
	bodyTimeout     = 60 * time.Second
	idleTimeout     = 3 * time.Minute
	maxHeaderBytes  = 64 << 10
	defaultReadyLag = 1000
	// defaultContact is some election timeouts of a cluster on shared disks.
	defaultContact = 5 * time.Second

	statusEvery  = 500 * time.Millisecond
	commentEvery = 5 * time.Second
	// streamPatience is how long a stream waits for a reader that does not read, before it drops him.
	streamPatience = 5 * time.Second
	// learnEvery is how often the members are asked for their addresses while some are unknown.
	learnEvery = time.Second
)

// Server is the HTTP server of the API port: the router, and what stands in front of it. The handlers are methods of
// keys, cluster, health and eventStreams.
type Server struct {
	*responder
	keys    *keys
	cluster *cluster
	health  *health
	events  *eventStreams

	options     Options
	log         *slog.Logger
	guard       *guard
	metrics     *metrics
	engine      *gin.Engine
	http        *http.Server
	connections *budget.Connections
}

func init() { gin.SetMode(gin.ReleaseMode) }

// New makes a server that answers for the node. It fails if a trusted origin is malformed, or if a collector
// is registered already.
func New(n Node, options Options) (*Server, error) {
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
	s := &Server{
		responder: r, keys: &keys{r}, health: newHealth(r, options), events: newEventStreams(r),
		options: options, log: options.Logger, connections: options.Connections,
	}
	s.cluster = &cluster{r, s.health, options.Version, options.Capabilities}
	var err error
	if s.guard, err = newGuard(n, options); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(n, options); err != nil {
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

// Handler gives the whole API as a handler, for tests and for other servers. Nothing that cleans paths or
// redirects may stand in front of it (net/http.ServeMux does): keys may hold doubled slashes and dots.
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

// learnAddresses asks around until there are members, which an empty node is told later, and every one has told where
// its API is. A page may read from here once the node that served it is dead (CORS), and then it is too late to ask
// that node.
func (s *Server) learnAddresses(ctx context.Context) {
	tick := time.NewTicker(learnEvery)
	defer tick.Stop()
	for {
		s.node.Observe(ctx)
		silent := func(m api.ConfigMember) bool { return m.APIAddress == "" }
		if members := s.node.Config().Members; len(members) > 0 && !slices.ContainsFunc(members, silent) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// SetStopping makes /readyz fail from now on, so that balancers send new requests elsewhere; everything is still
// served.
func (s *Server) SetStopping() { s.health.stopping.Store(true) }

// Shutdown ends the streams, takes no new connections, and returns when the last request is answered, or with
// the context's error when its time is over; connections that are still open are closed then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.SetStopping()
	s.events.close()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // the time is over: what is cut off here is what the error tells
		return err
	}
	return nil
}
