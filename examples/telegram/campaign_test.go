package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
	"github.com/go-telegram/bot"
)

// conduct runs a campaign against a server in virtual time.
func conduct(t *testing.T, ctx context.Context, messages []message, cfg botapi.Config) (*campaign, report, *botapi.Server) {
	t.Helper()
	cfg.Record = true
	server := botapi.New(cfg)
	c, r := conductVia(t, ctx, messages, server)
	if n := server.Stats().Hasty; n != 0 {
		t.Errorf("%d messages came before the retry_after of their chat had passed", n)
	}
	return c, r, server
}

// conductVia is conduct for any client.
func conductVia(t *testing.T, ctx context.Context, messages []message, client bot.HttpClient) (*campaign, report) {
	t.Helper()
	c := newCampaign(t, messages, client)
	r, err := c.run(ctx)
	c.progress.finish()
	if err != nil {
		t.Fatal(err)
	}
	if n := r.unaccounted(); n != 0 {
		t.Errorf("%d messages are unaccounted for", n)
	}
	return c, r
}

// newCampaign makes a campaign whose display shows nothing; to finish it is up to the caller.
func newCampaign(t *testing.T, messages []message, client bot.HttpClient) *campaign {
	t.Helper()
	s, err := newSender(botapi.DefaultToken, "http://fake", client)
	if err != nil {
		t.Fatal(err)
	}
	return &campaign{
		messages: messages,
		sender:   s,
		backend:  memory.New(memory.Config{}),
		workers:  32,
		limits:   used,
		progress: newProgress(io.Discard, false, len(messages)),
	}
}

// scripted is a server that answers the first messages with these statuses, a 429
// with a retry_after of 1 s, and then as it does.
type scripted struct {
	*botapi.Server
	begin time.Time

	mu       sync.Mutex // guards what follows
	statuses []int
	asked    []time.Duration // when each message came
}

func (s *scripted) Do(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/sendMessage") {
		return s.Server.Do(r)
	}
	s.mu.Lock()
	s.asked = append(s.asked, time.Since(s.begin))
	status := 0
	if len(s.statuses) > 0 {
		status, s.statuses = s.statuses[0], s.statuses[1:]
	}
	s.mu.Unlock()
	if status == 0 {
		return s.Server.Do(r)
	}
	io.Copy(io.Discard, r.Body) // the client writes it to a pipe
	r.Body.Close()
	body := fmt.Sprintf(`{"ok":false,"error_code":%d,"description":"scripted"}`, status)
	if status == http.StatusTooManyRequests {
		body = `{"ok":false,"error_code":429,"description":"scripted","parameters":{"retry_after":1}}`
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// Answers of 429 are no attempts: they don't count as such, and don't lengthen the delay until
// the next one.
func TestTooManyIsNoAttempt(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []int
		asked    int
		sent     int
	}{
		{"429 and then a failure", []int{429, 429, 429, 502}, 5, 1},
		{"in between failures", []int{502, 429, 429, 502, 429, 502, 502, 502}, 9, 1},
		{"one failure too many", []int{502, 429, 502, 429, 502, 429, 502, 429, 502, 429, 502, 502}, 11, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{Server: botapi.New(botapi.Config{}), begin: time.Now(), statuses: slices.Clone(c.statuses)}
				_, r := conductVia(t, t.Context(), numbered("7", 1), s)
				if r.sent != c.sent || r.failed != 1-c.sent || len(s.asked) != c.asked {
					t.Fatalf("%d sent and %d failed in %d attempts, want %d, %d and %d",
						r.sent, r.failed, len(s.asked), c.sent, 1-c.sent, c.asked)
				}
				slot := used.PerChat.Interval() // an attempt waits for one in any case
				backoff := retry.Initial
				for i := 1; i < len(s.asked); i++ {
					least, most := slot, slot
					if c.statuses[i-1] != 429 {
						least, most = max(slot, backoff/2), max(slot, backoff+backoff/2)
						backoff *= 2
					}
					if gap := s.asked[i] - s.asked[i-1]; gap < least || gap > most+50*time.Millisecond {
						t.Errorf("attempt %d came %v after the one before, want %v to %v", i+1, gap, least, most)
					}
				}
			})
		})
	}
}

