package gotool

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"go/version"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// A Main is a main package in one version of a module.
type Main struct {
	Module, Version string // without the v
	Dir             string // of the package in the module; "" for the root
}

func (m Main) path() string {
	if m.Dir == "" {
		return m.Module
	}
	return m.Module + "/" + m.Dir
}

func (m Main) String() string { return m.path() + "@v" + m.Version }

// A Closure has what building a main package reads on any platform.
type Closure struct {
	Modules []Module          // sorted by path, then version
	Missing map[string]string // why a platform is not supported, by platform
	Chosen  []module.Version  // those that only Go chose, because the main package's module has no go.mod
}

// Resolve finds the closure of a main package. The build list is that of `go
// install MODULE@VERSION`: as the go.mod of the module says, and nothing newer.
// An old module without a go.mod does not say what it needs; then Go chooses
// what is current, see [Closure.Chosen]. Everything is downloaded into scratch,
// an existing folder that nothing else uses, and Go verifies it with the
// checksum database unless c says otherwise. No code of a module runs.
//
// If the module has replace or exclude, which `go install` refuses as well, the
// error is of class [fault.Policy] or [fault.Usage]. If it needs a newer Go
// than g, or the package is not a program, it is of class [fault.Usage].
func (g *Client) Resolve(ctx context.Context, c Config, scratch string, m Main, platforms []lock.Platform) (*Closure, error) {
	r := &goResolver{Client: g, c: c, main: m, scratch: scratch, cache: filepath.Join(scratch, "mod")}
	own, err := g.modDownload(ctx, c, scratch, r.cache, m.Module, m.Version)
	if err != nil {
		return nil, err
	}
	if err := r.inspect(ctx, own); err != nil {
		return nil, err
	}
	closure := &Closure{Missing: map[string]string{}}
	platforms, roots, err := r.explore(ctx, platforms, closure.Missing)
	if err != nil {
		return nil, err
	}
	if len(platforms) > 0 {
		closure.Modules, err = r.narrow(ctx, platforms, roots)
	}
	closure.Chosen = r.chosen
	return closure, err
}

type goResolver struct {
	*Client
	c       Config
	main    Main
	scratch string
	cache   string // GOMODCACHE of the run with network
	bare    bool   // the module has no go.mod
	chosen  []module.Version
}

// inspect checks the go.mod and the package of the plugin's module.
func (r *goResolver) inspect(ctx context.Context, own *Module) error {
	data, err := os.ReadFile(own.Mod)
	if err != nil {
		return err
	}
	file, err := modfile.ParseLax("go.mod", data, nil) // without replace and exclude
	if err != nil {
		return fault.Errorf(fault.Upstream, "use another version", "go module %s: %w", own, err)
	}
	for _, line := range file.Syntax.Stmt {
		for _, verb := range verbs(line) {
			if verb == "replace" || verb == "exclude" {
				class := fault.Usage
				if verb == "replace" { // replaced by other code
					class = fault.Policy
				}
				return fault.About(fault.AboutDirect, fault.Elsewheref(class,
					"the go.mod of go module %s has %s: its author builds it with code other than what it requires, so go install refuses it as well", own, verb))
			}
		}
	}
	running, err := r.Version(ctx)
	if err != nil {
		return err
	}
	if needs := goLine(data); version.Compare("go"+needs, "go"+running) > 0 {
		return newerGo(own.String(), needs, fmt.Errorf("its go.mod says go %s, but go %s is locked", needs, running))
	}
	dir := filepath.Join(r.cache, filepath.FromSlash(mustEscape(own.Path))+"@"+mustEscapeVersion("v"+own.Version))
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		r.bare = true
	}
	if !isMain(filepath.Join(dir, filepath.FromSlash(r.main.Dir))) {
		return fault.Errorf(fault.Usage, `set package = "…" to the folder of the program in the module`,
			"go module %s has no program in %q; it has programs in %s", own, r.main.Dir, mainFolders(dir))
	}
	return nil
}

// verbs returns the directives in a statement of a go.mod.
func verbs(stmt modfile.Expr) []string {
	switch x := stmt.(type) {
	case *modfile.Line:
		return x.Token[:min(1, len(x.Token))]
	case *modfile.LineBlock:
		return x.Token[:min(1, len(x.Token))]
	}
	return nil
}

