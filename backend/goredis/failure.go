package goredis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// outlook says how a failure may end.
type outlook uint8

const (
	passing outlook = iota // it may fix itself: the requests wait
	lasting                // somebody has to fix it, and may be doing so: the requests fail after setupPatience
	final                  // somebody has to fix it: the requests fail
)

// Advice for a SetupError.
const (
	giveRights   = "give the Redis user the commands EVALSHA, EVAL, TIME, MGET, EXISTS and SET on the prefix of the limits, and on a Redis Cluster CLUSTER SLOTS, COMMAND and ASKING"
	setLogin     = "set Username and Password of the client"
	dropLogin    = "the server has no such password: set one there, or leave Username and Password of the client empty"
	openServer   = "set a password on the server, and as Password of the client, or turn its protected mode off"
	allowScripts = "use a server that has Lua scripts, and does not rename or disable EVALSHA, EVAL, TIME, MGET, EXISTS and SET"
	useRedisLua  = "use a server whose Lua scripts have the library struct and the commands TIME, MGET, EXISTS and SET"
	useCluster   = "the server belongs to a Redis Cluster: use a cluster client"
	useSingle    = "the server belongs to no Redis Cluster: use a client for a single server"
	useHashTag   = "the server belongs to a Redis Cluster: use a cluster client, and one hash tag for the keys of a request"
	useDB0       = "set DB of the client to 0"
	useOtherDB   = "set DB of the client to a database that the server has"
	useRESP2     = "set Protocol of the client to 2"
	keepOpen     = "close the client only when nothing uses the backend any more"
	fixAddr      = "set Addr of the client to host:port"
	fixTLS       = "check TLSConfig of the client and the certificates"
	useTLS       = "set TLSConfig of the client"
	fixMaster    = "set MasterName of the client to a name that the Sentinels know"
	openSocket   = "let this process connect to Addr of the client"
	findRedis    = "set Addr of the client to a Redis server: the server there is not Redis"
)

// replies lists the error replies of servers by prefix. A star matches anything, and the
// first match counts. Unless a comment names another server, the replies are those of Redis 5
// to 8, Valkey and KeyDB. A reply that is not listed is passing, unless a script raised it:
// the script would raise it again.
var replies = []struct {
	text    string
	outlook outlook
	advice  string
}{
	// The server is busy, starting, failing over or out of something.
	{"LOADING", passing, ""},
	{"Redis is loading", passing, ""},
	{"BUSY ", passing, ""},
	{"MASTERDOWN", passing, ""},
	{"READONLY", passing, ""},
	{"NOREPLICAS", passing, ""},
	{"MISCONF", passing, ""},
	{"OOM ", passing, ""},
	{"not enough memory", passing, ""}, // of Lua
	{"CLUSTERDOWN", passing, ""},
	{"TRYAGAIN", passing, ""},
	{"ASK ", passing, ""},
	{"UNBLOCKED", passing, ""},
	{"NOSCRIPT", passing, ""}, // forgotten again, after EVAL
	{"max number of clients", passing, ""},
	{"Script attempted to execute a * while the cluster is down", passing, ""},
	{"Script attempted to access a slot not served", passing, ""},
	{"Script killed by user", passing, ""},
	{"Lua script killed by user", passing, ""},

	// The login of the client and its rights.
	{"NOAUTH", lasting, setLogin},
	{"Protocol error: unauthenticated", lasting, setLogin}, // NOAUTH for a long command
	{"operation not permitted", lasting, setLogin},         // NOAUTH of old servers
	{"WRONGPASS", lasting, setLogin},
	{"invalid password", lasting, setLogin}, // Redis 5, Envoy
	{"wrong number of arguments for 'auth'", lasting, "leave Username of the client empty: the server has no users"}, // Redis 5
	{"Client sent AUTH, but no password is set", lasting, dropLogin},                                                 // Redis 5, Envoy
	{"AUTH <password> called without any password", lasting, dropLogin},
	{"DENIED", lasting, openServer},
	{"NOPERM", lasting, giveRights},
	{"ACL failure in script", lasting, giveRights},
	{"The user executing the script can't", lasting, giveRights},    // Redis 6 and 7.0
	{"command * not support for your account", lasting, giveRights}, // Alibaba Cloud

	// What the server supports.
	{"unknown command", final, allowScripts},
	{"unsupported command", final, allowScripts},             // Envoy
	{"Command is not available", final, allowScripts},        // Upstash
	{"Could not find scripting engine", final, allowScripts}, // Valkey
	{"Unknown Redis command", final, allowScripts},
	{"Unknown command called from script", final, allowScripts}, // Valkey
	{"This Redis command is not allowed from script", final, useRedisLua},
	{"script tried accessing undeclared key", final, useRedisLua}, // Dragonfly
	{"bad lua script for redis cluster", final, useRedisLua},      // Alibaba Cloud
	{"Script attempted to access nonexistent global variable", final, useRedisLua},
	{"Write commands not allowed after non deterministic commands", final, "use Redis 5 or later"},
	{"NOPROTO", final, useRESP2},

	// The location of keys. A cluster client follows MOVED. If it returns MOVED, the
	// nodes don't agree yet.
	{"DB index is out of range", final, useOtherDB},
	{"invalid DB index", final, useOtherDB},
	{"SELECT is not allowed in cluster mode", final, useDB0},
	{"This instance has cluster support disabled", final, useSingle},
	{"MOVED", final, useCluster},
	{"Script attempted to access a non local key", final, useCluster},
	{"Lua script attempted to access a non local key", final, useCluster},
	{"CROSSSLOT", final, useHashTag},
	{"Script attempted to access keys that do not hash", final, useHashTag},
	{"Command * in script attempted to access keys that don't hash", final, useHashTag},
	{"eval/evalsha command keys must in same slot", final, useHashTag}, // Alibaba Cloud
}

