// Package graph finds cycles.
package graph

import "slices"

// Cycle returns the names of a cycle among nodes, the first one again at its end, nil
// for none. Next has the names that one leads to; those that are no nodes lead nowhere.
func Cycle(nodes []string, next func(string) []string) []string {
	place := map[string]int{}
	for i, name := range nodes {
		place[name] = i
	}
	to := make([][]int, len(nodes))
	for i, name := range nodes {
		for _, other := range next(name) {
			if k, ok := place[other]; ok {
				to[i] = append(to[i], k)
			}
		}
	}
	cycles := Cycles(to)
	if len(cycles) == 0 {
		return nil
	}
	var names []string
	for _, i := range append(cycles[0], cycles[0][0]) {
		names = append(names, nodes[i])
	}
	return names
}

// Cycles returns a shortest cycle of each strongly connected component that has one,
// the smallest node first (Tarjan 1972). To has the nodes that each node leads to.
func Cycles(to [][]int) (found [][]int) {
	const unseen = 0
	index, low, component := make([]int, len(to)), make([]int, len(to)), make([]int, len(to))
	var stack []int
	next, components := 1, 0
	type frame struct{ node, edge int }
	for root := range to {
		if index[root] != unseen {
			continue
		}
		calls := []frame{{root, 0}}
		for len(calls) > 0 {
			f := &calls[len(calls)-1]
			if f.edge == 0 && index[f.node] == unseen {
				index[f.node], low[f.node] = next, next
				next++
				stack = append(stack, f.node)
			}
			if f.edge < len(to[f.node]) {
				n := to[f.node][f.edge]
				f.edge++
				if index[n] == unseen {
					calls = append(calls, frame{n, 0})
				} else if component[n] == 0 {
					low[f.node] = min(low[f.node], index[n])
				}
				continue
			}
			node := f.node
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				up := calls[len(calls)-1].node
				low[up] = min(low[up], low[node])
			}
			if low[node] != index[node] {
				continue
			}
			components++
			var members []int
			for {
				n := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				component[n] = components
				if members = append(members, n); n == node {
					break
				}
			}
			if len(members) > 1 || slices.Contains(to[node], node) {
				slices.Sort(members)
				found = append(found, shortest(to, component, members[0]))
			}
		}
	}
	slices.SortFunc(found, slices.Compare)
	return found
}

// shortest is a shortest way from a node back to it, within its component.
func shortest(to [][]int, component []int, start int) []int {
	before := map[int]int{}
	queue := []int{start}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, m := range to[n] {
			if m == start {
				way := []int{n}
				for n != start {
					n = before[n]
					way = append(way, n)
				}
				slices.Reverse(way)
				return way
			}
			if _, seen := before[m]; !seen && component[m] == component[start] {
				before[m] = n
				queue = append(queue, m)
			}
		}
	}
	panic("a component without a cycle")
}
