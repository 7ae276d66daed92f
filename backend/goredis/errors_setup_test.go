package goredis

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// wantSetupError wants an error to be one that won't fix itself, with advice.
func wantSetupError(t testing.TB, what string, err error, advice string) {
	t.Helper()
	var setup *SetupError
	if !errors.As(err, &setup) || !errors.Is(err, ErrSetup) || !strings.Contains(setup.Advice, advice) {
		t.Errorf("%s = %v, want a SetupError that advises %q", what, err, advice)
	}
}

// wantSetup wants it in a decision, which is final.
func wantSetup(t testing.TB, d backend.Decision, advice string) {
	t.Helper()
	wantSetupError(t, fmt.Sprintf("Reserve() = %+v: Err", d), d.Err, advice)
	if d.Granted || d.Undecided || d.Binding != -1 {
		t.Errorf("Reserve() = %+v, want Err alone", d)
	}
}

// wantAllSetup wants it of every method.
func wantAllSetup(t *testing.T, b *Backend, advice string) {
	t.Helper()
	k := limit("k", every(time.Hour, 1))
	for _, d := range decide(t, b, request(k), request(limit("other", every(time.Hour, 1)), k)) {
		wantSetup(t, d, advice)
	}
	wantSetupError(t, "Hold()", b.Hold(t.Context(), "k", time.Hour), advice)
	wantSetupError(t, "Release()", b.Release(t.Context(), []backend.Limit{k}, 1), advice)
}

// Trap 22: the client's credentials are wrong.
func TestWrongCredentials(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	for _, o := range []redis.Options{{}, {Password: "wrong"}, {Username: "nobody", Password: "secret"}} {
		o.Addr = server.Addr()
		b := newBackend(t, clientWith(t, &o), Config{})
		wantAllSetup(t, b, "Username and Password")
		wantSetupError(t, "Clear()", b.Clear(t.Context()), "Username and Password")
	}
	takes(t, newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), Password: "secret"}), Config{}), limit("k", every(time.Hour, 1)))
}

// Trap 22: a server accepts only short commands from a client that has not logged in. A command
// with many keys gets a different error.
func TestNoPasswordForManyKeys(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	b := newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), MaxRetries: -1}), Config{})
	reqs := make([]backend.Request, 30)
	for i := range reqs {
		reqs[i] = request(limit(fmt.Sprint(i), every(time.Hour, 1)))
	}
	for _, d := range decide(t, b, reqs...) {
		wantSetup(t, d, "Username and Password")
	}
}

// A client that has been closed does not come back.
func TestClientIsClosed(t *testing.T) {
	client := redistest.Client(t)
	o := *client.Options()
	mine := redis.NewClient(&o)
	b := newBackend(t, mine, Config{})
	takes(t, b, limit("k", every(time.Hour, 1)))
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	wantAllSetup(t, b, "close the client")
	wantSetupError(t, "Clear()", b.Clear(t.Context()), "close the client")
}

// The client's address is invalid, or belongs to something other than Redis.
func TestWrongAddress(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for addr, advice := range map[string]string{
		"localhost":                  "host:port",
		"localhost:redis-server":     "host:port",
		"localhost:99999":            "host:port",
		"redis://localhost:6379":     "host:port",
		web.Listener.Addr().String(): "the server there is not Redis",
	} {
		b := newBackend(t, clientWith(t, &redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1}), Config{})
		wantAllSetup(t, b, advice)
	}
}

// setUser makes a user that may do what rules say, on a server that knows the
// scripts, and returns a backend that is that user. Its prefix is "limits:".
func setUser(t *testing.T, server *redistest.Server, rules ...string) *Backend {
	t.Helper()
	admin := server.Client(t)
	args := []any{"ACL", "SETUSER", "user", "reset", "on", ">pw"}
	for _, r := range rules {
		args = append(args, r)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v, want nil", args, err)
	}
	return newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), Username: "user", Password: "pw"}), Config{Prefix: "limits:"})
}

// needed is what the package comment says that the user needs.
var (
	needed          = []string{"+evalsha", "+eval", "+time", "+mget", "+exists", "+set"}
	neededOnCluster = []string{"+cluster|slots", "+command", "+asking"}
)

// Trap 22: what the package comment and the advice of a SetupError say that the
// user needs is enough, and each of it is needed.
func TestUserNeedsWhatTheDocsSay(t *testing.T) {
	server := redistest.Start(t)
	admin := newBackend(t, server.Client(t), Config{Prefix: "limits:"})
	k := limit("k", every(time.Hour, 1))

	b := setUser(t, server, append(needed, "~limits:*")...)
	takes(t, b, k)
	refused(t, b, k)
	if err := b.Hold(t.Context(), "held", time.Hour); err != nil {
		t.Errorf("Hold() = %v, want nil", err)
	}
	if err := b.Release(t.Context(), []backend.Limit{k}, 1); err != nil {
		t.Errorf("Release() = %v, want nil", err)
	}
	wantSetupError(t, "Clear() without SCAN", b.Clear(t.Context()), "SCAN and UNLINK")
	if err := setUser(t, server, append(needed, "~limits:*", "+scan", "+unlink")...).Clear(t.Context()); err != nil {
		t.Errorf("Clear() = %v, want nil", err)
	}

	for i, missing := range needed {
		// So that the server knows the scripts but where EVAL is missing.
		flushScripts(t, server.Client(t))
		if missing != "+eval" {
			takes(t, admin, limit(fmt.Sprint("load", i), every(time.Hour, 1)))
		}
		rules := slices.Delete(slices.Clone(needed), i, i+1)
		b := setUser(t, server, append(rules, "~limits:*")...)
		// Only a request of several limits needs EXISTS.
		d := decide(t, b, request(limit(fmt.Sprint("new", i), every(time.Hour, 1)), limit(fmt.Sprint("more", i), every(time.Hour, 1))))[0]
		if d.Granted || d.Undecided {
			t.Errorf("Reserve() of a user without %s = %+v, want a SetupError", missing, d)
		}
		wantSetup(t, d, "EVALSHA, EVAL, TIME, MGET, EXISTS and SET on the prefix")
	}
}

// Trap 22: the user has rights to other keys only.
func TestUserOfOtherKeys(t *testing.T) {
	server := redistest.Start(t)
	wantAllSetup(t, setUser(t, server, append(needed, "~other:*")...), "on the prefix of the limits")
	wantAllSetup(t, setUser(t, server, "-@all", "+ping", "~*"), "EVALSHA, EVAL")
}

// Trap 22: the server has commands renamed, as some hosts do.
func TestCommandsRenamed(t *testing.T) {
	for _, command := range []string{"EVALSHA", "EVAL", "MGET", "TIME", "SET", "EXISTS"} {
		server := redistest.Start(t, "--rename-command", command, `""`)
		b := newBackend(t, server.Client(t), Config{})
		wantSetup(t, decide(t, b, request(limit("k", every(time.Hour, 1)), limit("l", every(time.Hour, 1))))[0], "disable")
	}
}

// The client's database doesn't exist on the server.
func TestWrongDatabase(t *testing.T) {
	server := redistest.Start(t, "--databases", "2")
	wantAllSetup(t, newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), DB: 2}), Config{}), "DB of the client")
	takes(t, newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), DB: 1}), Config{}), limit("k", every(time.Hour, 1)))
	node := redistest.Cluster(t)[0]
	wantAllSetup(t, newBackend(t, clientWith(t, &redis.Options{Addr: node, DB: 1}), Config{}), "DB of the client to 0")
}
