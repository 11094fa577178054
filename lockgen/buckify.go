package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/buckify"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

var buckifyVerb = &cli.Verb[program]{
	Name: "buckify", Args: "[DIR…]", Short: "write and update the BUCK files of .proto files",
	Long: `Writes a proto_library for the .proto files of each directory, or for each file,
with deps from their imports, and the libraries of the languages in [buckify] of
plugins.toml. It reads the whole Buck2 cell and edits the BUCK files of all
folders, or of those in DIR. It uses no network.

An import from a proto package (lockgen help docs/protos.md) becomes a dep on
its target in //third-party/proto. If there is no BUCK file for it, one is
written.

It keeps what people wrote into a BUCK file: attributes, comments, order, and
everything with the comment # keep. It removes targets and entries of files that
no longer exist. A second run changes nothing. If there is an import without a
target, a cycle of targets or a BUCK file that does not parse, it reports file
and line, and writes nothing.

With --check it also writes nothing: if a run would change a BUCK file, it
prints the difference and the exit status is 3.

The page of the manual: lockgen help docs/buckify.md`,
	Example: `lockgen buckify
lockgen buckify services/shop
lockgen buckify --check`,
	JSON: true, Run: runBuckify,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.check, "check", false, "write nothing; if a run would, print the differences and exit 3")
		dryRunFlag(f, p)
		f.BoolVar(&p.regroup, "regroup", false, "group files by granularity, even if targets group them differently")
	},
}

// buckifyMemory is the memory limit for the garbage collector, for trees with
// tens of thousands of files.
const buckifyMemory = 512 << 20

// runBuckify edits the BUCK files of a cell.
func runBuckify(ctx context.Context, p *program, args []string) error {
	if p.check && p.dryRun {
		return fault.Errorf(fault.Usage, "leave one of them out", "--check and --dry-run both write nothing")
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(buckifyMemory))
	o, err := buckify.InCell(args, func() (*manifest.Manifest, string, error) {
		m, err := p.readManifest()
		if p.manifestGiven == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil // the defaults need no lock
		}
		return m, p.lock, err
	})
	if err != nil {
		return err
	}
	o.Regroup = p.regroup
	unlock := func() {}
	if !p.check && !p.dryRun {
		if unlock, err = files.Exclusive(ctx, p.ui, filepath.Join(o.Root, ".buckconfig")); err != nil {
			return err
		}
	}
	defer unlock()
	r, err := buckify.Run(ctx, *o)
	if err != nil {
		return fault.About(fault.AboutBuckFiles, err)
	}
	if !p.ui.JSON {
		p.buckifyNotes(r)
	}
	var writes []files.Write
	for _, e := range r.Edits {
		name := filepath.Join(o.Root, filepath.FromSlash(e.Path))
		if rel, err := filepath.Rel(files.Absolute("."), name); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
		writes = append(writes, files.Write{Name: name, Before: e.Before, After: e.After})
	}
	result := map[string]any{
		"cell": o.Root, "files": r.Files, "targets": r.Targets, "changes": files.Changes(writes),
		"roots": orNone(r.Roots), "warnings": orNone(r.Warnings), "unpackaged": orNone(r.Unpackaged), "beyond": r.Beyond,
	}
	if p.check {
		return p.buckifyCheck(writes, result)
	}
	if !p.dryRun { // the proto packages may be the first files in their folder
		for _, w := range writes {
			if err := os.MkdirAll(filepath.Dir(w.Name), 0o755); err != nil {
				return fault.Errorf(fault.Machine, fault.MachineHint(err), "creating the folder of %s: %w", w.Name, err)
			}
		}
	}
	if err := files.Put(p.ui, p.dryRun, writes...); err != nil {
		return err
	}
	if p.ui.JSON {
		result["written"] = !p.dryRun
		return p.ui.Data(result)
	}
	what := plain.Count(r.Targets, "proto_library target") + " for " + plain.Count(r.Files, ".proto file")
	switch {
	case p.dryRun:
		p.ui.Say("%s of %s would change; nothing was written", plain.Count(len(writes), "BUCK file"), what)
	case len(writes) > 0:
		p.ui.Say("wrote %s: %s", plain.Count(len(writes), "BUCK file"), what)
	default:
		p.ui.Say("nothing changed: %s", what)
	}
	if r.Beyond > 0 {
		p.ui.Say("%s outside of %s would change as well; run: lockgen buckify", plain.Count(r.Beyond, "BUCK file"), strings.Join(args, ", "))
	}
	return nil
}

// buckifyNotes prints what was noticed.
func (p *program) buckifyNotes(r *buckify.Result) {
	for _, w := range r.Warnings {
		p.ui.Warn("%s", w)
	}
	if n := len(r.Unpackaged); n > 0 {
		p.ui.Warn("%s without a package, whose names may be those of others: %s", plain.Count(n, ".proto file"), fault.List(r.Unpackaged))
	}
	for _, root := range r.Roots {
		p.ui.Detail("imports are also relative to %s: %s", root.Folder, root.Why)
	}
}

// orNone returns a list that JSON prints as [] if it is empty.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// buckifyCheck prints what would change, and fails if anything would.
func (p *program) buckifyCheck(writes []files.Write, result map[string]any) error {
	result["ok"] = len(writes) == 0
	if len(writes) == 0 {
		if p.ui.JSON {
			return p.ui.Data(result)
		}
		p.ui.Say("all BUCK files match their .proto files")
		return nil
	}
	if !p.ui.JSON {
		for _, w := range writes {
			p.ui.Result("%s", strings.TrimRight(files.Diff(w), "\n"))
		}
	}
	return p.refuse(result, fault.About(fault.AboutBuckFiles, fault.Errorf(fault.Lock, "run: lockgen buckify", "%s out of date", are(len(writes), "BUCK file"))))
}

// are returns "1 BUCK file is" or "2 BUCK files are".
func are(n int, noun string) string {
	if n == 1 {
		return plain.Count(n, noun) + " is"
	}
	return plain.Count(n, noun) + " are"
}
