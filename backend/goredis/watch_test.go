package goredis

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// listening returns the changes that a backend reports, once it has reported a ChangeCurrent.
func listening(t *testing.T, b *Backend) chan backend.Change {
	t.Helper()
	news := make(chan backend.Change, 1000)
	t.Cleanup(b.Watch(func(c backend.Change) { news <- c }))
	wantNews(t, news, backend.ChangeCurrent, "")
	return news
}

// wantNews waits for a change, and ignores others before it.
func wantNews(t *testing.T, news chan backend.Change, kind backend.ChangeKind, key string) backend.Change {
	t.Helper()
	for {
		c := receive(t, fmt.Sprintf("a change of kind %d and key %q", kind, key), news)
		if c.Kind == kind && c.Key == key {
			return c
		}
	}
}

func hold(t *testing.T, b *Backend, key string, d time.Duration) {
	t.Helper()
	if err := b.Hold(t.Context(), key, d); err != nil {
		t.Fatalf("Hold(%q) = %v, want nil", key, err)
	}
}

// logging returns a backend and its log.
func logging(t *testing.T, client redis.UniversalClient, cfg Config) (*Backend, *logged) {
	t.Helper()
	log := &logged{}
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	return newBackend(t, client, cfg), log
}

// wantLines wants so many lines of the log to hold a text.
func (l *logged) wantLines(t *testing.T, text string, want int) {
	t.Helper()
	if got := strings.Count(l.String(), text); got != want {
		t.Errorf("%d lines of the log hold %q, want %d:\n%s", got, text, want, l)
	}
}

// Two backends, which stand for two processes, learn of each other's changes, also on a cluster, where
// the keys are in several hash slots.
func TestNewsOfOthers(t *testing.T) {
	for name, client := range map[string]func(t testing.TB) redis.UniversalClient{
		"single":  func(t testing.TB) redis.UniversalClient { return redistest.Client(t) },
		"cluster": func(t testing.TB) redis.UniversalClient { return clusterClient(t) },
	} {
		t.Run(name, func(t *testing.T) {
			prefix := redistest.Prefix(t)
			mine, theirs := newBackend(t, client(t), Config{Prefix: prefix}), newBackend(t, client(t), Config{Prefix: prefix})
			hold(t, theirs, "before", time.Hour)
			other := newBackend(t, client(t), Config{Prefix: prefix + "other:"})
			hold(t, other, "other", time.Hour)
			news := make(chan backend.Change, 100)
			t.Cleanup(mine.Watch(func(c backend.Change) { news <- c }))
			if c := receive(t, "news", news); c.Key != "before" || time.Until(c.Until) < 59*time.Minute || time.Until(c.Until) > time.Hour {
				t.Errorf("the first change is %+v, want the hold from before", c)
			}
			for i := range 20 {
				key := fmt.Sprint("key ", i)
				l := limit(key, every(time.Hour, 1))
				takes(t, theirs, l)
				d := reserve(t, theirs, backend.Unlimited, l)
				hold(t, theirs, key, time.Minute)
				if c := wantNews(t, news, backend.ChangeHold, key); time.Until(c.Until) > time.Minute || time.Until(c.Until) < time.Minute-patience {
					t.Errorf("the hold of %q is told until %v from now, want 1m", key, time.Until(c.Until))
				}
				if err := theirs.Release(t.Context(), []backend.Limit{l}, d.Token); err != nil {
					t.Fatalf("Release() = %v, want nil", err)
				}
				wantNews(t, news, backend.ChangeRelease, key)
			}
			if err := theirs.Clear(t.Context()); err != nil {
				t.Fatalf("Clear() = %v, want nil", err)
			}
			wantNews(t, news, backend.ChangeClear, "")
			// Holds that were cleared are not reported to later watchers.
			late := make(chan backend.Change, 100)
			t.Cleanup(theirs.Watch(func(c backend.Change) { late <- c }))
			if c := receive(t, "news", late); c.Kind != backend.ChangeCurrent {
				t.Errorf("the first change after Clear is %+v, want a ChangeCurrent", c)
			}
		})
	}
}

