package goredis

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// Trap 21: Clear deletes exactly the keys that begin with the prefix, even if the prefix holds
// characters that are special in a pattern.
func TestClearOnlyItsOwn(t *testing.T) {
	eachKind(t, func(t *testing.T, client redis.UniversalClient, base string) {
		k := limit("k", every(time.Hour, 1))
		for i, c := range []struct {
			prefix string
			others []string // that a pattern takes for the prefix
		}{
			{"*", []string{"", "x", "xx:"}},
			{"a*", []string{"a", "ab", "b*"}},
			{"?", []string{"x", "", "\x00"}},
			{"[a-z]", []string{"b", "[", "a-z", "-"}},
			{"[^x]", []string{"y", "^", "x"}},
			{"h[ae]llo", []string{"hello", "hallo"}},
			{`\`, []string{"", "/"}},
			{`\*`, []string{"*", "x", `\x`}},
			{`\\[a]`, []string{`\[a]`, `\\a`, `\a`}},
			{"a]b", []string{"ab", "a"}},
			{"\x00", []string{"", "0", "\x01"}},
			{"\xff\xfe", []string{"\xff", "\ufffd", "\xfe"}},
			{"None", []string{"none", "Non"}},
			{"{a}", []string{"{b}", "a"}},
		} {
			root := base + strconv.Itoa(i) + "!"
			own := newBackend(t, client, Config{Prefix: root + c.prefix})
			other := make([]*Backend, 0, len(c.others))
			for _, p := range c.others {
				if p := root + p; p != own.prefix {
					b := newBackend(t, client, Config{Prefix: p})
					if len(p) >= len(own.prefix) || own.prefix[:len(p)] != p {
						takes(t, b, k)
						other = append(other, b)
						continue
					}
					// Its keys are told by what follows.
					takes(t, b, limit("~", every(time.Hour, 1)))
					if err := own.Clear(t.Context()); err != nil {
						t.Fatalf("Clear() = %v, want nil", err)
					}
					refused(t, b, limit("~", every(time.Hour, 1)))
				}
			}
			for range 2 {
				for _, key := range weirdKeys()[:20] {
					takes(t, own, limit(key, every(time.Hour, 1)))
				}
				if err := own.Hold(t.Context(), "held", time.Hour); err != nil {
					t.Fatalf("Hold() = %v, want nil", err)
				}
				if err := own.Clear(t.Context()); err != nil {
					t.Fatalf("Clear() of %q = %v, want nil", own.prefix, err)
				}
			}
			takes(t, own, limit("held", every(time.Hour, 1)))
			for _, b := range other {
				if d := reserve(t, b, 0, k); d.Granted {
					t.Errorf("Clear() of %q has cleared %q", own.prefix, b.prefix)
				}
			}
		}
	})
}

// Traps 20 and 21: on a cluster the keys are on all nodes, also for a client that is
// wrapped in another type.
func TestClearOnAllNodes(t *testing.T) {
	client := clusterClient(t)
	wrapped := struct{ *redis.ClusterClient }{client}
	b, kept := newBackend(t, wrapped, Config{}), newBackend(t, client, Config{})
	if err := b.Check([]backend.Limit{limit("a", every(time.Hour, 1)), limit("b", every(time.Hour, 1))}); !errors.Is(err, ErrCrossSlot) {
		t.Errorf("Check() of limits in two slots = %v, want %v", err, ErrCrossSlot)
	}
	var reqs []backend.Request
	for i := range 2500 { // so that SCAN takes several steps on each node
		reqs = append(reqs, request(limit(fmt.Sprint(i), every(time.Hour, 1))))
	}
	for chunk := range slices.Chunk(reqs, 250) { // so that a node answers in time on a busy machine too
		decide(t, b, chunk...)
	}
	decide(t, kept, reqs[:100]...)
	if err := b.Clear(t.Context()); err != nil {
		t.Fatalf("Clear() = %v, want nil", err)
	}
	for node, n := range spread(t, client, b.prefix) {
		if n != 0 {
			t.Errorf("keys left on node %s = %d, want 0", node, n)
		}
	}
	for i, d := range decide(t, kept, reqs[:100]...) {
		if d.Granted {
			t.Errorf("key %d of another prefix was cleared", i)
		}
	}
}

// Trap 21: while 20,000 keys are cleared, other calls are served, and none of them takes as long
// as the Clear.
func TestClearWhileOthersAreServed(t *testing.T) {
	const keys = 20_000
	client := redistest.Client(t)
	b, other := newBackend(t, client, Config{}), newBackend(t, client, Config{})
	reqs := make([]backend.Request, keys)
	for i := range reqs {
		reqs[i] = request(limit(strconv.Itoa(i), every(time.Hour, 1)))
	}
	for chunk := range slices.Chunk(reqs, 2000) {
		decide(t, b, chunk...)
	}
	cleared := make(chan error, 1)
	go func() { cleared <- b.Clear(t.Context()) }()
	served := 0
	for {
		reserve(t, other, backend.Unlimited, limit("k", every(time.Microsecond, 1)))
		select {
		case err := <-cleared:
			if err != nil {
				t.Errorf("Clear() = %v, want nil", err)
			}
			if served < 10 {
				t.Errorf("calls served while %d keys were cleared = %d, want many", keys, served)
			}
			for i, d := range decide(t, b, reqs[:1000]...) {
				if !d.Granted {
					t.Fatalf("key %d is still there", i)
				}
			}
			return
		default:
			served++
		}
	}
}

func TestEscapeGlob(t *testing.T) {
	for _, c := range []struct{ s, want string }{
		{"", ""},
		{"plain:{tag}", "plain:{tag}"},
		{`*?[]\`, `\*\?\[\]\\`},
		{"\x00\xff", "\x00\xff"},
	} {
		if got := escapeGlob(c.s); got != c.want {
			t.Errorf("escapeGlob(%q) = %q, want %q", c.s, got, c.want)
		}
	}
}