// explore has Go find and download what the package needs on every platform. It
// returns the platforms that it supports and the modules of its packages.
func (r *goResolver) explore(ctx context.Context, platforms []lock.Platform, missing map[string]string) (served []lock.Platform, roots []module.Version, err error) {
	dir := filepath.Join(r.scratch, "explore")
	own := module.Version{Path: r.main.Module, Version: "v" + r.main.Version}
	if err := writeScratchModule(dir, "", []module.Version{own}, nil); err != nil {
		return nil, nil, err
	}
	for _, p := range platforms {
		env := r.c.downloadEnv(r.scratch, r.cache, goPlatform(p)...)
		run := r.download("go list "+r.main.String()+" for "+p.Name, dir, env, []string{"list", "-modcacherw", "-mod=mod", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", r.main.path()})
		out, err := twice(ctx, run)
		var exit *proc.ExitError
		if errors.As(err, &exit) && strings.Contains(exit.Raw, "build constraints exclude all Go files") {
			missing[p.Name] = r.main.String() + " has no Go files for " + p.GOOS + "/" + p.GOARCH + " without cgo"
			continue
		}
		if err != nil {
			return nil, nil, r.c.explain(err, r.main.Module+"@v"+r.main.Version, "", "")
		}
		for line := range strings.Lines(string(out)) {
			if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				roots = append(roots, module.Version{Path: path, Version: version})
			}
		}
		served = append(served, p)
	}
	module.Sort(roots)
	roots = slices.Compact(roots)
	// If no module of the build list has a package, Go takes the newest version
	// of some module that has it now, which may change: a lock needs a fixed
	// version.
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, nil, err
	}
	file, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range file.Require {
		switch {
		case q.Mod == own:
		case r.bare:
			r.chosen = append(r.chosen, q.Mod)
		default:
			return nil, nil, fault.Errorf(fault.Usage, "use another version",
				"the go.mod of go module %s@v%s is incomplete: it does not say which version of %s it needs", r.main.Module, r.main.Version, q.Mod.Path)
		}
	}
	return served, roots, nil
}

// narrow finds which of the downloaded files a build reads: Go runs again with
// a new module cache, with all of them to choose from. The build requires the
// chosen version of every module with a package in it, so Go does not have to
// read how they were chosen. For plugins from before Go 1.17, that saves the
// go.mod files of more than a thousand modules.
func (r *goResolver) narrow(ctx context.Context, platforms []lock.Platform, roots []module.Version) ([]Module, error) {
	downloads := filepath.Join(r.cache, "cache", "download")
	all, err := listDownloads(downloads)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(m Module) bool {
		return !slices.Contains(roots, module.Version{Path: m.Path, Version: "v" + m.Version})
	})
	sums, err := os.ReadFile(filepath.Join(r.scratch, "explore", "go.sum"))
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.scratch, "narrow")
	if err := writeScratchModule(dir, newestGoLine(all), roots, sums); err != nil {
		return nil, err
	}
	cache := filepath.Join(r.scratch, "narrow-mod")
	for _, p := range platforms {
		env := append(homeless(proc.PrivateEnv(r.scratch)), goEnv(r.scratch, cache)...)
		env = append(append(env, goPlatform(p)...), "GOSUMDB=off", "GOPROXY="+fileURL(downloads))
		run := proc.Command{
			Name: "go list " + r.main.String() + " for " + p.Name, Path: r.path, Dir: dir, Env: env, Limit: 64 << 20, Class: fault.Upstream,
			Args: []string{"list", "-modcacherw", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", r.main.path()},
		}
		if _, err := run.Run(ctx); err != nil {
			return nil, r.c.explain(err, r.main.Module+"@v"+r.main.Version, "", "")
		}
	}
	modules, err := listDownloads(filepath.Join(cache, "cache", "download"))
	if err != nil {
		return nil, err
	}
	if err := withSums(modules, sums); err != nil {
		return nil, err
	}
	return modules, nil
}

// withSums gives modules their checksums in a go.sum.
func withSums(modules []Module, sums []byte) error {
	lines := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		if f := strings.Fields(line); len(f) == 3 {
			lines[f[0]+"@"+f[1]] = f[2]
		}
	}
	for i := range modules {
		m := &modules[i]
		if m.Zip != "" {
			m.Sum = lines[m.String()]
		}
		m.ModSum = lines[m.String()+"/go.mod"]
		if m.ModSum == "" || m.Zip != "" && m.Sum == "" {
			return fault.Errorf(fault.Internal, "", "go has no checksum for %s", m)
		}
	}
	return nil
}

