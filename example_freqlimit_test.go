package dispatcher_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// Waiting in place: 20 calls per second for each user, 3 of them at once.
func ExampleFreqLimit_Do() {
	ctx := context.Background()
	perUser := gcra.PerSecond(20).WithBurst(3)
	limiter, err := dispatcher.NewFreqLimit(memory.New(memory.Config{}), perUser)
	if err != nil {
		log.Fatal(err)
	}
	begin := time.Now()
	for i := range 5 {
		err := limiter.Do(ctx, "user:42", func(ctx context.Context) error {
			early := time.Since(begin) < time.Duration(i-2)*50*time.Millisecond
			fmt.Printf("call %d, early: %t\n", i+1, early)
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	// Output:
	// call 1, early: false
	// call 2, early: false
	// call 3, early: false
	// call 4, early: false
	// call 5, early: false
}
