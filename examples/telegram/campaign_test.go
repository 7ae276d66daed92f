package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// conduct runs a campaign against a server in virtual time.
func conduct(t *testing.T, ctx context.Context, messages []message, cfg botapi.Config) (*campaign, report, *botapi.Server) {
	t.Helper()
	cfg.Record = true
	server := botapi.New(cfg)
	s, err := newSender(botapi.DefaultToken, "http://fake", server)
	if err != nil {
		t.Fatal(err)
	}
	c := &campaign{
		messages: messages,
		sender:   s,
		backend:  memory.New(memory.Config{}),
		workers:  32,
		progress: newProgress(io.Discard, false, len(messages)),
	}
	r, err := c.run(ctx)
	c.progress.finish()
	if err != nil {
		t.Fatal(err)
	}
	if n := r.unaccounted(); n != 0 {
		t.Errorf("%d messages are unaccounted for", n)
	}
	if n := server.Stats().Hasty; n != 0 {
		t.Errorf("%d messages came before the retry_after of their chat had passed", n)
	}
	return c, r, server
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
		_, r, server := conduct(t, t.Context(), campaign(), botapi.Config{Storm: storm, FailShare: 0.02, Seed: 1})
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
	var said bytes.Buffer
	var rest []message
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		messages := append(numbered("7", 30), numbered("-8", 10)...)
		c, r, _ := conduct(t, ctx, messages, botapi.Config{MinLatency: 50 * time.Millisecond, MaxLatency: 50 * time.Millisecond})
		if r.notSent == 0 || r.sent == 0 || r.sent+r.notSent != 40 {
			t.Errorf("%d sent and %d not, want some of both, 40 in all", r.sent, r.notSent)
		}
		rest = c.notSent()
	})
	if err := writeUnsent(&said, rest, path); err != nil {
		t.Fatal(err)
	}
	again, err := loadMessages(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again, rest) {
		t.Errorf("read back %v, want %v", again, rest)
	}
	if want := fmt.Sprintf("\nnot sent: %d messages to 2 chats\n", len(rest)); !bytes.HasPrefix(said.Bytes(), []byte(want)) {
		t.Errorf("said %q, want %q first", said.String(), want)
	}
}

// A server that always fails costs maxAttempts for each message, and an end.
func TestBrokenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, server := conduct(t, t.Context(), append(numbered("7", 2), numbered("8", 1)...), botapi.Config{FailShare: 1})
		if r.failed != 3 || server.Stats().BadGateway != 3*maxAttempts {
			t.Errorf("%d failed after %d requests, want 3 after %d", r.failed, server.Stats().BadGateway, 3*maxAttempts)
		}
		var said bytes.Buffer
		c.writeFailures(&said)
		if !bytes.Contains(said.Bytes(), []byte("failed: chat 8: error response from telegram")) {
			t.Errorf("writeFailures said %q", said.String())
		}
	})
}

func TestParse(t *testing.T) {
	t.Setenv("TELEGRAM_TOKEN", "")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-token", "1:a"}, "-to is missing: a token is given, and the demo's chats are not yours to write to"},
		{[]string{"-server", "http://x"}, "-token is missing: -server is given"},
		{[]string{"-workers", "0"}, "-workers is 0: must be at least 1"},
		{[]string{"now"}, `unknown argument "now"`},
	} {
		if _, err := parse(c.args, io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("parse(%q) = %v, want %s", c.args, err, c.want)
		}
	}
	o, err := parse([]string{"-token", "1:a", "-to", "x.csv"}, io.Discard)
	if err != nil || o.unsent != "unsent.jsonl" || o.workers != 32 {
		t.Errorf("parse = %+v, %v", o, err)
	}
}

// The program as a user runs it, over real HTTP.
func TestRunReal(t *testing.T) {
	server := botapi.New(botapi.Config{})
	url, err := server.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	path := filepath.Join(t.TempDir(), "to.csv")
	if err := os.WriteFile(path, []byte("chat_id,text\n1,hello\n2,\"hello, you\"\n-3,hi all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := []string{"-token", botapi.DefaultToken, "-server", url, "-to", path}
	if err := run(t.Context(), args, nil, out, out); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if server.Stats().Accepted != 3 || !bytes.Contains(said, []byte("  sent                  3\n")) {
		t.Errorf("the server accepted %d; said\n%s", server.Stats().Accepted, said)
	}
}