// A backend tells its own watchers once, and before the method returns.
func TestOwnNews(t *testing.T) {
	b := newBackend(t, redistest.Client(t), Config{})
	news := listening(t, b)
	hold(t, b, "k", time.Hour)
	if n := len(news); n != 1 {
		t.Errorf("when Hold returns %d changes are told, want 1", n)
	}
	fence := newBackend(t, redistest.Client(t), Config{Prefix: b.prefix})
	hold(t, fence, "fence", time.Hour)
	<-news
	if c := receive(t, "news", news); c.Key != "fence" {
		t.Errorf("a change is told twice: %+v", c)
	}
}

// The databases of a server share its channels, but not its keys.
func TestNewsOfAnotherDatabase(t *testing.T) {
	server := redistest.Start(t)
	at := func(db int) *Backend {
		return newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), DB: db}), Config{Prefix: "p:"})
	}
	mine, theirs := at(0), at(1)
	news := listening(t, mine)
	hold(t, theirs, "k", time.Hour)
	hold(t, at(0), "fence", time.Hour)
	if c := receive(t, "news", news); c.Key != "fence" {
		t.Errorf("%+v of another database is told", c)
	}
}

// While the subscription is lost, no changes are reported. Once it is back, holds that were made
// meanwhile are. The loss and the recovery are logged, in one line each.
func TestLostSubscription(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Addr(t))
	client := clientWith(t, &redis.Options{Addr: proxy.Addr(), MaxRetries: -1, DialerRetries: 1})
	mine, log := logging(t, client, Config{})
	theirs := newBackend(t, redistest.Client(t), Config{Prefix: mine.prefix})
	news := listening(t, mine)
	for i := range 2 {
		proxy.Refuse(true)
		proxy.Cut()
		eventually(t, "that it is lost is logged", func() bool { return strings.Count(log.String(), "news from other processes unavailable") == i+1 })
		hold(t, theirs, fmt.Sprint("meanwhile", i), time.Hour)
		late := listening(t, mine) // it does not wait for what can't come
		proxy.Refuse(false)
		for _, c := range []chan backend.Change{news, late} {
			wantNews(t, c, backend.ChangeHold, fmt.Sprint("meanwhile", i))
			wantNews(t, c, backend.ChangeCurrent, "")
		}
		hold(t, theirs, fmt.Sprint("later", i), time.Hour)
		wantNews(t, news, backend.ChangeHold, fmt.Sprint("later", i))
		log.wantLines(t, "news from other processes unavailable", i+1)
		log.wantLines(t, "news from other processes recovered", i+1)
	}
}

// A connection that is dead without an error is given up.
func TestDeadSubscription(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Addr(t))
	client := clientWith(t, &redis.Options{Addr: proxy.Addr(), MaxRetries: -1, ReadTimeout: 50 * time.Millisecond})
	mine, log := logging(t, client, Config{})
	mine.news.probeEvery = 20 * time.Millisecond
	theirs := newBackend(t, redistest.Client(t), Config{Prefix: mine.prefix})
	news := listening(t, mine)
	proxy.Stall(true)
	eventually(t, "that it is lost is logged", func() bool { return strings.Contains(log.String(), "news from other processes unavailable") })
	hold(t, theirs, "k", time.Hour)
	proxy.Stall(false)
	wantNews(t, news, backend.ChangeHold, "k")
}

// Watch doesn't keep its caller waiting for a server that can't be reached.
func TestNewsWithoutServer(t *testing.T) {
	mine, log := logging(t, clientWith(t, &redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1}), Config{})
	news := listening(t, mine)
	log.wantLines(t, "news from other processes unavailable", 1)
	if n := len(news); n != 0 {
		t.Errorf("%d more changes are told, want none", n)
	}
}

// forNews is what the package comment says that the user needs for the news.
var forNews = []string{
	"+publish", "+subscribe", "+zscore", "+zadd", "+zincrby", "+zrange", "+zrevrangebyscore",
	"+zremrangebyscore", "+zremrangebyrank", "+pexpire",
}

