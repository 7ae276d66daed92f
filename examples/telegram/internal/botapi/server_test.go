package botapi_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-telegram/bot"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// dial returns the real client, connected to the server without a network.
func dial(t *testing.T, srv *botapi.Server) *bot.Bot {
	t.Helper()
	b, err := bot.New(botapi.DefaultToken,
		bot.WithServerURL("http://loopback"), bot.WithHTTPClient(time.Minute, srv))
	if err != nil {
		t.Fatalf("bot.New: %v", err)
	}
	return b
}

func send(t *testing.T, b *bot.Bot, chatID any, text string) error {
	t.Helper()
	_, err := b.SendMessage(t.Context(), &bot.SendMessageParams{ChatID: chatID, Text: text})
	return err
}

func sent(t *testing.T, b *bot.Bot, chatID any) {
	t.Helper()
	if err := send(t, b, chatID, "hello"); err != nil {
		t.Fatalf("send to %v = %v, want nil", chatID, err)
	}
}

func tooMany(t *testing.T, b *bot.Bot, chatID any, retryAfter int) {
	t.Helper()
	err := send(t, b, chatID, "hello")
	e, ok := errors.AsType[*bot.TooManyRequestsError](err)
	if !ok || e.RetryAfter != retryAfter {
		t.Fatalf("send to %v = %v, want a 429 with retry_after %d", chatID, err, retryAfter)
	}
}

func TestSend(t *testing.T) {
	tests := []struct {
		chatID   any
		wantID   int64
		wantType string
	}{
		{42, 42, "private"},
		{"43", 43, "private"},
		{int64(-44), -44, "group"},
		{int64(-1001234567890), -1001234567890, "supergroup"},
	}
	synctest.Test(t, func(t *testing.T) {
		b := dial(t, botapi.New(botapi.Config{}))
		for i, tt := range tests {
			m, err := b.SendMessage(t.Context(), &bot.SendMessageParams{ChatID: tt.chatID, Text: "Привет, \"мир\"\n🌍"})
			if err != nil {
				t.Fatalf("SendMessage(%v): %v", tt.chatID, err)
			}
			if m.ID != i+1 || m.Chat.ID != tt.wantID || string(m.Chat.Type) != tt.wantType {
				t.Errorf("SendMessage(%v) = id %d, chat %d, type %s, want %d, %d, %s",
					tt.chatID, m.ID, m.Chat.ID, m.Chat.Type, i+1, tt.wantID, tt.wantType)
			}
			if m.Text != "Привет, \"мир\"\n🌍" || m.Date != int(time.Now().Unix()) || m.From.ID != b.ID() {
				t.Errorf("SendMessage(%v) = text %q, date %d, from %d", tt.chatID, m.Text, m.Date, m.From.ID)
			}
		}
	})
}

func TestWrongToken(t *testing.T) {
	_, err := bot.New("1:wrong", bot.WithServerURL("http://loopback"),
		bot.WithHTTPClient(time.Minute, botapi.New(botapi.Config{})))
	if !errors.Is(err, bot.ErrorUnauthorized) {
		t.Errorf("bot.New = %v, want ErrorUnauthorized", err)
	}
}

func TestUnknownMethod(t *testing.T) {
	b := dial(t, botapi.New(botapi.Config{}))
	if _, err := b.GetWebhookInfo(t.Context()); !errors.Is(err, bot.ErrorNotFound) {
		t.Errorf("GetWebhookInfo = %v, want ErrorNotFound", err)
	}
}

func TestBadParameters(t *testing.T) {
	srv := botapi.New(botapi.Config{})
	b := dial(t, srv)
	tests := []struct {
		name   string
		chatID any
		text   string
	}{
		{"no chat", "", "hello"},
		{"chat is zero", 0, "hello"},
		{"chat is no number", "42x", "hello"},
		{"no text", 42, ""},
		{"blank text", 42, " \n"},
		{"long text", 42, string(make([]byte, 4097))},
	}
	for _, tt := range tests {
		if err := send(t, b, tt.chatID, tt.text); !errors.Is(err, bot.ErrorBadRequest) {
			t.Errorf("%s: send = %v, want ErrorBadRequest", tt.name, err)
		}
	}
	if got := srv.Stats(); got.BadRequest != len(tests) || got.Accepted != 0 {
		t.Errorf("Stats() = %+v, want %d bad requests and nothing accepted", got, len(tests))
	}
}

func TestBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{Blocked: func(chatID string) bool { return chatID == "7" }})
		b := dial(t, srv)
		for range 40 { // more than any window holds: these don't count
			if err := send(t, b, 7, "hello"); !errors.Is(err, bot.ErrorForbidden) {
				t.Fatalf("send = %v, want ErrorForbidden", err)
			}
		}
		sent(t, b, 8)
		if got := srv.Stats(); got.Forbidden != 40 || got.Accepted != 1 || got.PerChat["8"] != 1 {
			t.Errorf("Stats() = %+v, want 40 forbidden and 1 accepted, for chat 8", got)
		}
	})
}

func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{RetryAfter: map[string][]int{"7": {1, 5}}})
		b := dial(t, srv)
		tooMany(t, b, 7, 1)
		sent(t, b, 8) // a storm is one chat's own
		time.Sleep(time.Second)
		tooMany(t, b, 7, 5)
		time.Sleep(3200 * time.Millisecond)
		tooMany(t, b, 7, 2) // hasty: what is left, rounded up
		time.Sleep(2 * time.Second)
		sent(t, b, 7)
		if got := srv.Stats(); got.TooManyRequests != 3 || got.Hasty != 1 || got.Accepted != 2 {
			t.Errorf("Stats() = %+v, want 3 times 429, 1 hasty, 2 accepted", got)
		}
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dial(t, botapi.New(botapi.Config{
			MinLatency: 20 * time.Millisecond, MaxLatency: 60 * time.Millisecond,
		}))
		for i := range 20 {
			start := time.Now()
			sent(t, b, 100+i)
			if d := time.Since(start); d < 20*time.Millisecond || d > 60*time.Millisecond {
				t.Errorf("answer took %v, want 20ms to 60ms", d)
			}
		}
	})
}

// A message that was on its way when its sender gave up has been delivered.
func TestClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{MinLatency: time.Hour})
		b := dial(t, srv)
		time.AfterFunc(time.Second, func() {
			if got := srv.Stats().Accepted; got != 1 {
				t.Errorf("Accepted after 1s = %d, want 1", got)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := b.SendMessage(ctx, &bot.SendMessageParams{ChatID: 7, Text: "hello"})
		if err == nil || time.Since(start) != 2*time.Second {
			t.Errorf("SendMessage = %v after %v, want an error after 2s", err, time.Since(start))
		}
	})
}

// The n-th request for a chat fares the same whatever the order of the chats.
func TestSeed(t *testing.T) {
	run := func(seed uint64, backwards bool) map[int]string {
		fates := make(map[int]string)
		synctest.Test(t, func(t *testing.T) {
			b := dial(t, botapi.New(botapi.Config{FailShare: 0.3, Seed: seed}))
			for round := range 3 {
				for i := range 100 {
					chat := i + 1
					if backwards {
						chat = 100 - i
					}
					if err := send(t, b, chat, "hello"); err != nil {
						fates[chat] += string(rune('1' + round))
					}
					time.Sleep(time.Second)
				}
			}
		})
		return fates
	}
	first, again, other := run(1, false), run(1, true), run(2, false)
	failed, differ := 0, false
	for chat := 1; chat <= 100; chat++ {
		if first[chat] != again[chat] {
			t.Errorf("chat %d failed in rounds %q, then in %q", chat, first[chat], again[chat])
		}
		failed += len(first[chat])
		differ = differ || first[chat] != other[chat]
	}
	if failed < 60 || failed > 120 {
		t.Errorf("%d of 300 messages failed, want about 90", failed)
	}
	if !differ {
		t.Error("seeds 1 and 2 give the same fates")
	}
}

func TestBadGatewayDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{FailShare: 0.9, Seed: 3})
		b := dial(t, srv)
		for range 100 { // at one instant
			if send(t, b, 7, "hello") == nil {
				break
			}
		}
		if got := srv.Stats(); got.Accepted != 1 || got.BadGateway == 0 || got.TooManyRequests != 0 {
			t.Errorf("Stats() = %+v, want some 502, then 1 accepted, no 429", got)
		}
	})
}