// writeScratchModule writes a module that requires the given ones.
func writeScratchModule(dir, goVersion string, roots []module.Version, sums []byte) error {
	if goVersion == "" {
		goVersion = oldestGoLine
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("module scratch.invalid\n\ngo " + goVersion + "\n\n")
	for _, m := range roots {
		text.WriteString("require " + modfile.AutoQuote(m.Path) + " " + m.Version + "\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644)
}

// oldestGoLine is the first Go version for which the go.mod of a module lists
// all that it needs, so Go need not read those of its dependencies.
const oldestGoLine = "1.17"

// goLine returns the Go version in a go.mod.
func goLine(data []byte) string {
	file, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil || file.Go == nil {
		return oldestGoLine
	}
	return file.Go.Version
}

// newestGoLine returns the Go version for a module that requires the given
// ones. The GODEBUG settings of the program follow it, as they follow the
// program's own go.mod, which cannot have a lower version than its
// requirements.
func newestGoLine(modules []Module) string {
	newest := oldestGoLine
	for _, m := range modules {
		data, err := os.ReadFile(m.Mod)
		if err != nil {
			continue
		}
		if v := goLine(data); version.Compare("go"+v, "go"+newest) > 0 {
			newest = v
		}
	}
	return newest
}

// listDownloads lists cache/download of a module cache.
func listDownloads(dir string) ([]Module, error) {
	var modules []Module
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel == "sumdb" {
			return fs.SkipDir
		}
		escaped, file, ok := strings.Cut(rel, "/@v/")
		text, isMod := strings.CutSuffix(file, ".mod")
		if !ok || !isMod || d.IsDir() {
			return nil
		}
		p, err1 := module.UnescapePath(escaped)
		v, err2 := module.UnescapeVersion(text)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		m := Module{Path: p, Version: strings.TrimPrefix(v, "v"), Mod: name}
		zip := strings.TrimSuffix(name, ".mod") + ".zip"
		if _, err := os.Stat(zip); err == nil {
			m.Zip = zip
		}
		modules = append(modules, m)
		return nil
	})
	slices.SortFunc(modules, func(a, b Module) int { return strings.Compare(a.String(), b.String()) })
	return modules, err
}

// isMain reports whether a folder has a program.
func isMain(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") || strings.HasPrefix(e.Name(), "_") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.PackageClauseOnly)
		if err == nil && f.Name.Name == "main" {
			return true
		}
	}
	return false
}

