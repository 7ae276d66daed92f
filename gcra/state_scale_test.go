package gcra

import (
	"math/big"
	"testing"
)

// FuzzScale compares scale, and through it Rebase, with math/big (traps 2, 9).
func FuzzScale(f *testing.F) {
	const span = int64(MaxSpan)
	for _, seed := range [][4]int64{
		{1, 1, 1, 1},
		{1, 1, 3, 10},
		{10, 3, 10, 100},
		{span, span, 1, span},
		{span, 1, span, span},
		{span, span, span, span},
		{span, 33_333_334, 86_400_000_000_000, 1_000_000_000},
		{2 * span, span, 2, 1},
		// The quotient is 2^64 - 1 and something is left over.
		{31 * 145_295_143_558_111, 8191, 2, 5 * 8191},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, x, mul, div, most int64) {
		if x < 1 || mul < 1 || div < 1 || most < 1 {
			t.Skip("all are positive")
		}
		want := new(big.Int).Mul(big.NewInt(x), big.NewInt(mul))
		want.Add(want, big.NewInt(div-1)).Div(want, big.NewInt(div))
		if limit := big.NewInt(most); want.Cmp(limit) > 0 {
			want = limit
		}
		if got := scale(x, mul, div, most); got != want.Int64() {
			t.Errorf("scale(%d, %d, %d, %d) = %d, want %v", x, mul, div, most, got, want)
		}
	})
}
