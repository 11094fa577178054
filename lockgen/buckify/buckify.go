// Package buckify works out which proto_library targets a tree of .proto files
// needs, and how its BUCK files have to change to declare them. It writes
// nothing: [Run] returns the edits.
//
// # What it does
//
// A run covers one Buck2 cell. It reads the imports of every .proto file in the
// cell, and every BUCK file that mentions a proto_library. It then assigns each
// .proto file to a target, gives each target its deps, and produces the new text
// of each BUCK file.
//
// A file belongs to the proto_library that lists it in srcs. A file that no
// target lists goes to the target of its directory or to one of its own,
// depending on the granularity. So targets that people have split stay split,
// unless [Options.Regroup] applies the granularity to them too.
//
// # What is edited
//
// In an existing proto_library: srcs, deps, and a strip_import_prefix that starts
// at the root of the cell. In an existing language library that has a runtime:
// its deps. All other attributes are written once, when the target is created.
// The comment "# keep" protects a target, an attribute, or an entry of a list. A
// target whose files are gone is removed, together with the language libraries
// made from it; a BUCK file with nothing left in it is deleted. All other bytes
// of a BUCK file are preserved.
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

// Options are the inputs of Run.
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

// A Result is what a run found and what it would change.
type Result struct {
	Files    int      // .proto files
	Targets  int      // proto_library targets that have them
	Roots    []Root   // sorted by folder, without the cell's own
	Warnings []string // FILE:LINE: …
	// Unpackaged lists the .proto files that declare no package, as FILE:LINE.
	Unpackaged []string
	Edits      []Edit // sorted by path, without what does not change
	Beyond     int    // how many BUCK files outside of Within would change
}

// A Root is a folder, other than the root of the cell, to which import paths are
// relative.
type Root struct {
	Folder string `json:"folder"`
	Why    string `json:"why"` // FILE:LINE of an import that says so, or where it was written
}

// An Edit is the change to one BUCK file.
type Edit struct {
	Path          string // from the root of the cell
	Before, After []byte // nil for a file that is not there
}

// Run examines a cell. An error of class [fault.Usage] lists the FILE:LINE of
// every problem it found; an error of class [fault.Machine] means that something
// could not be read.
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

// run is the state of one run, which the steps of Run fill in turn.
type run struct {
	Options
	*tree
	problems problems
	result   Result

	targets []*target // sorted by folder and place in the BUCK file
	roots   []string  // without that of the cell, sorted
	// packages holds the names of the imported proto packages.
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

// at returns FILE:LINE.
func (f *file) at(line int) string { return fmt.Sprintf("%s:%d", f.path, line) }

// A target is a proto_library as it should be.
type target struct {
	folder *folder // its package
	name   string
	old    *rule // nil for a new one
	files  []*file
	whole  bool // its srcs are not edited
	// partial means that the target also has sources we cannot see, because they
	// are excluded or generated. Their imports are unknown, so no deps are
	// removed.
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

// label returns the label of a target as the BUCK file of another package writes
// it.
func (t *target) label(from *folder) string {
	if t.folder == from {
		return ":" + t.name
	}
	return "//" + t.folder.path + ":" + t.name
}

// problems collects what is wrong with a tree.
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

// shown limits how many problems one error lists.
const shown = 20

// err joins all problems into one error, or returns nil if there are none.
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

// fileOf returns the FILE of FILE:LINE:COLUMN.
func fileOf(where string) string {
	name, _, _ := strings.Cut(where, ":")
	return name
}

// comparePlaces orders FILE:LINE by file, then by line number.
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

// placed formats :LINE:COLUMN.
func placed(line, col int) string { return fmt.Sprintf(":%d:%d", line, col) }

func (r *run) warn(format string, args ...any) {
	r.result.Warnings = append(r.result.Warnings, fmt.Sprintf(format, args...))
}