// What the package comment says that the user needs is enough, and without it the backend
// does all but what it can't.
func TestUserNeedsForNews(t *testing.T) {
	server := redistest.Start(t)
	rules := slices.Concat(needed, forNews, []string{"~limits:*"})
	for _, c := range []struct {
		name  string
		rules []string
		told  bool // to the user
		tells bool // the user
		lines []string
	}{
		{"all", slices.Concat(rules, []string{"&limits:*"}), true, true, nil},
		{"no channel", slices.Concat(rules, []string{"resetchannels"}), false, false, []string{"news from other processes unavailable", "can't notify other processes"}},
		{"no command", slices.Concat(needed, []string{"~limits:*", "&*"}), false, false, []string{"news from other processes unavailable", "can't notify other processes"}},
		{"no sorted set", slices.Concat(needed, []string{"+publish", "+subscribe", "~limits:*", "&*"}), true, false, []string{"can't read the holds", "can't notify other processes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := setUser(t, server, c.rules...).client
			user, log := logging(t, client, Config{Prefix: "limits:"})
			admin := newBackend(t, server.Client(t), Config{Prefix: "limits:"})
			toUser, toAdmin := listening(t, user), listening(t, admin)
			for range 2 {
				hold(t, admin, "admin", time.Hour)
				hold(t, user, "user", time.Hour)
				refused(t, user, limit("admin", every(time.Hour, 1)))
				refused(t, admin, limit("user", every(time.Hour, 1)))
				l := limit("given back", every(time.Hour, 1))
				d := reserve(t, user, backend.Unlimited, l)
				if err := user.Release(t.Context(), []backend.Limit{l}, d.Token); err != nil {
					t.Errorf("Release() = %v, want nil", err)
				}
				wantNews(t, toUser, backend.ChangeRelease, l.Key)
			}
			if c.told {
				hold(t, admin, "told", time.Hour)
				wantNews(t, toUser, backend.ChangeHold, "told")
			}
			if c.tells {
				wantNews(t, toAdmin, backend.ChangeHold, "user")
				wantNews(t, toAdmin, backend.ChangeRelease, "given back")
			}
			for _, text := range []string{"news from other processes unavailable", "can't notify other processes", "can't read the holds"} {
				want := 0
				if slices.Contains(c.lines, text) {
					want = 1
				}
				log.wantLines(t, text, want)
			}
		})
	}
}

// holdSet is the scripts of the set of holds, with a clock of their own.
type holdSet struct {
	t           *testing.T
	client      redis.UniversalClient
	key         string
	now         int64
	news, holds *redis.Script
}

func newHoldSet(t *testing.T) *holdSet {
	return &holdSet{
		t: t, client: redistest.Client(t), key: redistest.Prefix(t), now: labStart,
		news: withInjectedClock(t, newsSource), holds: withInjectedClock(t, holdsSource),
	}
}

func (s *holdSet) with(args ...any) []any { return (&lab{now: s.now}).with(args...) }

func (s *holdSet) add(key string, d time.Duration) {
	s.t.Helper()
	if err := s.news.Run(s.t.Context(), s.client, []string{s.key}, s.with(key, d.Microseconds(), "channel", "")...).Err(); err != nil {
		s.t.Fatalf("news.lua = %v, want nil", err)
	}
}

