package buckify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/protofile"
	"github.com/birbparty/buck2-protobuf/lockgen/graph"
)

// acyclic rejects files that import each other, as protoc does, and targets whose
// deps would form a cycle.
func (r *run) acyclic(context.Context) error {
	nodes := make(map[*file]int, len(r.files))
	for i, f := range r.files {
		nodes[f] = i
	}
	imports := make([][]int, len(r.files))
	lines := map[[2]int]int{}
	for i, f := range r.files {
		for _, imp := range f.Imports {
			if r.resolved(imp.Path) {
				continue
			}
			if to, bad := r.pick(f, imp); to != nil && !bad && to != f {
				imports[i] = append(imports[i], nodes[to])
				lines[[2]int{i, nodes[to]}] = imp.Line
			}
		}
	}
	bad := false
	for _, cycle := range graph.Cycles(imports) {
		bad = true
		var steps []string
		for k, i := range cycle {
			to := cycle[(k+1)%len(cycle)]
			steps = append(steps, fmt.Sprintf("%s imports %s", r.files[i].at(lines[[2]int{i, to}]), r.files[to].path))
		}
		where, _, _ := strings.Cut(steps[0], " ")
		r.problems.add(where, "break the circle: move what both need into a file of its own", "files import each other, which protoc refuses:\n%s", shorten(steps))
	}
	if bad {
		return nil
	}
	of := make([][]int, len(r.targets))
	by := map[[2]int]use{}
	for i, t := range r.targets {
		for _, u := range t.uses {
			if u.of != t {
				of[i] = append(of[i], u.of.order)
				if _, ok := by[[2]int{i, u.of.order}]; !ok {
					by[[2]int{i, u.of.order}] = u
				}
			}
		}
	}
	for _, cycle := range graph.Cycles(of) {
		var steps []string
		for k, i := range cycle {
			u := by[[2]int{i, cycle[(k+1)%len(cycle)]}]
			steps = append(steps, fmt.Sprintf("%s imports %s (%s needs %s)", u.file.at(u.line), u.to.path, r.targets[i].label(nil), u.of.label(nil)))
		}
		first := by[[2]int{cycle[0], cycle[1%len(cycle)]}]
		hint := "write granularity = \"file\" in [buckify] of plugins.toml, or move the files into one folder"
		if slices.ContainsFunc(cycle, func(i int) bool { return r.targets[i].old != nil }) {
			hint = "write granularity = \"file\" in [buckify] of plugins.toml and run: lockgen buckify --regroup, or move the files into one folder"
		}
		r.problems.add(first.file.at(first.line), hint, "targets would need each other:\n%s", shorten(steps))
	}
	return nil
}

// shorten joins the steps of a cycle, and leaves out the middle of a long one.
func shorten(steps []string) string {
	if n := len(steps) - shown; n > 1 {
		steps = slices.Concat(steps[:shown/2], []string{fmt.Sprintf("and %d more, then", n)}, steps[len(steps)-shown/2:])
	}
	return strings.Join(steps, "\n")
}

// resolved reports whether an import is satisfied without a file of the cell.
func (r *run) resolved(importPath string) bool {
	if protofile.WellKnown(importPath) || r.Resolve[importPath] != "" {
		return true
	}
	for p := range r.Resolve {
		if matches(p, importPath) {
			return true
		}
	}
	return false
}

// unique rejects a target that reaches two files with the same import path,
// because protoc would mistake one for the other.
func (r *run) unique(context.Context) error {
	var twins [][]*file
	number := map[*file]int{}
	for _, f := range r.files {
		if same := r.index[f.importPath]; len(same) > 1 {
			number[f] = len(number)
			if same[0] == f {
				twins = append(twins, same)
			}
		}
	}
	if len(twins) == 0 {
		return nil
	}
	// What each target reaches, as a bit set. There are no cycles left here.
	words := (len(number) + 63) / 64
	reached := make([][]uint64, len(r.targets))
	var reach func(t *target) []uint64
	reach = func(t *target) []uint64 {
		if bits := reached[t.order]; bits != nil {
			return bits
		}
		bits := make([]uint64, words)
		for _, f := range t.files {
			if n, ok := number[f]; ok {
				bits[n/64] |= 1 << (n % 64)
			}
		}
		for _, u := range t.uses {
			for i, w := range reach(u.of) {
				bits[i] |= w
			}
		}
		reached[t.order] = bits
		return bits
	}
	told := map[*file]bool{}
	// Report dependencies first: their dependents have the same problem.
	for _, t := range r.targets {
		bits := reach(t)
		has := func(f *file) bool { n := number[f]; return bits[n/64]&(1<<(n%64)) != 0 }
		for _, same := range twins {
			if told[same[0]] {
				continue
			}
			var both []*file
			for _, f := range same {
				if has(f) {
					both = append(both, f)
				}
			}
			if len(both) < 2 {
				continue
			}
			told[same[0]] = true
			one, whereOne := r.way(t, both[0])
			two, _ := r.way(t, both[1])
			r.problems.add(whereOne, "let both sides import the same file, or say the roots in [buckify] so that they do",
				"%s needs two files of the import path %q:\n%s\n%s", t.label(nil), both[0].importPath, one, two)
		}
	}
	return nil
}

// way describes how a target reaches a file, and returns where that path starts.
func (r *run) way(t *target, f *file) (text, where string) {
	type step struct {
		from *target
		use  use
	}
	came := map[*target]step{t: {}}
	queue := []*target{t}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if slices.Contains(at.files, f) {
			if at == t {
				return f.path + " is its own", f.path
			}
			var steps []string
			for at != t {
				s := came[at]
				where = s.use.file.at(s.use.line)
				steps = append([]string{where + " imports " + s.use.to.path}, steps...)
				at = s.from
			}
			return f.path + ", for " + strings.Join(steps, ", "), where
		}
		for _, u := range at.uses {
			if _, seen := came[u.of]; !seen {
				came[u.of] = step{at, u}
				queue = append(queue, u.of)
			}
		}
	}
	return f.path, f.path
}
