package botapi_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
	"github.com/freqlimit/dispatcher/internal/seeds"
)

func TestPerChatWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dial(t, botapi.New(botapi.Config{}))
		sent(t, b, 7)
		tooMany(t, b, 7, 1)
		sent(t, b, 8)
		time.Sleep(time.Second - 1)
		tooMany(t, b, 7, 1)
		time.Sleep(time.Nanosecond)
		sent(t, b, 7)
	})
}

func TestOverallWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dial(t, botapi.New(botapi.Config{}))
		for i := range 30 {
			sent(t, b, 100+i)
			time.Sleep(10 * time.Millisecond)
		}
		tooMany(t, b, 7, 1)
		time.Sleep(700*time.Millisecond - 1)
		tooMany(t, b, 7, 1)
		time.Sleep(time.Nanosecond) // 1 s after the first
		sent(t, b, 7)
		tooMany(t, b, 8, 1)
		time.Sleep(10 * time.Millisecond) // 1 s after the second
		sent(t, b, 8)
		tooMany(t, b, 9, 1)
	})
}

func TestPerGroupWindow(t *testing.T) {
	for _, group := range []any{-7, "@seven"} {
		synctest.Test(t, func(t *testing.T) {
			b := dial(t, botapi.New(botapi.Config{}))
			for range 20 {
				sent(t, b, group)
				time.Sleep(time.Second)
			}
			tooMany(t, b, group, 40)
			sent(t, b, -8)
			time.Sleep(500 * time.Millisecond)
			tooMany(t, b, group, 40) // 39.5 s, rounded up
			time.Sleep(39500 * time.Millisecond)
			sent(t, b, group)
			tooMany(t, b, group, 1)
			time.Sleep(time.Second)
			sent(t, b, group)
		})
	}
}

func TestUsernamesAreOneChatInAnyCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dial(t, botapi.New(botapi.Config{}))
		sent(t, b, "@News")
		tooMany(t, b, "@news", 1)
	})
}

// Random traffic against the definition of a window, message by message.
func TestWindowsExact(t *testing.T) {
	cfg := botapi.Config{
		Overall:  botapi.Window{Limit: 5, Length: time.Second},
		PerChat:  botapi.Window{Limit: 2, Length: time.Second},
		PerGroup: botapi.Window{Limit: 7, Length: 20 * time.Second},
		Record:   true,
	}
	for _, random := range seeds.First(t, 8) {
		synctest.Test(t, func(t *testing.T) {
			srv := botapi.New(cfg)
			b := dial(t, srv)
			epoch := time.Now()
			var all []time.Duration
			perChat := make(map[int][]time.Duration)
			for range 500 {
				// A coarse grid makes many distances of exactly a window.
				time.Sleep(time.Duration(random.IntN(3)) * 100 * time.Millisecond)
				chat := []int{1, 2, -1, -2}[random.IntN(4)]
				now := time.Since(epoch)
				want := fits(all, now, cfg.Overall) && fits(perChat[chat], now, cfg.PerChat) &&
					(chat > 0 || fits(perChat[chat], now, cfg.PerGroup))
				err := send(t, b, chat, "hello")
				if got := err == nil; got != want {
					t.Fatalf("at %v chat %d: accepted = %t, want %t (%v)", now, chat, got, want, err)
				}
				if want {
					all = append(all, now)
					perChat[chat] = append(perChat[chat], now)
				}
			}
			if got := srv.Log(); len(got) != len(all) {
				t.Errorf("Log() has %d messages, want %d", len(got), len(all))
			}
		})
	}
}

// fits reports whether an arrival at now leaves every half-open window that
// holds it within the limit.
func fits(before []time.Duration, now time.Duration, w botapi.Window) bool {
	count := 1
	for _, at := range before {
		if now-at < w.Length {
			count++
		}
	}
	return count <= w.Limit
}

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := botapi.New(botapi.Config{Record: true})
		b := dial(t, srv)
		for i := range 3 {
			if err := send(t, b, 7, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			tooMany(t, b, 7, 1)
			time.Sleep(time.Second)
		}
		for i, got := range srv.Log() {
			want := botapi.Accepted{ChatID: "7", Text: fmt.Sprint(i), At: time.Duration(i) * time.Second}
			if got != want {
				t.Errorf("Log()[%d] = %+v, want %+v", i, got, want)
			}
		}
	})
}
