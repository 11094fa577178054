package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/migrate"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

var initVerb = &cli.Verb[program]{
	Name: "init", Short: "set up a repository: plugins.toml, Buck2, git",
	Long: `Writes a starter plugins.toml into the working directory, or to --manifest, and
configures the repository:

.gitattributes beside the lock gets a line that keeps the line ends of the lock
(core.autocrlf), and names the drivers for merges and diffs.

In a Buck2 project (a .buckconfig here or above), .buckconfig gets the cell
buck2-protobuf, from git at the commit that this lockgen was built from, and its
target platform. The build file of the cell toolchains gets the target protobuf,
which loads the lock. .gitignore gets buck-out. lockgen shows the differences,
and writes them if you confirm on a terminal, or with --yes. It keeps existing
lines, and reports values that differ. It reports a build file that does not
parse, and does not change it. Without Buck2, it says so.

At the end, it prints the plugins for the languages of the repository, the first
lines of a BUCK file, and the next command. Below a folder with a plugins.toml,
that file applies, and init does nothing without --here. In a repository that is
fully configured, it writes nothing, and the exit status is 0.

With --from, plugins.toml gets the plugins of a buf.gen.yaml (v1beta1, v1, v2),
or of the programs in a folder, in their versions. lockgen then prints the lines
of a BUCK file that generates the same code, and what has no equivalent, with
the reason. The deps of a buf.yaml become proto packages. Programs run only with
--run: Go programs contain their version.`,
	Example: `lockgen init
lockgen init --dry-run         show what would be written
lockgen init --yes             for scripts
lockgen init --from buf.gen.yaml
lockgen init --from .          buf.gen.yaml, and each buf.yaml of a workspace
lockgen init --from tools/bin  protoc and protoc-gen-… that are checked in
lockgen init --commit HEAD     take the newest commit of buck2-protobuf`,
	JSON: true, Run: runInit,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringVar(&p.from, "from", "", "take the plugins from `FILE`: a buf.gen.yaml, a buf.yaml, or a folder with programs")
		f.BoolVar(&p.runs, "run", false, "with --from: run programs with --version, in a sandbox, if their version is unknown")
		f.BoolVar(&p.yes, "yes", false, "write without asking")
		dryRunFlag(f, p)
		f.BoolVar(&p.here, "here", false, "create a plugins.toml here, even below another one")
		f.StringVar(&p.commit, "commit", "", "the `COMMIT` of buck2-protobuf for Buck2: a full hash, a tag or a branch")
		f.StringVar(&p.origin, "origin", build.Home, "the `URL` of the git repository of buck2-protobuf")
		f.BoolVar(&p.noBuck2, "no-buck2", false, "do not change files of Buck2")
	},
}

// An initial is one run of init.
type initial struct {
	*program
	name, lockName string // of manifest and lock
	writes         []files.Write
	created        bool             // writes has a new manifest
	edits          bool             // writes has a changed manifest
	asks           bool             // writes changes files of others
	notes          []string         // what was found and left unchanged
	buck2          *project.Project // nil for none
	cell           string           // what to write between @ and // the name for loads, between @ and //
	migration      *migrate.Result  // for --from, nil for none
	wanted         []string         // for --from: NAME[@VERSION]
}

func runInit(ctx context.Context, p *program, _ []string) error {
	i := &initial{program: p, name: p.manifestGiven, lockName: p.lockGiven, cell: project.Cell}
	if i.name == "" {
		if err := p.above(); err != nil {
			return err
		}
		i.name = manifest.FileName
	}
	if i.lockName == "" {
		i.lockName = filepath.Join(filepath.Dir(i.name), lock.FileName)
	}
	unlock, err := files.Exclusive(ctx, p.ui, i.name, i.lockName)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = os.Lstat(i.name)
	i.created = err != nil
	switch {
	case p.from != "":
		if err := i.planMigration(ctx); err != nil {
			return err
		}
	case i.created:
		i.writes = append(i.writes, files.Write{Name: i.name, After: []byte(edit.Starter)})
	}
	attributes, attribute, err := project.Attribute(i.lockName)
	if err != nil {
		return err
	}
	if attribute {
		i.writes = append(i.writes, attributes)
	}
	if err := i.wire(ctx); err != nil {
		return err
	}
	for _, note := range i.notes {
		p.ui.Warn("%s", note)
	}
	if len(i.writes) == 0 {
		switch {
		case p.ui.JSON:
			return i.data(attribute, attributes)
		case i.migration != nil:
			i.next()
		case len(i.notes) > 0:
			p.ui.Say("%s exists already; nothing was written", i.name)
		default:
			p.ui.Say("%s exists already, and everything is configured; nothing was written", i.name)
		}
		return nil
	}
	if err := i.consent(ctx); err != nil {
		return err
	}
	if !p.dryRun {
		for _, w := range i.writes {
			if err := os.MkdirAll(filepath.Dir(w.Name), 0o777); err != nil {
				return err
			}
		}
		if err := files.Replace(i.writes...); err != nil {
			return err
		}
	}
	if p.ui.JSON {
		return i.data(attribute, attributes)
	}
	if p.dryRun {
		if i.migration != nil {
			i.equivalents()
		}
		p.ui.Say("nothing was written")
		return nil
	}
	i.tell(attribute, attributes)
	return nil
}