// mainFolders lists the programs of a module, for messages.
func mainFolders(dir string) string {
	var found []string
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch base := d.Name(); {
		case base == "testdata" || base == "vendor" || strings.HasPrefix(base, "_") || strings.HasPrefix(base, "."):
			return fs.SkipDir
		}
		if isMain(name) {
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	switch {
	case len(found) == 0:
		return "no folder: it is a library"
	case len(found) > 8:
		return strings.Join(found[:8], ", ") + fmt.Sprintf(" and %d more", len(found)-8)
	}
	return strings.Join(found, ", ")
}

func mustEscape(path string) string {
	p, err := module.EscapePath(path)
	if err != nil {
		return path
	}
	return p
}

func mustEscapeVersion(v string) string {
	e, err := module.EscapeVersion(v)
	if err != nil {
		return v
	}
	return e
}

// Sum returns the "h1:…" hash in go.sum of a module zip with the given files,
// whose paths lack the prefix MODULE@vVERSION/. It is that of
// golang.org/x/mod/sumdb/dirhash, computed from a strict reading.
func Sum(prefix string, files []archive.File) string {
	lines := make([]string, len(files))
	byName := slices.Clone(files)
	slices.SortFunc(byName, func(a, b archive.File) int { return strings.Compare(a.Path, b.Path) })
	for i, f := range byName {
		lines[i] = fmt.Sprintf("%x  %s%s\n", f.SHA256, prefix, f.Path)
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return "h1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// modSum returns the hash in go.sum of a go.mod.
func modSum(data []byte) string {
	return Sum("", []archive.File{{Path: "go.mod", SHA256: sha256.Sum256(data)}})
}

// ModOf returns the go.mod for the zip of a module, given the one in it, or nil
// if it has none: for those, proxies serve a single line.
func ModOf(path string, inZip []byte) (data []byte, sum string) {
	if inZip == nil {
		inZip = []byte("module " + modfile.AutoQuote(path) + "\n")
	}
	return inZip, modSum(inZip)
}

// Unpacking says how to read a locked file of kind go: the zip of a module,
// whose files lose the folder MODULE@vVERSION, or a go.mod.
func Unpacking(key string, f lock.File) archive.Options {
	if !strings.HasSuffix(key, ".zip") {
		return archive.Options{Format: "raw", RawName: "go.mod"}
	}
	o := archive.Options{Format: "zip", StripPrefix: f.Name + "@v" + f.Version}
	if f.Name == lock.GoToolchain {
		o.Exec = toolchainExec
	}
	return o
}

// Check verifies the files of a locked file with its hashes, as go.sum does.
// GoMod is the go.mod among them, nil if there is none. On a mismatch the error
// is of class [fault.Integrity]. How the zip is compressed does not matter.
func Check(key string, f lock.File, files []archive.File, goMod []byte) error {
	name := f.Name + "@v" + f.Version
	if !strings.HasSuffix(key, ".zip") {
		return checkSum(name+"/go.mod", f.Integrity, Sum("", files))
	}
	if err := checkSum(name, f.Integrity, Sum(name+"/", files)); err != nil {
		return err
	}
	if f.Name == lock.GoToolchain { // nothing reads its go.mod
		return nil
	}
	_, sum := ModOf(f.Name, goMod)
	return checkSum(name+"/go.mod", f.GoMod, sum)
}

func checkSum(label, want, got string) error {
	if got == want {
		return nil
	}
	return fault.Errorf(fault.Integrity, "try again; if it fails again, the module proxy serves code that differs from the checksum database or the lock: do not use it",
		"the files of %s have the hash %s, expected %s", label, got, want)
}

// A Build describes an executable to compile.
type Build struct {
	Main     Main
	Modules  []Module // the closure, all files verified
	Platform lock.Platform
	Cache    string             // Go's build cache (GOCACHE), whose content is trusted; "" for a new one
	Compiled func(packages int) // called with the number of packages compiled so far; nil for none
}

// Build compiles a main package to the file out, which must not exist, for any
// platform. It needs no network: Go reads the modules from files and compares
// each with its Sum and ModSum. None of the user's settings apply. The same
// input and Go version give the same bytes on every machine.
//
// A file that does not match its sum is an error of class [fault.Integrity]. If
// the code does not compile, it is of class [fault.Machine] and matches
// [ErrCompile].
func (g *Client) Build(ctx context.Context, b Build, out string) error {
	scratch, err := os.MkdirTemp(filepath.Dir(out), "go-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	proxy := filepath.Join(scratch, "proxy")
	var sums strings.Builder
	var roots []module.Version
	for _, m := range b.Modules {
		if err := m.serve(proxy); err != nil {
			return err
		}
		if m.Zip != "" {
			roots = append(roots, module.Version{Path: m.Path, Version: "v" + m.Version})
			fmt.Fprintf(&sums, "%s v%s %s\n", m.Path, m.Version, m.Sum)
		}
		fmt.Fprintf(&sums, "%s v%s/go.mod %s\n", m.Path, m.Version, m.ModSum)
	}
	dir := filepath.Join(scratch, "main")
	if err := writeScratchModule(dir, newestGoLine(b.Modules), roots, []byte(sums.String())); err != nil {
		return err
	}
	env := append(homeless(proc.PrivateEnv(scratch)), goEnv(scratch, filepath.Join(scratch, "mod"))...)
	env = append(append(env, goPlatform(b.Platform)...), "GOSUMDB=off", "GOPROXY="+fileURL(proxy))
	if b.Cache != "" {
		env = append(env, "GOCACHE="+b.Cache)
	}
	name := "go build " + b.Main.String() + " for " + b.Platform.Name
	packages := 0
	_, err = proc.Command{
		Name: name, Path: g.path, Dir: dir, Env: env, Timeout: time.Hour, Offline: true, Class: fault.Machine,
		Args: []string{
			"build", "-v", "-mod=readonly", "-modcacherw", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
			"-o", out, b.Main.path(),
		},
		Progress: func(line string) bool {
			if !importPath(line) {
				return false
			}
			if packages++; b.Compiled != nil {
				b.Compiled(packages)
			}
			return true
		},
	}.Run(ctx)
	var exit *proc.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case strings.Contains(exit.Raw, "SECURITY ERROR") || strings.Contains(exit.Raw, "checksum mismatch"):
		return fault.Errorf(fault.Integrity, "do not use it: ask the operator of the proxy, and the author", "%w", err)
	}
	return fault.Errorf(fault.Machine, fault.HintOr(err, "read the compiler's message; lock another Go (lockgen add go@VERSION) or another version of the plugin"), "%w for %s/%s without cgo: %w", proc.ErrCompile, b.Platform.GOOS, b.Platform.GOARCH, err)
}

// importPath reports whether a line of go build -v is the path of a package and
// not a message.
func importPath(line string) bool { return line != "" && !strings.ContainsAny(line, " \t:#") }

// serve puts the files of a module into a folder with the layout of a proxy.
func (m Module) serve(proxy string) error {
	dir := filepath.Join(proxy, filepath.FromSlash(mustEscape(m.Path)), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	v := mustEscapeVersion("v" + m.Version)
	if m.Zip != "" {
		if err := proc.Place(m.Zip, filepath.Join(dir, v+".zip")); err != nil {
			return err
		}
	}
	return proc.Place(m.Mod, filepath.Join(dir, v+".mod"))
}
