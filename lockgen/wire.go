package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/change"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/git"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// wire finds the Buck2 project, and plans its files unless --no-buck2 is given.
func (i *initial) wire(ctx context.Context) (err error) {
	i.buck2, err = project.Find(filepath.Dir(files.Absolute(i.name)))
	if i.buck2 == nil || i.noBuck2 {
		return nil
	}
	if err != nil {
		return i.orWithout(err)
	}
	wish := project.Wish{Origin: i.origin, Commit: i.commit, Lock: i.lockName}
	if m, _, err := manifest.Read(i.name); err == nil {
		for _, language := range lock.Languages() {
			of := func(p *manifest.Plugin) bool { return p.Language == language }
			if slices.ContainsFunc(slices.Collect(maps.Values(m.Plugins)), of) {
				wish.Runtimes = append(wish.Runtimes, language)
			}
		}
	}
	if i.commit == "" {
		built := cli.Built()
		if wish.Commit = built.Commit; built.Dirty {
			i.notes = append(i.notes, "this lockgen was built from changed files; Buck2 will use commit "+built.Commit+" without the changes")
		}
	}
	plan, err := i.buck2.Wire(wish)
	if errors.Is(err, project.ErrCommit) {
		if wish.Commit, err = i.askCommit(ctx); err == nil {
			plan, err = i.buck2.Wire(wish)
		}
	}
	if err != nil {
		return i.orWithout(err)
	}
	i.cell = plan.Cell
	i.notes = append(i.notes, plan.Notes...)
	for _, e := range plan.Edits {
		i.writes = append(i.writes, e)
		i.asks = true
	}
	if _, err := os.Lstat(i.lockName); plan.Loads && errors.Is(err, fs.ErrNotExist) {
		// A BUCK file that loads a missing file breaks every build.
		i.writes = append(i.writes, files.Write{Name: i.lockName, After: lock.Print(&lock.Lock{Schema: lock.Schema})})
	}
	if w, ok, err := project.Ignore(i.buck2.Root); err != nil {
		return err
	} else if ok {
		i.writes = append(i.writes, w)
		i.asks = true
	}
	return nil
}

// orWithout adds to the hint of an error how to do without Buck2.
func (i *initial) orWithout(err error) error {
	return fault.Errorf(fault.Of(err), fault.Hint(err)+"; or, to leave the files of Buck2 unchanged: "+i.again("--no-buck2"), "%w", err)
}

// askCommit asks the repository of buck2-protobuf for the commit of a tag, a
// branch, or the version of this program.
func (i *initial) askCommit(ctx context.Context) (string, error) {
	rev := i.commit
	if rev == "" {
		version := cli.Built().Version
		if version == "devel" {
			return "", fault.Errorf(fault.Usage, "choose the commit for Buck2; for the newest one, run: lockgen init --commit HEAD",
				"this lockgen does not know which commit of buck2-protobuf it was built from")
		}
		rev = version
		if module.IsPseudoVersion(version) {
			rev, _ = module.PseudoVersionRev(version)
		}
	}
	if i.offline {
		return "", fault.Errorf(fault.Upstream, "run it without --offline, or give --commit a full hash", "finding the commit of %s needs %s, but --offline is set", rev, i.origin)
	}
	best, err := git.Commit(ctx, i.origin, rev)
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fault.Errorf(fault.Upstream, "give --commit a full hash", "asking %s for its commit %s: %w", i.origin, rev, err)
	}
	if best == "" {
		return "", fault.Errorf(fault.Usage, "give --commit a full hash, or HEAD for the newest", "%s has no tag, branch or head %s", i.origin, rev)
	}
	return best, nil
}

// next prints which plugins match the languages of the repository, what to
// write into a BUCK file, and the next command.
func (i *initial) next() {
	if i.migration != nil {
		i.nextOf()
		return
	}
	root := filepath.Dir(files.Absolute(i.name))
	if i.buck2 != nil {
		root = i.buck2.Root
	}
	found, by, protos := project.LanguagesOf(root)
	asked := map[string]*manifest.Plugin{}
	if m, _, err := manifest.Read(i.name); err == nil {
		asked = m.Plugins
	}
	var names, what []string
	for n, l := range found {
		what = append(what, l.Name+" ("+by[n]+")")
		if l.Plugin != "" && asked[l.Plugin] == nil {
			names = append(names, l.Plugin)
		}
	}
	if len(found) > 0 {
		i.ui.Say("the repository has %s", strings.Join(what, ", "))
	}
	next := "lockgen update"
	switch {
	case len(names) > 0:
		next = "lockgen add " + strings.Join(names, " ")
	case len(found) == 0:
		next = fmt.Sprintf("lockgen add ts-proto; or another one of the %d known plugins: lockgen search WORD, by name, language or package", len(catalog.Builtin().Names()))
	}
	i.ui.Say("next: %s", next)
	if i.buck2 == nil || i.noBuck2 {
		return
	}
	l := manifest.Languages[1]
	if len(found) > 0 {
		l = found[0]
	}
	r, ok := catalog.Builtin().Lookup(l.Plugin)
	if !ok {
		r = catalog.Recipe{Rule: l.Rule}
	}
	target, lines := change.BuckLines(l.Plugin, r)
	i.ui.Say("then, in a BUCK file beside an api.proto:\n%s", strings.ReplaceAll(lines, "@"+project.Cell+"//", "@"+i.cell+"//"))
	i.ui.Say("and in its folder: buck2 build :%s", target)
	if protos {
		i.ui.Say("to write BUCK files for the existing .proto files, run: lockgen buckify")
	}
}