// above refuses a folder below one with a plugins.toml, except with --here.
func (p *program) above() error {
	found, err := manifest.Find(".")
	if errors.Is(err, fs.ErrNotExist) || p.here {
		return nil
	}
	if err != nil {
		return err
	}
	if found = files.Absolute(found); filepath.Dir(found) == files.Absolute(".") {
		return nil
	}
	return fault.Errorf(fault.Usage, "to edit that file, run: lockgen add NAME; to create one for this folder, run: lockgen init --here",
		"%s applies to this folder; nothing was written", found)
}

// consent shows the differences, and asks for confirmation if files of others
// would change.
func (i *initial) consent(ctx context.Context) error {
	if !i.asks && !i.dryRun {
		return nil
	}
	if !i.ui.JSON {
		for _, w := range i.writes {
			i.ui.Result("%s", strings.TrimRight(files.Diff(w), "\n"))
		}
	}
	if i.yes || i.dryRun {
		return nil
	}
	yes, asked, err := i.ui.Confirm(ctx, "write these changes?")
	switch {
	case err != nil:
		return err
	case yes:
		return nil
	case asked:
		return fault.Errorf(fault.Usage, "to write them, run it again; without the files of Buck2: lockgen init --no-buck2", "not confirmed; nothing was written")
	}
	return fault.Errorf(fault.Usage, "check the differences, then run: "+i.again("--yes"), "changes to existing files need confirmation, and there is no terminal; nothing was written")
}

// again returns the command line of this run with one more flag.
func (i *initial) again(flag string) string {
	line := "lockgen init " + flag
	for _, f := range [][3]string{{"--from", i.from}, {"--manifest", i.manifestGiven}, {"--lock", i.lockGiven}, {"--commit", i.commit}, {"--origin", i.origin, build.Home}} {
		if f[1] != f[2] {
			line += " " + f[0] + " " + word(f[1])
		}
	}
	if i.runs {
		line += " --run"
	}
	if i.here {
		line += " --here"
	}
	return line
}

// word is an argument of a command line, for a shell.
func word(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-" // no shell changes these
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// data prints the result as JSON.
func (i *initial) data(attribute bool, attributes files.Write) error {
	result := map[string]any{}
	if i.migration != nil {
		lacks := i.migration.Lacks
		if lacks == nil {
			lacks = []migrate.Lack{}
		}
		result["wanted"], result["lacks"], result["buck"] = list(i.wanted), lacks, i.migration.Targets(i.cell)
	}
	for k, v := range map[string]any{"dry_run": i.dryRun, "written": !i.dryRun && len(i.writes) > 0, "files": files.Changes(i.writes), "notes": list(i.notes)} {
		result[k] = v
	}
	if i.created {
		result["created"] = i.name
	}
	if attribute {
		result["attributes"], result["git_config"] = attributes.Name, project.GitConfig
	}
	return i.ui.Data(result)
}

// tell prints what was written, and what comes next.
func (i *initial) tell(attribute bool, attributes files.Write) {
	if !i.created && !i.edits {
		i.ui.Say("%s exists already and was not changed", i.name)
	}
	var wrote []string
	for _, w := range i.writes {
		if w.Name != attributes.Name && (w.Name != i.name || i.edits) {
			wrote = append(wrote, w.Name)
		}
	}
	if len(wrote) > 0 {
		i.ui.Say("wrote %s", strings.Join(wrote, ", "))
	}
	if i.created {
		if i.migration != nil {
			i.ui.Say("wrote %s", i.name)
		} else {
			i.ui.Say("wrote %s; edit it, then run: lockgen update", i.name)
		}
	}
	if attribute {
		i.ui.Say("wrote %s, so that git keeps the line ends of %s; to enable the drivers for merges and diffs in a clone, run:\n%s",
			attributes.Name, filepath.Base(i.lockName), strings.Join(project.GitConfig, "\n"))
	}
	if !i.created && !i.asks {
		return
	}
	if i.buck2 == nil {
		i.ui.Say("no .buckconfig here or above, so nothing was written for Buck2")
	}
	i.next()
}
