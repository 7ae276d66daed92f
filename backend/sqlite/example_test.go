package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

// A job and the debt of its limit are there when the file is opened again. A dispatcher on
// the backend makes these calls by itself.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, path := context.Background(), filepath.Join(dir, "mail.db")

	b, err := sqlite.Open(path, sqlite.Config{})
	if err != nil {
		log.Fatal(err)
	}
	limits := []backend.Limit{limit("bot", time.Hour)}
	job := backend.KeptJob{Number: 1, Key: "chat:42", Limits: limits, Payload: []byte("hello")}
	if err := b.Write(ctx, &backend.Changes{Added: []backend.KeptJob{job}}); err != nil {
		log.Fatal(err)
	}
	decisions := make([]backend.Decision, 1)
	if err := b.Reserve(ctx, []backend.Request{{Job: 1, Limits: limits}}, decisions); err != nil {
		log.Fatal(err)
	}
	fmt.Println("granted:", decisions[0].Granted)
	if err := b.Close(); err != nil {
		log.Fatal(err)
	}

	b, err = sqlite.Open(path, sqlite.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	jobs := make([]backend.KeptJob, 10)
	n, err := b.Jobs(ctx, 0, jobs)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d job: %s to %s, claimed: %t\n", n, jobs[0].Payload, jobs[0].Key, jobs[0].Claimed)
	if err := b.Reserve(ctx, []backend.Request{{Limits: limits}}, decisions); err != nil {
		log.Fatal(err)
	}
	fmt.Println("granted:", decisions[0].Granted)
	// Output:
	// granted: true
	// 1 job: hello to chat:42, claimed: true
	// granted: false
}