// texts returns the texts that a server has accepted for a chat.
func texts(server *botapi.Server, chat string) []string {
	var all []string
	for _, a := range server.Log() {
		if a.ChatID == chat {
			all = append(all, a.Text)
		}
	}
	return all
}

// numbered returns n messages to a chat, each with its number as text.
func numbered(chat string, n int) []message {
	var all []message
	for i := range n {
		all = append(all, message{ChatID: chat, Text: strconv.Itoa(i)})
	}
	return all
}

func inOrder(all []string) bool {
	return slices.IsSortedFunc(all, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
}

// The demo campaign meets no 429, at nine tenths of the server's rate or more.
func TestDemoCampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages, err := demoMessages()
		if err != nil {
			t.Fatal(err)
		}
		_, r, server := conduct(t, t.Context(), messages, demoServer())
		if r.tooMany != 0 || server.Stats().TooManyRequests != 0 {
			t.Errorf("answers of 429 = %d, the server says %d, want 0", r.tooMany, server.Stats().TooManyRequests)
		}
		if r.sent != 966 || r.blocked != 14 || r.failed != 0 {
			t.Errorf("%d sent, %d blocked, %d failed, want 966, 14 and 0", r.sent, r.blocked, r.failed)
		}
		if rate := perSecond(r.tried(), r.taken); rate < 27 || r.taken > 50*time.Second {
			t.Errorf("took %v at %.1f/s, want under 50s at 27/s or more", r.taken, rate)
		}
		if r.taken < r.shortest {
			t.Errorf("took %v, less than the shortest time possible, %v", r.taken, r.shortest)
		}
	})
}

// Chats in a storm of 429 get all of their messages, in order, and no other chat
// is slowed down.
func TestStorm(t *testing.T) {
	campaign := func() []message {
		var all []message
		for i := range 10 {
			all = append(all, numbered(strconv.Itoa(100+i), 20)...)
		}
		return all
	}
	finish := func(t *testing.T, storm map[string][]int) (last map[string]time.Duration) {
		_, r, server := conduct(t, t.Context(), campaign(), botapi.Config{RetryAfter: storm, FailShare: 0.02, Seed: 1})
		if r.sent != 200 {
			t.Errorf("%d sent, want 200", r.sent)
		}
		want := 0
		for _, s := range storm {
			want += len(s)
		}
		if r.tooMany != want {
			t.Errorf("answers of 429 = %d, want those of the storm, %d", r.tooMany, want)
		}
		last = make(map[string]time.Duration)
		for _, a := range server.Log() {
			last[a.ChatID] = a.At
		}
		for i := range 10 {
			chat := strconv.Itoa(100 + i)
			if got := texts(server, chat); len(got) != 20 || !inOrder(got) {
				t.Errorf("chat %s got %v, want 0 to 19 in order", chat, got)
			}
		}
		return last
	}
	var calm, stormy map[string]time.Duration
	synctest.Test(t, func(t *testing.T) { calm = finish(t, nil) })
	synctest.Test(t, func(t *testing.T) { stormy = finish(t, map[string][]int{"100": {1, 3, 7}, "101": {30}}) })
	for chat, was := range calm {
		if chat == "100" || chat == "101" {
			continue
		}
		if is := stormy[chat]; is > was+was/20 {
			t.Errorf("chat %s was done after %v, and after %v while others were in a storm", chat, was, is)
		}
	}
}

