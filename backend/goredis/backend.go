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

// DefaultPrefix is the prefix of the limits' keys in Redis, unless Config says
// another: that of aiofreqlimit. The values are not the same; do not share it.
const DefaultPrefix = "freqlimit:gcra:"

// Config is optional in every field.
type Config struct {
	// Prefix stands before each key in Redis. Backends with one prefix share
	// their limits, and [Backend.Clear] clears whatever begins with it. Any bytes
	// will do. Defaults to [DefaultPrefix].
	Prefix string

	// ExtraTTL is how long a limit is kept in Redis beyond its debt. It changes
	// no decision, but lets the last state be looked at. Up to 100 years.
	// Defaults to 0.
	ExtraTTL time.Duration

	// Logger gets a warning if Redis may evict limits. Defaults to slog.Default, as it is at
	// the time; slog.New(slog.DiscardHandler) writes nothing.
	Logger *slog.Logger
}

// Backend keeps limits in Redis. Use [New]: the methods of the zero value return a
// [*ConfigError], as do those that get no context. All methods are safe for concurrent
// use.
type Backend struct {
	client  redis.UniversalClient
	cluster bool
	prefix  string
	ttl     int64 // ExtraTTL in milliseconds
	logger  *slog.Logger
	epoch   time.Time // local instant 0
	news    news

	nodes      hasNodes    // nil off a cluster
	nodesKnown atomic.Bool // there has been an answer

	mu       sync.Mutex        // guards what follows
	shard                      // of the one server; on a cluster, of nodes that are not known yet
	shards   map[string]*shard // of the nodes of a cluster, by address
	watched  bool              // the eviction policy has been looked at
	greeting greeting
}

// Clients are told apart by what they can do, so that one that is wrapped in another
// type is taken for what it is.
type (
	// hasMasters is what a [*redis.ClusterClient] can do.
	hasMasters interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	}
	// hasShards is what a [*redis.Ring] can do, and a cluster's client too.
	hasShards interface {
		ForEachShard(context.Context, func(context.Context, *redis.Client) error) error
	}
)

// New returns a backend on a client, which remains the caller's: its options say
// how to reach Redis and how long to wait, and the caller closes it when nothing
// uses the backend any more. New asks Redis nothing.
//
// A nil client, a [*redis.Ring] (its keys move when a server fails, and limits
// with them) or a wrong field of cfg is a [*ConfigError].
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
		client:  client,
		cluster: masters != nil,
		prefix:  cfg.Prefix,
		ttl:     (ceilMicros(cfg.ExtraTTL) + 999) / 1000,
		logger:  cfg.Logger,
		epoch:   time.Now(),
	}
	if b.cluster {
		b.nodes, _ = client.(hasNodes)
		b.shards = make(map[string]*shard)
	}
	b.news.init(client, cfg.Prefix)
	return b, nil
}

// log returns where to log: the default is that of the moment.
func (b *Backend) log() *slog.Logger { return cmp.Or(b.logger, slog.Default()) }

// errZero is the error of a Backend that New has not made.
var errZero = &ConfigError{Field: "Backend", Value: "zero", Reason: "must be made by New"}

// enter is called first by the methods that take a context. It returns why they have
// nothing to do.
func (b *Backend) enter(ctx context.Context) error {
	switch {
	case b.client == nil:
		return errZero
	case ctx == nil:
		return &ConfigError{Field: "ctx", Value: "nil", Reason: "must be given, for example context.Background()"}
	}
	return ctx.Err()
}

// Check implements [backend.Checker]. Beyond what [backend.Validate] refuses, it
// refuses limits of more than one event per microsecond, bursts that take more
// than 100 years when their interval is rounded up to a microsecond, and on a
// Redis Cluster requests whose limits lie in several hash slots.
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
			"must on Redis be at most one per microsecond of Period, %d", int64(perPeriod))}
	}
	if most := mostMicros / interval(p); burst(p) > most {
		return &gcra.ParamError{Field: "Burst", Value: p.Burst, Reason: fmt.Sprintf(
			"must on Redis be at most %d, so that Burst intervals, rounded up to microseconds, take no more than 100 years", most)}
	}
	return nil
}
