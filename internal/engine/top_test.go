package engine

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The first n of many are those of a sorted list, whether they are few or not.
func TestTop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.IntRange(0, 5000), 0, 3000).Draw(t, "all")
		top := top[int]{n: rapid.IntRange(-1, 2*fewTop).Draw(t, "n"), compare: cmp.Compare[int]}
		for _, e := range all {
			top.add(e)
		}
		slices.Sort(all)
		n := rapid.IntRange(-1, max(0, top.n)).Draw(t, "asked for")
		if got, want := top.first(n), all[:max(0, min(n, len(all)))]; !slices.Equal(got, want) {
			t.Fatalf("the first %d are %v, want %v", n, got, want)
		}
	})
}
