package gcra_test

import (
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

func ExamplePerSecond() {
	fmt.Println(gcra.PerSecond(30))
	fmt.Println(gcra.PerSecond(1).WithBurst(3))
	fmt.Println(gcra.PerSecond(0).Validate())
	// Output:
	// 30/1s burst 1
	// 1/1s burst 3
	// gcra: Limit is 0: must be at least 1
}

func ExampleEvery() {
	fmt.Println(gcra.Every(1100 * time.Millisecond))
	// Output: 1/1.1s burst 1
}

// A server counts requests in a sliding minute and allows 20. Without Strict, 5 at once and
// one more every 3 s would make 24 in the first minute.
func ExampleFreqLimitParams_Strict() {
	fmt.Println(gcra.PerMinute(20).WithBurst(5).Strict())
	// Output: 16/1m0s burst 5
}
