package maven

import (
	"cmp"
	"context"
	"fmt"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// maxRounds bounds how often a resolution with higher versions is repeated.
const maxRounds = 50

// Together returns what each of several artifacts needs at runtime in one program,
// the artifact itself first, by its GROUP:ARTIFACT. Of everything else that they need
// the highest version is taken that any of it asks for: an older one would not be
// noticed before the program runs. Else it is as for [Resolver.Closure].
//
// If one of the artifacts themselves is older than another needs it, or no version is
// in all ranges, the error is of class [fault.Usage].
func (r *Resolver) Together(ctx context.Context, roots []Coordinate) (map[string][]Node, error) {
	raised := map[string]dependency{}
	for range maxRounds {
		c := newClosing(r, raised)
		c.joined = true
		var level []pending
		for _, root := range roots {
			first, of, err := c.relocate(ctx, Node{Coordinate: root, File: true})
			if err != nil {
				return nil, err
			}
			if first.Relocated != "" {
				return nil, fault.Errorf(fault.Usage, "write its new name", "%s was moved to %s", root, first.Coordinate)
			}
			c.nodes = append(c.nodes, &first)
			c.seen[keyOf(root)] = &first
			level = append(level, pending{node: &first, of: of})
		}
		if err := c.descend(ctx, roots[0], level, 2); err != nil { // from 2, where versions are managed
			return nil, err
		}
		again, err := c.raise(roots)
		if err != nil {
			return nil, err
		}
		if !again {
			return c.apart(roots), nil
		}
	}
	return nil, misfit(roots[0], "the versions that its dependencies need change each other")
}

// chosen is the node that a dependency came to, under its new name if it was moved.
func (c *closing) chosen(key string) *Node {
	n := c.seen[key]
	return cmp.Or(c.seen[keyOf(n.Coordinate)], n)
}

// raise manages the highest version of each artifact that a dependency asks for, and
// reports whether that is another one than was taken.
func (c *closing) raise(roots []Coordinate) (again bool, err error) {
	for _, a := range c.asks {
		want, err := parseConstraint(a.of.Version)
		if err != nil {
			return false, misfit(a.by.Coordinate, "its dependency on %s: %w", a.of.String(), err)
		}
		n := c.chosen(a.key)
		if len(want.ranges) > 0 {
			if !want.allows(n.Version) {
				return false, fault.Errorf(fault.Usage, "take versions that fit together, or take one of them out of [runtimes]",
					"%s needs %s %s, but another dependency needs %s", a.by, a.of.String(), a.of.Version, n.Version)
			}
			continue
		}
		if n.Relocated != "" || Compare(want.wish, n.Version) <= 0 {
			continue
		}
		for _, root := range roots {
			if n.Package() == root.Package() {
				return false, fault.Errorf(fault.Usage, fmt.Sprintf("lock %s %s or later, or an older version of what needs it", n.Package(), want.wish),
					"%s needs %s %s or later, and [runtimes] has %s", a.by, n.Package(), want.wish, n.Version)
			}
		}
		key := a.of.key()
		if old, ok := c.managed[key]; !ok || Compare(want.wish, old.Version) > 0 {
			c.managed[key] = dependency{Version: want.wish}
			again = true
		}
	}
	return again, nil
}

// apart are the nodes that each root needs, in the order of all.
func (c *closing) apart(roots []Coordinate) map[string][]Node {
	edges := map[*Node][]*Node{}
	for _, a := range c.asks {
		edges[a.by] = append(edges[a.by], c.chosen(a.key))
	}
	of := map[string][]Node{}
	for _, root := range roots {
		first := c.seen[keyOf(root)]
		reached := map[*Node]bool{first: true}
		for queue := []*Node{first}; len(queue) > 0; queue = queue[1:] {
			for _, n := range edges[queue[0]] {
				if !reached[n] {
					reached[n] = true
					queue = append(queue, n)
				}
			}
		}
		list := []Node{*first}
		for _, n := range c.nodes {
			if reached[n] && n != first {
				list = append(list, *n)
			}
		}
		of[root.Package()] = list
	}
	return of
}