var (
	// wrapping matches the text that servers put before an error that a script raised.
	wrapping = regexp.MustCompile(`^(ERR )?(Error (running|compiling) script \([^)]*\): )?([@<]?\w+>?: ?\d+: )*-?(ERR )?`)
	// raised matches the errors that scripts raise.
	raised = regexp.MustCompile(`^(ERR )?(Error (running|compiling) script|@?user_script:|Lua )| script: \w+, on @`)
	// ofTLS matches the errors of package tls, including those that the server reports.
	ofTLS = regexp.MustCompile(`(^|: )tls: `)
)

// classify returns the outlook of a call's error, and the error itself, as a [*SetupError] if
// somebody has to fix it.
func (b *Backend) classify(err error) (outlook, error) {
	var said redis.Error
	outlook, advice := passing, ""
	switch {
	case err == nil:
		return passing, nil
	case errors.As(err, &said) && !errors.Is(err, redis.Nil):
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			return final, fmt.Errorf("%w: %w", ErrForeign, err)
		}
		outlook, advice = b.classifyReply(said.Error())
	default:
		outlook, advice = b.classifyClient(err)
	}
	if outlook == passing {
		if !redis.HasErrorPrefix(err, "NOSCRIPT") {
			b.reloadCluster()
		}
		return passing, err
	}
	return outlook, &SetupError{Advice: advice, Err: err}
}

// reloadCluster makes a cluster client look up again which node has which slots, without
// waiting for the answer. A failing node may have been replaced. Otherwise the client looks only
// once per ClusterOptions.ClusterStateReloadInterval, a minute by default, or when a node
// redirects it, which a dead node doesn't. If a lookup is under way, the client makes another.
func (b *Backend) reloadCluster() {
	if c, ok := b.client.(hasState); ok {
		c.ReloadState(context.Background())
	}
}

// hasState is implemented by [*redis.ClusterClient].
type hasState interface{ ReloadState(context.Context) }

// classifyReply classifies an error reply of a server.
func (b *Backend) classifyReply(text string) (outlook, string) {
	inner := strings.TrimPrefix(text, wrapping.FindString(text))
	for _, r := range replies {
		begin, more, _ := strings.Cut(r.text, "*")
		if rest, ok := strings.CutPrefix(inner, begin); ok && strings.Contains(rest, more) {
			if b.cluster && r.advice == useCluster {
				return passing, ""
			}
			return r.outlook, r.advice
		}
	}
	if raised.MatchString(text) {
		return lasting, useRedisLua
	}
	return passing, ""
}

// classifyClient classifies an error of the client, such as a broken connection.
func (b *Backend) classifyClient(err error) (outlook, string) {
	text := err.Error()
	says := func(what string) bool { return strings.Contains(text, what) }
	addr, isAddr := errors.AsType[*net.AddrError](err)
	host, isHost := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, redis.ErrClosed):
		if b.cluster {
			return lasting, keepOpen // it may be a node that has left
		}
		return final, keepOpen
	case isAddr && addr.Err != "no suitable address found", isHost && host.Err == "unknown port":
		return final, fixAddr
	case isNet && timeout.Timeout():
		return passing, ""
	case errors.Is(err, errSpeaksTLS):
		return lasting, useTLS
	case ofTLS.MatchString(text):
		return lasting, fixTLS
	case errors.Is(err, fs.ErrPermission):
		return lasting, openSocket
	case errors.Is(err, redis.Nil) && says("sentinel"):
		return lasting, fixMaster
	case errors.Is(err, redis.Nil), errors.Is(err, errReply), says("redis: unexpected type"):
		return lasting, useRedisLua
	case says("redis: can't parse"), says("redis: invalid reply"):
		return lasting, findRedis
	}
	return passing, ""
}

// setupPatience is how long a lasting failure may last before it fails the requests, if
// there were answers before.
const setupPatience = 10 * time.Second

// setup decides when a lasting failure becomes final.
type setup struct {
	answered bool
	since    int64 // when the lasting failures began, nanoseconds; 0: the last was an answer
}

// isFinal records the result of a call at now, and reports whether it fails the requests.
func (s *setup) isFinal(err error, o outlook, now int64) bool {
	if err == nil {
		s.answered, s.since = true, 0
	}
	if o != lasting {
		return o == final
	}
	if s.since == 0 {
		s.since = max(now, 1)
	}
	return !s.answered || now-s.since >= int64(setupPatience)
}
