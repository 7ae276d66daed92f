package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

func TestMain(m *testing.M) {
	if os.Getenv(beTheProgram) != "" {
		main()
		panic("main has returned")
	}
	os.Exit(redistest.Main(m))
}

// Copies that share the limits through Redis send to one server that enforces
// Telegram's, and none of them meets a 429.
func TestCopiesShareTheLimits(t *testing.T) {
	address := redistest.Addr(t)
	token := redistest.Prefix(t) // its limits are nobody else's
	server := botapi.New(botapi.Config{Record: true})
	const copies, each = 3, 40
	reports := make([]report, copies)
	var wg sync.WaitGroup
	for i := range copies {
		wg.Go(func() {
			limits, err := newKeeper(t.Context(), address, token, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			defer limits.close()
			s, err := newSender(botapi.DefaultToken, "http://fake", server)
			if err != nil {
				t.Error(err)
				return
			}
			var messages []message
			for chat := range each {
				messages = append(messages, numbered(fmt.Sprint(1000*(i+1)+chat), 1)...)
			}
			c := &campaign{
				messages: messages, sender: s, workers: 8, limits: used,
				backend: limits.backend, shared: limits.shared,
				progress: newProgress(io.Discard, false, len(messages)),
			}
			reports[i], err = c.run(t.Context())
			c.progress.finish()
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, r := range reports {
		if r.sent != each || r.tooMany != 0 || !r.shared {
			t.Errorf("copy %d: sent %d, answers of 429 %d, shared %t, want %d, 0, true", i, r.sent, r.tooMany, r.shared, each)
		}
	}
}

func TestNewKeeper(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:1":         "-redis is 127.0.0.1:1: ",
		"redis://127.0.0.1:1": "-redis is 127.0.0.1:1: ",
		"http://127.0.0.1:1":  "-redis is no URL",
		"127.0.0.1":           "-redis must be host:port",
	} {
		if _, err := newKeeper(t.Context(), address, "1:a", slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("newKeeper(%q) = %v, want %s...", address, err, want)
		}
	}
	k, err := newKeeper(t.Context(), "", "1:a", slog.New(slog.DiscardHandler))
	if err != nil || k.shared {
		t.Errorf("newKeeper(\"\") = shared %t, %v, want limits in memory", k.shared, err)
	}
}

// What others can read in Redis must not hold the secret of the token.
func TestSharedPrefix(t *testing.T) {
	if got, want := sharedPrefix("123:secret"), "telegram:{123}:"; got != want {
		t.Errorf("sharedPrefix(123:secret) = %q, want %q", got, want)
	}
}

func TestWatch(t *testing.T) {
	var out bytes.Buffer
	events := watch(&out)
	events.BackendDown(t.Context(), errors.New("gone"))
	events.BackendUp(t.Context())
	if got, want := out.String(), "telegram: Redis is away, messages wait: gone\ntelegram: Redis is back\n"; got != want {
		t.Errorf("watch wrote %q, want %q", got, want)
	}
}
