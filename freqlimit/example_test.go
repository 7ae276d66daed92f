package freqlimit_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/freqlimit"
	"github.com/freqlimit/dispatcher/gcra"
)

// Wait at a server's limit of 20 calls per second: the 10 calls take 0.45 s.
func ExampleLimiter_Wait() {
	limiter, err := freqlimit.New(memory.New(memory.Config{}), gcra.PerSecond(20))
	if err != nil {
		log.Fatal(err)
	}
	begin := time.Now()
	for range 10 {
		if err := limiter.Wait(context.Background(), "api"); err != nil {
			log.Fatal(err)
		}
		// Call the server here.
	}
	fmt.Println("early:", time.Since(begin) < 450*time.Millisecond)
	// Output: early: false
}

// Refuse requests of a user who sends more than 3 at once, or more than 20 a minute.
func ExampleLimiter_Allow() {
	perUser := gcra.PerMinute(20).WithBurst(3)
	limiter, err := freqlimit.New(memory.New(memory.Config{}), perUser)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 4 {
		ok, err := limiter.Allow(context.Background(), "user:42")
		if err != nil {
			log.Fatal(err)
		}
		if !ok {
			fmt.Printf("request %d: 429 Too Many Requests\n", i+1)
			continue
		}
		fmt.Printf("request %d: 200 OK\n", i+1)
	}
	// Output:
	// request 1: 200 OK
	// request 2: 200 OK
	// request 3: 200 OK
	// request 4: 429 Too Many Requests
}
