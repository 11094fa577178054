package main

import (
	"context"
	"errors"
	"io/fs"
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
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// wire plans the files of the Buck2 project.
func (i *initial) wire(ctx context.Context) error {
	if i.config.broken != nil {
		return i.orWithout(i.config.broken)
	}
	wish := project.Wish{Origin: i.origin, Commit: i.commit, Lock: i.lockName}
	if i.commit == "" {
		built := cli.Built()
		if wish.Commit = built.Commit; built.Dirty {
			i.notes = append(i.notes, "this lockgen was built from changed files; Buck2 takes commit "+built.Commit+", which is without the changes")
		}
	}
	plan, err := i.config.Wire(wish)
	if errors.Is(err, project.ErrCommit) {
		if wish.Commit, err = i.askCommit(ctx); err == nil {
			plan, err = i.config.Wire(wish)
		}
	}
	if err != nil {
		return i.orWithout(err)
	}
	i.cell = plan.Cell
	i.notes = append(i.notes, plan.Notes...)
	for _, e := range plan.Edits {
		i.writes = append(i.writes, write{e.Name, e.Before, e.After})
		i.asks = true
	}
	if _, err := os.Lstat(i.lockName); plan.Loads && errors.Is(err, fs.ErrNotExist) {
		// A BUCK file that loads what is not there breaks every build.
		i.writes = append(i.writes, write{name: i.lockName, after: lock.Print(&lock.Lock{Schema: lock.Schema})})
	}
	if w, ok, err := ignore(i.config.Root); err != nil {
		return err
	} else if ok {
		i.writes = append(i.writes, w)
		i.asks = true
	}
	return nil
}

// orWithout adds to the hint of an error how to do without Buck2.
func (i *initial) orWithout(err error) error {
	return fault.Errorf(fault.Of(err), fault.Hint(err)+"; or, to leave the files of Buck2 alone: "+i.again("--no-buck2"), "%w", err)
}

// askCommit asks the repository of buck2-protobuf for the commit of a tag, a
// branch, or the version that this program says it is.
func (i *initial) askCommit(ctx context.Context) (string, error) {
	rev := i.commit
	if rev == "" {
		version := cli.Built().Version
		if version == "devel" {
			return "", fault.Errorf(fault.Usage, "say which commit Buck2 is to take; for the newest one run: lockgen init --commit HEAD",
				"this lockgen does not know which commit of buck2-protobuf it was built from")
		}
		rev = version
		if module.IsPseudoVersion(version) {
			rev, _ = module.PseudoVersionRev(version)
		}
	}
	if i.offline {
		return "", fault.Errorf(fault.Upstream, "run it without --offline, or give --commit all digits of a commit", "which commit %s is has to be asked of %s, and --offline was given", rev, i.origin)
	}
	out, err := git(ctx, "", "ls-remote", "--", i.origin)
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fault.Errorf(fault.Upstream, "give --commit all digits of a commit", "asking %s for its commit %s: %w", i.origin, rev, err)
	}
	best, rank := "", 0
	for line := range strings.Lines(string(out)) {
		commit, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		for r, yes := range []bool{len(rev) >= 7 && strings.HasPrefix(commit, rev), ref == "refs/heads/"+rev, ref == "refs/tags/"+rev, ref == "refs/tags/"+rev+"^{}", ref == rev} {
			if yes && r+1 > rank {
				best, rank = commit, r+1
			}
		}
	}
	if best == "" {
		return "", fault.Errorf(fault.Usage, "give --commit all digits of a commit, or HEAD for the newest", "%s has no tag, branch or head %s", i.origin, rev)
	}
	return best, nil
}

