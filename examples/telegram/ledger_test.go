package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// fullDisk is a file on a disk that gets full: some writes succeed, and no more.
type fullDisk struct {
	ledgerFile
	writes int
}

func (f *fullDisk) WriteAt(p []byte, off int64) (int, error) {
	if f.writes--; f.writes < 0 {
		return 0, &os.PathError{Op: "write", Path: "unsent.jsonl", Err: syscall.ENOSPC}
	}
	return f.ledgerFile.WriteAt(p, off)
}

// A disk that fills up stops the campaign, since no account can be kept. The list is not lost,
// whether or not the file can still be replaced.
func TestFullDisk(t *testing.T) {
	for _, replaceable := range []bool{true, false} {
		t.Run(fmt.Sprint("replaceable ", replaceable), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var messages []message
				for i := range 100 {
					messages = append(messages, message{fmt.Sprint(100 + i), fmt.Sprint("text ", i)})
				}
				server := botapi.New(botapi.Config{Record: true})
				c := newCampaign(t, messages, server)
				dir := filepath.Join(t.TempDir(), "dir")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "unsent.jsonl")
				var err error
				if c.ledger, err = newLedger(path, messages, nil, nil, c.giveUp); err != nil {
					t.Fatal(err)
				}
				c.ledger.file = &fullDisk{ledgerFile: c.ledger.file, writes: 40}
				r, err := c.run(t.Context())
				c.progress.finish()
				if err != nil || !errors.Is(c.hopeless, syscall.ENOSPC) || r.sent < 15 || r.sent > 25 || r.sent+r.notSent != 100 {
					t.Errorf("run() = %v, gave up for %v; %d sent and %d not sent", err, c.hopeless, r.sent, r.notSent)
				}
				if !replaceable {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
				var said, list bytes.Buffer
				err = c.finish(&said, &list)
				if !replaceable {
					if !errors.Is(err, syscall.ENOSPC) || said.Len() != 0 {
						t.Errorf("finish() = %v and advises %q, want an error and no advice", err, &said)
					}
					// The last resort: lines of messages among lines for people.
					path = filepath.Join(t.TempDir(), "saved.jsonl")
					var lines []string
					for line := range strings.Lines(list.String()) {
						if !strings.HasPrefix(line, "telegram: ") {
							lines = append(lines, line)
						}
					}
					if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
						t.Fatal(err)
					}
				} else if err != nil {
					t.Error(err)
				}
				left, err := loadFile(path, nil, true)
				if err != nil {
					t.Fatal(err)
				}
				all := left.messages
				for _, a := range server.Log() {
					all = append(all, message{a.ChatID, a.Text})
				}
				slices.SortFunc(all, func(a, b message) int { return strings.Compare(a.ChatID, b.ChatID) })
				if !slices.Equal(all, messages) {
					t.Errorf("sent and left over are %v", all)
				}
			})
		})
	}
}

// setupBackend is a Redis that needs to be set up by somebody.
type setupBackend struct{ backend.Backend }

func (setupBackend) Reserve(_ context.Context, _ []backend.Request, out []backend.Decision) error {
	for i := range out {
		out[i] = backend.Decision{Err: &goredis.SetupError{Err: errors.New("NOPERM")}}
	}
	return nil
}

// A Redis that refuses all stops the campaign too: no message fails because of it.
func TestRedisThatCannotGetBetterStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCampaign(t, numbered("7", 50), botapi.New(botapi.Config{}))
		c.backend = setupBackend{memory.New(memory.Config{})}
		r, err := c.run(t.Context())
		c.progress.finish()
		if err != nil || c.hopeless == nil || r.failed != 0 || r.notSent != 50 {
			t.Errorf("run() = %v, gave up for %v, %d failed, %d not sent, want 0 and 50", err, c.hopeless, r.failed, r.notSent)
		}
	})
}

// What is left keeps its place, and what was perhaps sent before goes on to be.
func TestLedgerKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "unsent.jsonl")
	messages, kept := numbered("1", 5), numbered("2", 1)
	l, err := newLedger(path, messages, []bool{false, false, true, false, false}, kept, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range map[int]delivery{0: sent, 1: failed, 3: blocked, 4: sending} {
		if err := l.mark(i, d); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		file, err := loadFile(path, nil, false)
		if err != nil || !slices.Equal(file.messages, messages[1:2]) || !slices.Equal(file.kept, []message{messages[2], messages[4], kept[0]}) {
			t.Errorf("%s the file holds %v, %v", when, file, err)
		}
	}
	check("in mid-run") // as a program that dies leaves it
	if err := l.finish(messages); err != nil {
		t.Fatal(err)
	}
	check("in the end")
	if content, err := os.ReadFile(path); err != nil || bytes.Count(content, []byte("\n")) != 4 {
		t.Errorf("the file is %q, %v, want 4 lines", content, err)
	}
}
