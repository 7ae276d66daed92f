package goredis

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/redis/go-redis/v9"
)

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Releaser = (*Backend)(nil)
	_ backend.Checker  = (*Backend)(nil)
	_ backend.Watcher  = (*Backend)(nil)
	_ backend.Sharder  = (*Backend)(nil)
)

// DefaultPrefix is the default of Config.Prefix. aiofreqlimit uses the same prefix but
// other values, so the two must not share it.
const DefaultPrefix = "freqlimit:gcra:"

// Config configures a [Backend]. All fields are optional.
type Config struct {
	// Prefix is the beginning of each key in Redis. Backends with the same prefix share
	// their limits, and [Backend.Clear] deletes all keys that begin with it. It may hold
	// any bytes. Defaults to [DefaultPrefix].
	Prefix string

	// ExtraTTL is how long Redis keeps a limit after its debt is paid, so that its last
	// state can be inspected. It changes no decision. Up to 100 years. Defaults to 0.
	ExtraTTL time.Duration

	// Logger gets a warning if Redis may evict limits, and messages about the news.
	// Defaults to slog.Default at the time of the message. Use
	// slog.New(slog.DiscardHandler) to log nothing.
	Logger *slog.Logger
}

// Backend keeps limits in Redis. Use [New] to make one: the methods of the zero value
// return a [*ConfigError], and so do methods called with a nil context. All methods are
// safe for concurrent use.
type Backend struct {
	client  redis.UniversalClient
	cluster bool
	prefix  string
	ttl     int64 // ExtraTTL in milliseconds
	logger  *slog.Logger
	epoch   time.Time // local instant 0
	news    news

	nodes      hasNodes      // nil off a cluster
	nodesKnown atomic.Bool   // a node has answered
	patience   time.Duration // nodePatience, except in tests

	mu       sync.Mutex        // guards what follows
	shard                      // of the only server; on a cluster, of nodes not known yet
	shards   map[string]*shard // of the nodes of a cluster, by address
	watched  bool              // the eviction policy was checked
	greeting greeting
}

// Clients are told apart by their methods, so that a client wrapped in another type is
// recognized.
type (
	// hasMasters is implemented by [*redis.ClusterClient].
	hasMasters interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	}
	// hasShards is implemented by [*redis.Ring] and [*redis.ClusterClient].
	hasShards interface {
		ForEachShard(context.Context, func(context.Context, *redis.Client) error) error
	}
)

// New returns a backend that uses client. The client's options say how to reach Redis and
// how long to wait. The caller keeps the client, and closes it when nothing uses the backend
// any more. New does not call Redis.
//
// New returns a [*ConfigError] if client is nil or a [*redis.Ring], or if a field of cfg is
// wrong. A Ring can't keep limits, because it moves keys when a server fails.
func New(client redis.UniversalClient, cfg Config) (*Backend, error) {
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &ConfigError{Field: "client", Value: "nil", Reason: "must be given, for example redis.NewClient(&redis.Options{Addr: \"127.0.0.1:6379\"})"}
	}
	masters, _ := client.(hasMasters)
	if _, ring := client.(hasShards); ring && masters == nil {
		return nil, &ConfigError{Field: "client", Value: "a *redis.Ring", Reason: "must be a client of one server, of Sentinel or of a Cluster"}
	}
	if cfg.ExtraTTL < 0 || cfg.ExtraTTL > gcra.MaxSpan {
		return nil, &ConfigError{Field: "ExtraTTL", Value: cfg.ExtraTTL, Reason: "must be from 0 to 100 years"}
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	b := &Backend{
		patience: nodePatience,
		client:   client,
		cluster:  masters != nil,
		prefix:   cfg.Prefix,
		ttl:      (ceilMicros(cfg.ExtraTTL) + 999) / 1000,
		logger:   cfg.Logger,
		epoch:    time.Now(),
	}
	if b.cluster {
		b.nodes, _ = client.(hasNodes)
		b.shards = make(map[string]*shard)
	}
	b.news.init(client, cfg.Prefix)
	return b, nil
}

// log returns the logger. The default is looked up each time.
func (b *Backend) log() *slog.Logger { return cmp.Or(b.logger, slog.Default()) }

// errZero is the error of a Backend that New did not make.
var errZero = &ConfigError{Field: "Backend", Value: "zero", Reason: "must be made by New"}

// enter is called first by all methods that take a context. A method does nothing if enter
// returns an error.
func (b *Backend) enter(ctx context.Context) error {
	switch {
	case b.client == nil:
		return errZero
	case ctx == nil:
		return &ConfigError{Field: "ctx", Value: "nil", Reason: "must be given, for example context.Background()"}
	}
	return ctx.Err()
}

// Traits implements [backend.Backend]: the backend takes slots back, checks limits, reports
// changes, and on a Redis Cluster names the node of a key.
func (b *Backend) Traits() backend.Traits {
	return backend.Traits{Releaser: b, Checker: b, Watcher: b, Sharder: b}
}

// Check implements [backend.Checker]. In addition to what [backend.Validate] refuses, it
// refuses limits of more than one event per microsecond; bursts that take more than 100 years
// with the interval rounded up to a microsecond; and, on a Redis Cluster, requests whose limits
// are in several hash slots.
func (b *Backend) Check(limits []backend.Limit) error {
	if b.client == nil {
		return errZero
	}
	if err := backend.Validate(limits); err != nil {
		return err
	}
	for i := range limits {
		l := &limits[i]
		if err := checkParams(l.Params); err != nil {
			return &backend.LimitError{Index: i, Key: l.Key, Err: err}
		}
		if b.cluster && i > 0 && slotOf(b.prefix+l.Key) != slotOf(b.prefix+limits[0].Key) {
			return &backend.LimitError{Index: i, Key: l.Key, Err: ErrCrossSlot}
		}
	}
	return nil
}

func checkParams(p gcra.FreqLimitParams) error {
	if perPeriod := p.Period / time.Microsecond; time.Duration(p.Limit) > perPeriod {
		return &gcra.ParamError{Field: "Limit", Value: p.Limit, Reason: fmt.Sprintf(
			"must be at most one per microsecond of Period on Redis, %d", int64(perPeriod))}
	}
	if most := mostMicros / interval(p); burst(p) > most {
		return &gcra.ParamError{Field: "Burst", Value: p.Burst, Reason: fmt.Sprintf(
			"must be at most %d on Redis, so that Burst intervals, rounded up to microseconds, take no more than 100 years", most)}
	}
	return nil
}
