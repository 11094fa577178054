// Package buckify says which proto_library targets a tree of .proto files needs,
// and how its BUCK files have to change for that. It reads and writes nothing:
// [Run] returns the edits.
//
// # What it does
//
// A run is for one cell of Buck2. It reads the imports of all .proto files there
// and every BUCK file that speaks of a proto_library. Then each .proto file gets
// its target, each target its deps, and each BUCK file the text that has them.
//
// Which target a file belongs to is decided in this order: the proto_library
// that has it in its srcs, and else, by the granularity, the target of its
// directory or one of its own. So what people have divided stays divided; with
// [Options.Regroup] the granularity decides anew.
//
// # What is edited
//
// Of a proto_library that is there, srcs, deps and a strip_import_prefix from
// the root of the cell; of a library of a language that has a runtime, its deps.
// Every other attribute is written once, with the target. What is marked with
// the comment "# keep" stays: a target, an attribute, or an entry of a list. A
// target whose files are gone goes, with the libraries of languages made of it,
// and a BUCK file in which nothing is left. All other bytes of a BUCK file stay
// as they are.
package buckify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/protofile"
)

// Options say what Run does.
type Options struct {
	manifest.Buckify

	Root       string   // folder of the cell
	Cell       []string // its names, which labels may begin with
	Within     []string // folders whose BUCK files are edited, from the root of the cell; nil: all
	BuildFiles []string // names of BUCK files, in the order in which Buck2 looks for them; a new one has the last
	Ignore     []string // what is no part of the cell: paths and patterns, from its root
	Regroup    bool     // divide files by the granularity, also those that targets have divided otherwise

	Packages *Packages // the proto packages that may be imported, nil for none
}

// A Result is what a run has found.
type Result struct {
	Files    int      // .proto files
	Targets  int      // proto_library targets that have them
	Roots    []Root   // sorted by folder, without the cell's own
	Warnings []string // FILE:LINE: …
	// Unpackaged are the .proto files without a package, as FILE:LINE.
	Unpackaged []string
	Edits      []Edit // sorted by path, without what does not change
	Beyond     int    // how many BUCK files outside of Within would change
}

// A Root is a folder from which imports are counted, besides the root of the
// cell.
type Root struct {
	Folder string `json:"folder"`
	Why    string `json:"why"` // FILE:LINE of an import that says so, or where it was written
}

// An Edit is the change of one BUCK file.
type Edit struct {
	Path          string // from the root of the cell
	Before, After []byte // nil for a file that is not there
}

// Run looks at a cell. Its errors are of class [fault.Usage], with FILE:LINE of
// everything that is wrong, or [fault.Machine] for what cannot be read.
func Run(ctx context.Context, o Options) (*Result, error) {
	r := &run{Options: o, tree: newTree(), packages: map[string]bool{}}
	for _, step := range []func(context.Context) error{
		r.walk, r.read, r.claim, r.findRoots, r.resolve, r.acyclic, r.unique, r.edit,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if err := r.problems.err(); err != nil {
			return nil, err
		}
	}
	r.result.Files = len(r.files)
	return &r.result, nil
}

// run is the state of one run; the steps of Run fill it one after the other.
type run struct {
	Options
	*tree
	problems problems
	result   Result

	targets []*target // sorted by folder and place in the BUCK file
	roots   []string  // without that of the cell, sorted
	// packages are the names of the proto packages that are imported.
	packages map[string]bool
	index    map[string][]*file
}

// A file is one .proto file.
type file struct {
	path   string // from the root of the cell
	folder *folder
	protofile.File
	target     *target
	root       string // folder from which its imports are counted, "" for that of the cell
	importPath string // by which others import it
	fixed      bool   // somebody wrote the import path into the BUCK file
}

// at is FILE:LINE.
func (f *file) at(line int) string { return fmt.Sprintf("%s:%d", f.path, line) }

// A target is a proto_library as it shall be.
type target struct {
	folder *folder // its package
	name   string
	old    *rule // nil for a new one
	files  []*file
	whole  bool // its srcs are not edited
	// partial is set where it has more than files: of what is excluded or
	// generated nobody knows the imports, so no deps are taken away.
	partial bool
	gone    bool
	uses    []use
	labels  map[string]bool // deps
	order   int             // place in run.targets
}

// A use is an import that makes a target depend on another.
type use struct {
	of   *target
	file *file // that has the import
	line int
	to   *file // that is imported
}

// label is the label of a target for the BUCK file of a package.
func (t *target) label(from *folder) string {
	if t.folder == from {
		return ":" + t.name
	}
	return "//" + t.folder.path + ":" + t.name
}

// problems are what is wrong with a tree.
type problems struct{ list []problem }

type problem struct {
	class          fault.Class
	where, message string
	hint           string
	err            error
}

func (p *problems) add(where, hint, format string, args ...any) {
	p.list = append(p.list, problem{class: fault.Usage, where: where, message: fmt.Sprintf(format, args...), hint: hint})
}

// shown is how many problems one error tells.
const shown = 20

// err is one error of all problems, nil for none.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b problem) int { return cmp.Or(-cmp.Compare(a.class, b.class), comparePlaces(a.where, b.where)) })
	first := p.list[0]
	if first.class == fault.Machine {
		return fault.Errorf(fault.Machine, first.hint, "%s: %w; nothing was written", first.where, first.err)
	}
	var lines, hints []string
	for i, q := range p.list {
		if i < shown {
			lines = append(lines, q.where+": "+q.message)
		}
		if q.hint != "" && !slices.Contains(hints, q.hint) && len(hints) < 3 {
			hints = append(hints, q.hint)
		}
	}
	if more := len(p.list) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	hint := strings.Join(hints, "\n")
	if hint == "" {
		hint = "correct the file, or leave it alone: exclude = [" + fmt.Sprintf("%q", fileOf(first.where)) + "] in [buckify] of " + manifest.FileName
	}
	return fault.Errorf(fault.Usage, hint, "%s\nnothing was written", strings.Join(lines, "\n"))
}

// fileOf is FILE of FILE:LINE:COLUMN.
func fileOf(where string) string {
	name, _, _ := strings.Cut(where, ":")
	return name
}

// comparePlaces orders FILE:LINE by file and number.
func comparePlaces(a, b string) int {
	split := func(s string) (name string, line int) {
		name, rest, _ := strings.Cut(s, ":")
		_, _ = fmt.Sscanf(rest, "%d", &line) // 0 where there is none
		return name, line
	}
	nameA, lineA := split(a)
	nameB, lineB := split(b)
	return cmp.Or(strings.Compare(nameA, nameB), cmp.Compare(lineA, lineB))
}

// placed is :LINE:COLUMN.
func placed(line, col int) string { return fmt.Sprintf(":%d:%d", line, col) }

func (r *run) warn(format string, args ...any) {
	r.result.Warnings = append(r.result.Warnings, fmt.Sprintf(format, args...))
}