// want wants these holds, and for how long each goes on.
func (s *holdSet) want(want map[string]time.Duration) {
	s.t.Helper()
	reply, err := s.holds.Run(s.t.Context(), s.client, []string{s.key}, s.with()...).StringSlice()
	if err != nil {
		s.t.Fatalf("holds.lua = %v, want nil", err)
	}
	got := map[string]time.Duration{}
	if err := eachHold(reply, func(key string, left time.Duration) { got[key] = left }); err != nil {
		s.t.Fatalf("holds.lua = %q: %v", reply, err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("holds = %v, want %v", got, want)
	}
}

// The set has the holds that are in force, to the microsecond; a shorter one does not shorten
// a longer. If the clock is set back, what is left of each hold stays as it was.
func TestSetOfHolds(t *testing.T) {
	s := newHoldSet(t)
	s.want(map[string]time.Duration{})
	s.add("a", 10*time.Second)
	s.add("", 20*time.Second)
	s.add("t", 30*time.Second+time.Microsecond)
	s.now += 5e6
	s.add("a", time.Second)
	s.want(map[string]time.Duration{"a": 5 * time.Second, "": 15 * time.Second, "t": 25*time.Second + time.Microsecond})
	s.now += 5e6
	s.want(map[string]time.Duration{"": 10 * time.Second, "t": 20*time.Second + time.Microsecond})
	s.now -= 3600e6
	s.want(map[string]time.Duration{"a": 5 * time.Second, "": 15 * time.Second, "t": 25*time.Second + time.Microsecond})
	s.add("b", time.Second)
	s.want(map[string]time.Duration{"a": 5 * time.Second, "b": time.Second, "": 15 * time.Second, "t": 25*time.Second + time.Microsecond})
	s.now += 3600e6
	s.add("b", time.Second)
	s.want(map[string]time.Duration{"b": time.Second})
	if ttl := s.client.PTTL(s.t.Context(), s.key).Val(); ttl <= 0 || ttl > 2*time.Second {
		t.Errorf("the set expires in %v, want about 1s", ttl)
	}
}

// Scores that no script has written hide no hold, and keep no hold from being reported.
func TestCraftedHolds(t *testing.T) {
	for name, crafted := range map[string]redis.Z{
		"hold without end":      {Member: "kbad", Score: math.Inf(1)},
		"hold in another age":   {Member: "kbad", Score: 1e300},
		"hold of a part":        {Member: "kbad", Score: float64(labStart) + 1.5},
		"clock without end":     {Member: "t", Score: math.Inf(1)},
		"clock of another age":  {Member: "t", Score: 1e300},
		"clock before all time": {Member: "t", Score: math.Inf(-1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHoldSet(t)
			s.add("a", 10*time.Second)
			if err := s.client.ZAdd(t.Context(), s.key, crafted).Err(); err != nil {
				t.Fatal(err)
			}
			want := map[string]time.Duration{"a": 10 * time.Second}
			if crafted.Member == "kbad" && crafted.Score < 1e17 {
				want["bad"] = 2 * time.Microsecond // rounded up
			}
			s.want(want)
			s.add("b", 20*time.Second)
			want["b"] = 20 * time.Second
			s.want(want)
		})
	}
}

// The set does not grow without end: those that end soonest leave it.
func TestSetOfHoldsIsBounded(t *testing.T) {
	s := newHoldSet(t)
	var members []redis.Z
	for i := range 10_000 {
		members = append(members, redis.Z{Score: float64(s.now + int64(i+2)*1e6), Member: fmt.Sprint("k", i)})
	}
	if err := s.client.ZAdd(t.Context(), s.key, members...).Err(); err != nil {
		t.Fatal(err)
	}
	s.add("new", time.Hour)
	if n := s.client.ZCard(context.Background(), s.key).Val(); n != 10_001 { // and the clock
		t.Errorf("the set has %d members, want 10,001", n)
	}
	if err := s.client.ZScore(t.Context(), s.key, "k0").Err(); err != redis.Nil {
		t.Errorf("the hold that ends soonest is still there: %v", err)
	}
	s.client.Unlink(t.Context(), s.key)
}

// A backend that uses a limit with params other than the last ones reports both intervals.
func TestNewsOfOtherParams(t *testing.T) {
	mine := newBackend(t, redistest.Client(t), Config{})
	theirs := newBackend(t, redistest.Client(t), Config{Prefix: mine.prefix})
	news := listening(t, mine)
	k := limit("k", every(time.Second, 5))
	takes(t, mine, limit("other", every(time.Hour, 1)), k)
	takes(t, mine, k)
	takes(t, theirs, limit("k", every(time.Minute, 5)))
	takes(t, mine, k)
	if c := receive(t, "news", news); c.Kind != backend.ChangeParams || c.Key != "k" || c.Was != time.Minute || c.Is != time.Second {
		t.Errorf("the change is %+v, want key k from 1m to 1s", c)
	}
	if n := len(news); n > 0 {
		t.Errorf("%d more changes are told, want none", n)
	}
}
