package graph

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestCycles compares what Cycles finds in small random graphs with what can be
// reached from where.
func TestCycles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 2000 {
		n := 1 + random.IntN(7)
		to := make([][]int, n)
		far := make([][]bool, n) // whether there is a way
		for i := range n {
			far[i] = make([]bool, n)
			for j := range n {
				if random.IntN(n) == 0 {
					to[i] = append(to[i], j)
					far[i][j] = true
				}
			}
		}
		for k := range n {
			for i := range n {
				for j := range n {
					far[i][j] = far[i][j] || far[i][k] && far[k][j]
				}
			}
		}
		want := map[int]bool{} // the first node of each component with a cycle
		for i := range n {
			first := 0
			for first = range n {
				if far[i][first] && far[first][i] {
					break
				}
			}
			if far[i][i] {
				want[first] = true
			}
		}
		got := Cycles(to)
		if len(got) != len(want) {
			t.Fatalf("%v: cycles %v, want those of %v", to, got, want)
		}
		for _, c := range got {
			found++
			if !want[c[0]] {
				t.Fatalf("%v: a cycle that begins with %d, want one of %v", to, c[0], want)
			}
			for i, node := range c {
				if next := c[(i+1)%len(c)]; !slices.Contains(to[node], next) {
					t.Fatalf("%v: %v has no edge from %d to %d", to, c, node, next)
				}
			}
			if sorted := slices.Sorted(slices.Values(c)); len(slices.Compact(sorted)) != len(c) {
				t.Fatalf("%v: %v has a node twice", to, c)
			}
		}
	}
	if found < 500 {
		t.Errorf("only %d cycles", found)
	}
}

// TestCycle: a graph of 2,000 nodes in a row has none, and is no recursion.
func TestCycle(t *testing.T) {
	t.Parallel()
	next := map[string][]string{}
	var nodes []string
	name := func(i int) string {
		return strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
	}
	for i := range 2000 {
		nodes = append(nodes, name(i))
		next[name(i)] = []string{name(i + 1)}
	}
	if c := Cycle(nodes, func(n string) []string { return next[n] }); c != nil {
		t.Errorf("%d", len(c))
	}
	next[name(1999)] = []string{name(1998)}
	if c := Cycle(nodes, func(n string) []string { return next[n] }); len(c) != 3 || c[0] != c[2] {
		t.Errorf("%d", len(c))
	}
}
