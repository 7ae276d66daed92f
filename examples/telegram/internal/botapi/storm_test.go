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

// A storm tells off its own chats alone, each for longer than the time before.
func TestStormTellsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{Storm: &botapi.Storm{
			Chats: []string{"7", "9"}, TooMany: 1, MaxRetryAfter: 3,
		}})
		b := dial(t, srv)
		for _, want := range []int{1, 2, 3, 3} {
			tooMany(t, b, 7, want)
			sent(t, b, 8)
			time.Sleep(time.Duration(want) * time.Second)
		}
		tooMany(t, b, 9, 1) // each chat has a count of its own
		if got := srv.Stats(); got.TooManyRequests != 5 || got.Accepted != 4 || got.Hasty != 0 || got.Messages() != 9 {
			t.Errorf("Stats() = %+v, want 5 times 429, 4 accepted, none hasty, 9 in all", got)
		}
	})
}

// A message that is lost is not delivered, and its sender waits until it gives up.
func TestStormLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{Storm: &botapi.Storm{Lose: 1}})
		b := dial(t, srv)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := b.SendMessage(ctx, &bot.SendMessageParams{ChatID: 7, Text: "hello"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("SendMessage = %v after %v, want the deadline's after 5s", err, time.Since(begin))
		}
		if got := srv.Stats(); got.Lost != 1 || got.Accepted != 0 || got.Messages() != 1 {
			t.Errorf("Stats() = %+v, want 1 lost and nothing else", got)
		}
	})
}

// Over a real connection a client's own timeout ends the wait, and so does Close.
func TestStormLosesOverLoopback(t *testing.T) {
	srv := botapi.New(botapi.Config{Storm: &botapi.Storm{Lose: 1}})
	b, err := bot.New(botapi.DefaultToken, bot.WithServerURL(serve(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.SendMessage(ctx, &bot.SendMessageParams{ChatID: 7, Text: "hello"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("SendMessage = %v, want the deadline's", err)
	}
}

// With one seed the n-th message to a chat fares the same in every run.
func TestStormIsDrawnBySeed(t *testing.T) {
	fates := func(seed uint64) (all [200]string) {
		synctest.Test(t, func(t *testing.T) {
			b := dial(t, botapi.New(botapi.Config{Seed: seed, Storm: &botapi.Storm{
				Chats: []string{"7"}, TooMany: 0.3, MaxRetryAfter: 2, Fail: 0.2, Lose: 0.1,
			}}))
			for i := range all {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if _, err := b.SendMessage(ctx, &bot.SendMessageParams{ChatID: 7, Text: "hello"}); err != nil {
					all[i] = err.Error()
				}
				cancel()
				time.Sleep(3 * time.Second)
			}
		})
		return all
	}
	first, again, other := fates(1), fates(1), fates(2)
	if first != again {
		t.Error("seed 1 gives two different storms")
	}
	if first == other {
		t.Error("seeds 1 and 2 give the same storm")
	}
}
