package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// The views for people say what there is, in dates and seconds.
func TestViews(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	b := open(t, path)
	at := time.Date(2026, 11, 28, 10, 30, 0, 0, time.UTC)
	bot := limit("bot", time.Hour)
	write(t, b, backend.Changes{
		Added: []backend.KeptJob{
			{Number: 1, Key: "chat:1", Submitted: at, Payload: []byte("hello"), Limits: []backend.Limit{bot}},
			{Number: 2, Key: "chat:2", Submitted: at, NotBefore: at.Add(time.Hour), ID: "two"},
			{Number: 3, Key: "chat:3"},
		},
		Died: []backend.Death{{Number: 3, Reason: "blocked", At: at}},
	})
	reserve(t, b, backend.Request{Job: 1, Limits: []backend.Limit{bot}})
	if err := b.Hold(t.Context(), "chat:2", time.Minute); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"SELECT group_concat(number || ' ' || state || ' ' || submitted || ' ' || ifnull(not_before, 'at once'), ', ') FROM queue": "1 claimed 2026-11-28 10:30:00 at once, 2 waiting 2026-11-28 10:30:00 2026-11-28 11:30:00",
		"SELECT number || ' ' || reason || ' ' || died_at FROM dead":                                                               "3 blocked 2026-11-28 10:30:00",
		"SELECT round(debt_seconds/60) || ' ' || interval_seconds || ' ' || held_seconds FROM limits WHERE key = 'bot'":            "60.0 3600.0 0",
		"SELECT round(held_seconds/60) FROM limits WHERE key = 'chat:2'":                                                           "1",
	} {
		if got := scalar(t, path, query); got != want {
			t.Errorf("%s = %s, want %s", query, got, want)
		}
	}
}
