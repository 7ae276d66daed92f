package goredis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// replied is an error that the server replies with.
type replied = serverError

// What servers reply, word by word.
var replyCases = []struct {
	text    string
	outlook outlook
	advice  string // in the SetupError
}{
	// Redis that is busy, starts, fails over or is out of something.
	{"LOADING Redis is loading the dataset in memory", passing, ""},
	{"READONLY You can't write against a read only replica.", passing, ""},
	{"READONLY You can't write against a read only replica. script: 49d3, on @user_script:105.", passing, ""},
	{"ERR Error running script (call to f_49d3): @user_script:105: @user_script: 105: -READONLY You can't write against a read only replica. ", passing, ""},
	{"OOM command not allowed when used memory > 'maxmemory'.", passing, ""},
	{"OOM command not allowed when used memory > 'maxmemory'. script: 49d3, on @user_script:105.", passing, ""},
	{"ERR Error running script (call to f_49d3): @user_script:105: @user_script: 105: -OOM command not allowed when used memory > 'maxmemory'. ", passing, ""},
	{"ERR Error running script (call to f_49d3): not enough memory", passing, ""},
	{"CLUSTERDOWN The cluster is down", passing, ""},
	{"CLUSTERDOWN Hash slot not served", passing, ""},
	{"ERR Script attempted to execute a write command while the cluster is down and readonly script: 49d3, on @user_script:27.", passing, ""},
	{"TRYAGAIN Multiple keys request during rehashing of slot", passing, ""},
	{"ASK 1234 127.0.0.1:7001", passing, ""},
	{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", passing, ""},
	{"NOREPLICAS Not enough good replicas to write.", passing, ""},
	{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", passing, ""},
	{"BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", passing, ""},
	{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", passing, ""},
	{"ERR max number of clients reached", passing, ""},
	{"ERR max number of clients + cluster connections reached", passing, ""},
	{"NOSCRIPT No matching script. Please use EVAL.", passing, ""},
	{"ERR Error running script (call to f_49d3): @user_script:27: Script killed by user with SCRIPT KILL... ", passing, ""},
	// Upstash and Envoy.
	{"ERR max daily request limit exceeded. Limit: 10000, Usage: 10000.", passing, ""},
	{"upstream failure", passing, ""},
	{"ERR something that nobody has heard of", passing, ""},

	// Who the client is, and what it may do.
	{"NOAUTH Authentication required.", lasting, "Username and Password"},
	{"ERR Protocol error: unauthenticated multibulk length", lasting, "Username and Password"},
	{"ERR Protocol error: unauthenticated bulk length", lasting, "Username and Password"},
	{"ERR operation not permitted", lasting, "Username and Password"},
	{"WRONGPASS invalid username-password pair or user is disabled.", lasting, "Username and Password"},
	{"ERR invalid password", lasting, "Username and Password"},
	{"ERR wrong number of arguments for 'auth' command", lasting, "Username"},
	{"ERR Client sent AUTH, but no password is set", lasting, "empty"},
	{"ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?", lasting, "empty"},
	{"DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.", lasting, "protected mode"},
	{"NOPERM this user has no permissions to run the 'evalsha' command", lasting, "EVALSHA"},
	{"NOPERM User limiter has no permissions to run the 'evalsha' command", lasting, "EVALSHA"},
	{"NOPERM No permissions to access a key", lasting, "on the prefix"},
	{"ERR Error running script (call to f_49d3): @user_script:27: @user_script: 27: The user executing the script can't run this command or subcommand ", lasting, "MGET"},
	{"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 49d3, on @user_script:27.", lasting, "on the prefix"},
	{"ERR ACL failure in script: User limiter has no permissions to run the 'mget' command script: 49d3, on @user_script:27.", lasting, "MGET"},
	{"NOPERM ACL failure in script: User limiter has no permissions to run the 'mget' command script: 49d3, on @user_script:27.", lasting, "MGET"},
	{"ERR command 'evalsha' not support for your account", lasting, "EVALSHA"},

	// What the server can do.
	{"ERR unknown command 'evalsha', with args beginning with: '49d3' '1' 'script killed by user'", final, "Lua scripts"},
	{"ERR unknown command `evalsha`, with args beginning with: `49d3`, `1`, `NOAUTH`, ", final, "Lua scripts"},
	{"unsupported command 'evalsha'", final, "Lua scripts"},
	{"ERR Command is not available: 'EVALSHA'. See https://upstash.com/docs/redis/overall/rediscompatibility for details", final, "Lua scripts"},
	{"ERR Could not find scripting engine 'lua'", final, "Lua scripts"},
	{"ERR Unknown Redis command called from script script: 49d3, on @user_script:27.", final, "rename or disable"},
	{"ERR Error running script (call to f_49d3): @user_script:27: @user_script: 27: Unknown Redis command called from Lua script ", final, "rename or disable"},
	{"ERR This Redis command is not allowed from script script: 49d3, on @user_script:18.", final, "TIME"},
	{"ERR Error running script (call to f_49d3): @user_script:18: @user_script: 18: This Redis command is not allowed from scripts ", final, "TIME"},
	{"ERR Error running script (call to 49d3): @user_script:27: -ERR script tried accessing undeclared key, key: limits:k", final, "whose Lua scripts"},
	{"script tried accessing undeclared key", final, "whose Lua scripts"},
	{"ERR bad lua script for redis cluster, all the keys that the script uses should be passed using the KEYS array", final, "whose Lua scripts"},
	{"ERR Error running script (call to f_49d3): @enable_strict_lua:15: user_script:14: Script attempted to access nonexistent global variable 'struct' ", final, "struct"},
	{"ERR user_script:14: Script attempted to access nonexistent global variable 'struct' script: 49d3, on @user_script:14.", final, "struct"},
	{"ERR user_script:14: attempt to index global 'struct' (a nil value) script: 49d3, on @user_script:14.", lasting, "struct"},
	{"ERR Error compiling script (new function): <string>:14: attempt to index a non-table object(nil) with key 'pack'", lasting, "struct"},
	{"ERR Lua encountered an error: attempt to index a nil value (global 'struct')", lasting, "struct"}, // Garnet
	{"ERR Error running script (call to f_49d3): @user_script:27: Write commands not allowed after non deterministic commands", final, "Redis 5"},
	{"NOPROTO unsupported protocol version", final, "Protocol"},

	// Where the keys are.
	{"ERR DB index is out of range", final, "DB of the client"},
	{"ERR invalid DB index", final, "DB of the client"},
	{"ERR SELECT is not allowed in cluster mode", final, "DB of the client to 0"},
	{"ERR This instance has cluster support disabled", final, "single server"},
	{"MOVED 1234 127.0.0.1:7001", final, "cluster client"},
	{"ERR Script attempted to access a non local key in a cluster node script: 49d3, on @user_script:27.", final, "cluster client"},
	{"ERR Error running script (call to f_49d3): @user_script:27: @user_script: 27: Lua script attempted to access a non local key in a cluster node ", final, "cluster client"},
	{"CROSSSLOT Keys in request don't hash to the same slot", final, "hash tag"},
	{"ERR Script attempted to access keys that do not hash to the same slot script: 49d3, on @user_script:27.", final, "hash tag"},
	{"ERR eval/evalsha command keys must in same slot", final, "hash tag"},
}

// Lasting replies are told from passing ones, and all errors contain the server's words.
func TestClassifyReplies(t *testing.T) {
	b := newBackend(t, unasked(t), Config{})
	for _, c := range replyCases {
		for _, err := range []error{serverError(c.text), fmt.Errorf("failed to authenticate: %w", serverError(c.text))} {
			is, got := b.classify(err)
			if is != c.outlook || !errors.Is(got, err) || !strings.Contains(got.Error(), c.text) {
				t.Errorf("classify(%v) = %v, %d, want outlook %d", err, got, is, c.outlook)
			}
			if is != passing {
				wantSetupError(t, "classify()", got, c.advice)
			} else if errors.Is(got, ErrSetup) {
				t.Errorf("classify(%v) = %v, want no SetupError", err, got)
			}
		}
	}
}

// On a cluster, nodes may disagree for a while about which of them has a slot.
func TestClassifyRepliesOnCluster(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:0"}})
	t.Cleanup(func() { _ = client.Close() })
	b := newBackend(t, client, Config{})
	for _, text := range []string{"MOVED 1234 127.0.0.1:7001", "ERR Script attempted to access a non local key in a cluster node script: 49d3, on @user_script:27."} {
		if is, got := b.classify(serverError(text)); is != passing {
			t.Errorf("classify(%s) = %v, %d, want it passing", text, got, is)
		}
	}
	if is, got := b.classify(serverError("NOPERM")); is != lasting {
		t.Errorf("classify(NOPERM) = %v, %d, want it lasting", got, is)
	}
}

// A value of another type is foreign, whichever call finds it.
func TestClassifyWrongType(t *testing.T) {
	b := newBackend(t, unasked(t), Config{})
	err := serverError("WRONGTYPE Operation against a key holding the wrong kind of value")
	if is, got := b.classify(err); is != final || !errors.Is(got, ErrForeign) || !errors.Is(got, err) {
		t.Errorf("classify(%v) = %v, %d, want it final and ErrForeign", err, got, is)
	}
}

// Errors that the client itself returns are classified by type and text.
func TestClassifyErrorsOfTheClient(t *testing.T) {
	b := newBackend(t, unasked(t), Config{})
	op := func(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Err: err} }
	_, _, noPort := net.SplitHostPort("localhost")
	for _, c := range []struct {
		err     error
		outlook outlook
		advice  string
	}{
		{errors.New("NOPERM is no word of Redis here"), passing, ""},
		{io.EOF, passing, ""},
		{context.DeadlineExceeded, passing, ""},
		{redis.ErrPoolTimeout, passing, ""},
		{redis.ErrPoolExhausted, passing, ""},
		{op("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED)), passing, ""},
		{op("dial", &net.DNSError{Err: "no such host", Name: "redis", IsNotFound: true}), passing, ""}, // it may come up
		{op("dial", &net.DNSError{Err: "no such host", Name: "redis-tls", IsNotFound: true}), passing, ""},
		{op("read", os.ErrDeadlineExceeded), passing, ""},
		{op("write", os.NewSyscallError("write", syscall.EPIPE)), passing, ""},
		{errors.New("redis: cluster has no nodes"), passing, ""},

		{redis.ErrClosed, final, "close the client"},
		{op("dial", noPort), final, "host:port"},
		{op("dial", &net.DNSError{Err: "unknown port", Name: "tcp/redis"}), final, "host:port"},
		{op("dial", os.NewSyscallError("connect", syscall.EACCES)), lasting, "this process"},
		{&fs.PathError{Op: "open", Err: fs.ErrPermission}, lasting, "this process"},
		{fmt.Errorf("dial: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), lasting, "TLSConfig"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, lasting, "TLSConfig"},
		{op("remote error", errors.New("tls: certificate required")), lasting, "TLSConfig"},
		{errSpeaksTLS, lasting, "set TLSConfig"},
		{errors.New(`redis: can't parse map reply: "HTTP/1.1 400 Bad Request"`), lasting, "Addr"},
		{errors.New(`redis: invalid reply: "SSH-2.0-OpenSSH"`), lasting, "Addr"},
		{errReply, lasting, "Lua scripts"},
		{redis.Nil, lasting, "Lua scripts"},
		{errors.New("redis: unexpected type=int64 for String"), lasting, "Lua scripts"},
		{fmt.Errorf("redis: all sentinels specified in configuration are unreachable: %w", errors.Join(redis.Nil)), lasting, "MasterName"},
	} {
		is, got := b.classify(c.err)
		if is != c.outlook || !errors.Is(got, c.err) || errors.Is(got, ErrSetup) != (is != passing) {
			t.Errorf("classify(%v) = %v, %d, want outlook %d", c.err, got, is, c.outlook)
		}
		if is != passing {
			wantSetupError(t, fmt.Sprintf("classify(%v)", c.err), got, c.advice)
		}
	}
	if is, got := b.classify(nil); got != nil || is != passing {
		t.Errorf("classify(nil) = %v, %d, want nil", got, is)
	}
}