// ignore is the line that keeps git from Buck2's output, where the project is in a
// repository of git. Ok is false where there is none, or it is said already.
func ignore(root string) (w write, ok bool, err error) {
	w.name = filepath.Join(root, ".gitignore")
	for dir := root; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return w, false, err
		}
		if dir == root && err == nil {
			w.before = text
		}
		for line := range strings.Lines(string(text)) {
			if slices.Contains([]string{"buck-out", "**/buck-out", "/buck-out"}, strings.TrimSuffix(strings.TrimSpace(line), "/")) {
				return w, false, nil
			}
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return w, false, nil
		}
	}
	text, newline := string(w.before), "\n"
	if strings.Contains(text, "\r\n") {
		newline = "\r\n"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline
	}
	w.after = []byte(text + "/buck-out" + newline)
	return w, true, nil
}

// A language is one that a repository may be written in.
type language struct {
	name   string
	rule   string   // of rules/
	files  []string // that tell it
	plugin string   // to begin with, "" where protoc itself generates the code
}

var languages = []language{
	{"Go", "go", []string{"go.mod", "go.work"}, "protoc-gen-go"},
	{"TypeScript", "typescript", []string{"package.json", "tsconfig.json"}, "ts-proto"},
	{"Python", "python", []string{"pyproject.toml", "setup.py", "requirements.txt"}, ""},
	{"Rust", "rust", []string{"Cargo.toml"}, "protoc-gen-prost"},
	{"Java", "java", []string{"pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"}, ""},
	{"C++", "cpp", []string{"CMakeLists.txt", "meson.build"}, ""},
}

// The folders that are looked at for languages: not deep, and not many.
const (
	languageDepth = 3
	languageFiles = 20_000
)

// languagesOf looks which languages a repository is written in, in the order of
// the table, and returns a file that tells each, and whether there are .proto
// files.
func languagesOf(root string) (found []language, by []string, protos bool) {
	first := make([]string, len(languages))
	files := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if files++; err != nil || files > languageFiles {
			return fs.SkipAll
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			name := d.Name()
			if rel != "." && (strings.HasPrefix(name, ".") || strings.Count(rel, string(filepath.Separator)) >= languageDepth ||
				slices.Contains([]string{"buck-out", "node_modules", "target", "third-party", "third_party", "vendor", "venv"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		protos = protos || strings.HasSuffix(d.Name(), ".proto")
		for n, l := range languages {
			if slices.Contains(l.files, d.Name()) && (first[n] == "" || strings.Count(rel, string(filepath.Separator)) < strings.Count(first[n], string(filepath.Separator))) {
				first[n] = rel
			}
		}
		return nil
	})
	for n, l := range languages {
		if first[n] != "" {
			found, by = append(found, l), append(by, filepath.ToSlash(first[n]))
		}
	}
	return found, by, protos
}

// next says which plugins fit the languages of the repository, what to write into
// a BUCK file, and which command comes next.
func (i *initial) next() {
	if i.adopted != nil {
		i.nextOf()
		return
	}
	root := filepath.Dir(absolute(i.name))
	if i.config.found() {
		root = i.config.Root
	}
	found, by, protos := languagesOf(root)
	asked := map[string]*manifest.Plugin{}
	if m, _, err := manifest.Read(i.name); err == nil {
		asked = m.Plugins
	}
	var names, what []string
	for n, l := range found {
		what = append(what, l.name+" ("+by[n]+")")
		if l.plugin != "" && asked[l.plugin] == nil {
			names = append(names, l.plugin)
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
		next = "lockgen add ts-proto; or another one of: " + strings.Join(catalog.Builtin().Names(), ", ")
	}
	i.ui.Say("next: %s", next)
	if !i.config.found() || i.noBuck2 {
		return
	}
	l := languages[1]
	if len(found) > 0 {
		l = found[0]
	}
	r, ok := catalog.Builtin().Lookup(l.plugin)
	if !ok {
		r = catalog.Recipe{Rule: l.rule}
	}
	target, lines := buckLines(l.plugin, r)
	i.ui.Say("then in a BUCK file, beside an api.proto:\n%s", strings.ReplaceAll(lines, "@"+project.Cell+"//", "@"+i.cell+"//"))
	i.ui.Say("and in its folder: buck2 build :%s", target)
	if protos {
		i.ui.Say("BUCK files for the .proto files that are here: lockgen buckify")
	}
}