// What a stopped campaign has not sent can be sent by the next one.
func TestStoppedCampaign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "unsent.jsonl")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		messages := append(numbered("7", 30), numbered("-8", 10)...)
		l, err := newLedger(path, messages, nil, nil, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		server := botapi.New(botapi.Config{Record: true, MinLatency: 50 * time.Millisecond, MaxLatency: 50 * time.Millisecond})
		c := newCampaign(t, messages, server)
		c.ledger = l
		r, err := c.run(ctx)
		c.progress.finish()
		if err != nil || r.notSent == 0 || r.sent == 0 || r.sent+r.notSent != 40 {
			t.Errorf("run() = %v; %d sent and %d not, want some of both, 40 in all", err, r.sent, r.notSent)
		}
		var said bytes.Buffer
		if err := c.finish(&said, io.Discard); err != nil {
			t.Fatal(err)
		}
		n := r.notSent
		if want := fmt.Sprintf("\nleft over: %d messages to 2 chats, %d not sent and 0 failed\ngo on with: -to %s\n", n, n, path); said.String() != want {
			t.Errorf("said %q, want %q", said.String(), want)
		}
		again, err := loadMessages(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range server.Log() {
			again = append(again, message{a.ChatID, a.Text})
		}
		byText := func(a, b message) int { return strings.Compare(a.ChatID+" "+a.Text, b.ChatID+" "+b.Text) }
		slices.SortFunc(again, byText)
		slices.SortFunc(messages, byText)
		if !slices.Equal(again, messages) {
			t.Errorf("sent and left over are %v, want %v", again, messages)
		}
	})
}

// A server that always fails costs retry.MaxAttempts for each message, and an end.
func TestBrokenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, server := conduct(t, t.Context(), append(numbered("7", 2), numbered("8", 1)...), botapi.Config{FailShare: 1})
		if r.failed != 3 || server.Stats().BadGateway != 3*retry.MaxAttempts {
			t.Errorf("%d failed after %d requests, want 3 after %d", r.failed, server.Stats().BadGateway, 3*retry.MaxAttempts)
		}
		var said bytes.Buffer
		c.writeFailures(&said)
		if want := "failed: 3 messages to chats 7, 8: 502 Bad Gateway\n"; said.String() != want {
			t.Errorf("writeFailures said %q, want %q", said.String(), want)
		}
	})
}

// Every message of a campaign is sent, or blocked, or left over for the next: those
// given up and those dropped alike.
func TestEveryMessageIsAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages []message
		for i := range 40 {
			messages = append(messages, numbered(strconv.Itoa(100+i), 10)...)
		}
		ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
		defer stop()
		c, r, server := conduct(t, ctx, messages, botapi.Config{
			FailShare:  0.7,
			Seed:       1,
			Blocked:    func(chatID string) bool { return chatID == "103" },
			MinLatency: 20 * time.Millisecond, MaxLatency: 60 * time.Millisecond,
		})
		if r.sent == 0 || r.blocked == 0 || r.failed == 0 || r.notSent == 0 {
			t.Errorf("%d sent, %d blocked, %d failed, %d not sent, want some of each", r.sent, r.blocked, r.failed, r.notSent)
		}
		left := c.leftOver()
		if left.failed != r.failed || left.notSent != r.notSent || len(c.failures)+len(c.unsent) != r.failed+r.notSent {
			t.Errorf("left over: %d failed and %d not sent, want those of the report, %d and %d",
				left.failed, left.notSent, r.failed, r.notSent)
		}
		accounted := make(map[message]int)
		for _, a := range server.Log() {
			accounted[message{a.ChatID, a.Text}]++
		}
		for _, i := range c.unsent {
			accounted[messages[i]]++
		}
		for _, f := range c.failures {
			accounted[messages[f.index]]++
		}
		missing := 0
		for _, m := range messages {
			switch accounted[m] {
			case 0:
				missing++ // blocked
			case 1:
			default:
				t.Errorf("message %v is accounted for %d times", m, accounted[m])
			}
		}
		if missing != r.blocked {
			t.Errorf("%d messages are neither sent nor left over, want the %d blocked", missing, r.blocked)
		}
	})
}
