package cargo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

const noLinker = "install a C compiler for linking: apt-get install gcc (Linux), xcode-select --install (macOS)"

// A File is a crate and its verified .crate file.
type File struct {
	Crate
	File string
}

// A Build describes an executable to compile.
type Build struct {
	Root     File
	Crates   []File        // the closure on the platform, without Root
	Args     []string      // see [syntax.CheckFeatures]
	Bin      string        // the executable of Root
	Scripts  []string      // NAME-VERSION of the crates that may run code during the build
	Platform lock.Platform // the platform of the closure: it must be that of rustc
	Shared   *Shared       // nil for a build in a folder of its own
	// Compiles is called before each crate is compiled, with its number and the
	// total number; nil for none.
	Compiles func(n, of int, crate string)
}

// Shared is a folder for several builds, which run in it one at a time. Crates
// that they have in common are compiled once. Each gives the same bytes as in a
// folder of its own. The owner calls Close.
type Shared struct {
	Dir string // where to create it if possible; belongs to the owner

	mu  sync.Mutex
	dir string
}

// Close removes the folder.
func (s *Shared) Close() error { return os.RemoveAll(s.dir) }

// folder returns the folder for the next build. Only compiled crates stay in it.
func (s *Shared) folder(c *Client) (_ string, err error) {
	if s.dir == "" {
		s.dir, err = c.quietFolder(s.Dir)
		return s.dir, err
	}
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if e.Name() != "target" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return s.dir, err
}

// age sets the mtime of the files of crates to the past, because cargo
// recompiles files that are newer than its output. A crate of a registry never
// changes.
func age(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chtimes(name, time.Time{}, time.Unix(1, 0))
		}
		return err
	})
}

// LockedIdentity is [Client.Identity] of a compiler in the lock, given its
// NAME@VERSION and the digest of its tree.
func LockedIdentity(name, tree string) string {
	return name + "\n" + tree + "\n" + strings.Join(rustFlags("DIR"), " ")
}

// NoCross is the error for a platform other than that of the compiler.
func NoCross(compiler, platform string) error {
	return fault.Errorf(fault.Machine, "use a mirror with the compiled plugin, made on a machine of that platform with: lockgen mirror --trees",
		"cargo compiles only for the platform it runs on, %s, not for %s", redact.Line(compiler), platform)
}

// Identity describes the compiler: the output of rustc -vV, and our flags. The
// same build and identity give the same bytes in every folder of a machine. If
// rustc compiles for another platform, the error is of class [fault.Machine]:
// there is no cross compilation.
func (c *Client) Identity(ctx context.Context, p lock.Platform) (string, error) {
	out, err := proc.Command{
		Name: c.rustc + " -vV", Path: c.rustc, Args: []string{"-vV"}, Dir: proc.Nowhere(), Env: proc.AskEnv("RUSTUP_AUTO_INSTALL=0"),
		Timeout: time.Minute, Class: fault.Machine, Hint: noCargo,
	}.Run(ctx)
	if err != nil {
		return "", err
	}
	host := ""
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "host: "); ok {
			host = strings.TrimSpace(rest)
		}
	}
	system := map[string]string{"linux": "-linux-", "macos": "-apple-darwin", "windows": "-pc-windows-"}[p.OS]
	if !strings.HasPrefix(host, p.Arch+"-") || !strings.Contains(host, system) {
		return "", NoCross(host, p.Name)
	}
	return string(out) + strings.Join(rustFlags("DIR"), " "), nil
}

// rustFlags make the output independent of the folder.
func rustFlags(dir string) []string {
	return []string{"--remap-path-prefix=" + dir + "=/b", "-Cstrip=symbols"}
}

// Build compiles an executable with cargo install to the file out, which must
// not exist. It needs no network and, where the system allows it, has none. Of
// the user's settings, cargo only gets the linker. If it would compile other
// crates than those given, the error is of class [fault.Lock]; if a crate that
// is not in Scripts would run code, it is of class [fault.Policy], and nothing
// was run. If the code does not compile, it is of class [fault.Machine] and
// matches [ErrCompile].
//
// Manifests may name crates that no platform of the lock needs. These are not
// given, but cargo must see them all: it gets empty crates instead, and a
// Cargo.lock that matches.
func (c *Client) Build(ctx context.Context, b Build, out string) error {
	if err := syntax.CheckFeatures(b.Args); err != nil {
		return err
	}
	path, err := linkerPath()
	if err != nil {
		return err
	}
	var scratch string
	if b.Shared == nil {
		scratch, err = c.quietFolder(filepath.Dir(out))
		defer func() { os.RemoveAll(scratch) }()
	} else {
		b.Shared.mu.Lock()
		defer b.Shared.mu.Unlock()
		scratch, err = b.Shared.folder(c)
	}
	if err != nil {
		return err
	}
	f := crateFolder(scratch)
	if err := f.prepare(); err != nil {
		return err
	}
	root, err := unpackCrate(ctx, b.Root, f.at("root"))
	if err != nil {
		return err
	}
	if err := checkCrateManifest(root); err != nil {
		return err
	}
	// cargo install would read settings there, and they may name programs.
	if err := os.RemoveAll(f.at("root", ".cargo")); err != nil {
		return err
	}
	known := map[string]Crate{root.String(): root.Crate}
	sources := []*Source{root}
	for _, crate := range b.Crates {
		source, err := unpackCrate(ctx, crate, f.at("locked", crate.String()))
		if err == nil {
			err = checkCrateManifest(source)
		}
		if err == nil {
			err = f.vouch(crate.Crate)
		}
		if err != nil {
			return err
		}
		sources = append(sources, source)
		known[crate.String()] = crate.Crate
	}
	if err := f.standIns(sources, known); err != nil {
		return err
	}
	lockfile, err := trimmedLock(root, known)
	if err != nil {
		return err
	}
	if lockfile != nil {
		err = os.WriteFile(f.at("root", "Cargo.lock"), lockfile, 0o600)
	}
	if err != nil {
		return err
	}
	closure, err := c.metadata(ctx, f, root, b.Args, b.Bin, b.Platform, known)
	if err != nil {
		return err
	}
	if err := b.agrees(closure); err != nil {
		return err
	}
	if b.Shared != nil {
		if err := age(f.at("locked")); err != nil {
			return err
		}
	}
	begun := 0
	_, err = proc.Command{
		Name: "cargo install " + root.String(), Path: c.cargo, Dir: scratch, Timeout: time.Hour, Offline: true, Class: fault.Machine,
		Progress: func(line string) bool {
			//    Compiling NAME vVERSION (PATH)
			crate, ok := strings.CutPrefix(strings.TrimSpace(line), "Compiling ")
			if !ok {
				return false
			}
			if begun++; b.Compiles != nil {
				crate, _, _ = strings.Cut(crate, " (")
				b.Compiles(begun, max(begun, len(closure.Crates)), crate)
			}
			return true
		},
		Args: slices.Concat([]string{
			"install", "--path", f.at("root"), "--locked", "--offline", "--no-track", "--root", f.at("out"), "--bin", b.Bin,
		}, b.Args),
		Env: f.env(c,
			"PATH="+path, "CARGO_TARGET_DIR="+f.at("target"), "CARGO_INCREMENTAL=0", "SOURCE_DATE_EPOCH=0",
			// As cargo does for crates from a registry: warnings, which a newer
			// rustc may add, do not fail the build. The output stays the same.
			"CARGO_ENCODED_RUSTFLAGS="+strings.Join(append(rustFlags(scratch), "--cap-lints=allow"), "\x1f")),
	}.Run(ctx)
	if err != nil {
		return c.explain(err, root.String())
	}
	return os.Rename(f.at("out", "bin", b.Bin+b.Platform.Exe()), out)
}

// linkerPath returns a PATH on which rustc finds the linker cc, and cc its
// helpers. On Windows, rustc finds the linker itself.
func linkerPath() (string, error) {
	if runtime.GOOS == "windows" {
		return os.Getenv("PATH"), nil
	}
	cc, err := exec.LookPath("cc")
	if err == nil {
		cc, err = filepath.Abs(cc)
	}
	if err != nil {
		return "", fault.Missingf(fault.Machine, noLinker, "compiling needs a linker: cc is not on PATH")
	}
	return strings.Join([]string{filepath.Dir(cc), "/usr/bin", "/bin"}, string(filepath.ListSeparator)), nil
}

// quietFolder creates a folder, in dir if possible, in which cargo finds no
// settings of the user: it reads those of all parent folders. If the user's
// home is /, there is only such a folder if cargo can be told where to stop.
func (c *Client) quietFolder(dir string) (string, error) {
	found, parents := "", []string{dir, os.TempDir()}
	for i, parent := range parents {
		parent, err := filepath.Abs(parent)
		if err == nil {
			parent, err = filepath.EvalSymlinks(parent)
		}
		if err != nil {
			return "", err
		}
		if found = settingsAbove(parent); found == "" {
			return os.MkdirTemp(parent, "cargo-build-")
		}
		parents[i] = parent
	}
	if c.stops(parents[1]) {
		return os.MkdirTemp(parents[1], "cargo-build-")
	}
	return "", fault.Errorf(fault.Machine, "set TMPDIR to a folder that is not below it",
		"cargo would read the settings in %s, and every temporary folder is below such a file", found)
}

// stopAt returns the environment that makes cargo look for settings in a folder
// but not above it. The variable is meant for cargo's own tests and is not
// guaranteed, see [Client.stops]. It is only set if there are settings above.
func stopAt(scratch string) []string {
	if settingsAbove(filepath.Dir(scratch)) == "" {
		return nil
	}
	return []string{"__CARGO_TEST_ROOT=" + scratch}
}

// stops reports whether cargo obeys [stopAt] in a new folder in parent: it must
// then ignore unreadable settings above a package.
func (c *Client) stops(parent string) bool {
	c.stopsOnce.Do(func() {
		dir, err := os.MkdirTemp(parent, "cargo-build-")
		if err != nil {
			return
		}
		defer os.RemoveAll(dir)
		inner := filepath.Join(dir, "in")
		err = errors.Join(
			os.MkdirAll(filepath.Join(dir, ".cargo"), 0o700), os.MkdirAll(filepath.Join(inner, "home"), 0o700),
			os.WriteFile(filepath.Join(dir, ".cargo", "config.toml"), []byte("no settings"), 0o600),
			writeStub(inner, []byte("[package]\nname = \"one\"\nversion = \"1.0.0\"\n"), []string{"src/lib.rs"}),
		)
		if err != nil {
			return
		}
		// Without the variable it must fail, or the test proves nothing.
		for _, set := range [][]string{nil, stopAt(inner)} {
			_, err = proc.Command{
				Name: "cargo metadata", Path: c.cargo, Dir: inner, Args: []string{"metadata", "--format-version", "1", "--offline", "--no-deps"},
				Env:   slices.Concat(proc.PrivateEnv(filepath.Join(inner, "home")), cargoGuards, []string{"CARGO_HOME=" + filepath.Join(inner, "home"), "RUSTC=" + c.rustc}, set),
				Limit: 1 << 20, Timeout: time.Minute, Class: fault.Machine, Hint: noCargo,
			}.Run(context.Background())
			if (err == nil) != (set != nil) {
				return
			}
		}
		c.stopped = true
	})
	return c.stopped
}

// settingsAbove returns a configuration file of cargo in a folder or above it,
// or "".
func settingsAbove(dir string) string {
	for {
		for _, name := range []string{"config.toml", "config"} {
			if file := filepath.Join(dir, ".cargo", name); proc.IsFile(file) {
				return file
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// unpackCrate strictly unpacks a .crate file into a new folder.
func unpackCrate(ctx context.Context, crate File, dir string) (*Source, error) {
	file, err := os.Open(crate.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var manifest, lockfile *bytes.Buffer
	files, err := archive.Unpack(ctx, file, dir, archive.Options{Format: "tar.gz", StripTop: true, Tap: func(path string) io.Writer {
		switch path {
		case "Cargo.toml":
			manifest = new(bytes.Buffer)
			return manifest
		case "Cargo.lock":
			lockfile = new(bytes.Buffer)
			return lockfile
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", crate, err)
	}
	source := &Source{Crate: crate.Crate}
	for _, f := range files {
		source.Files = append(source.Files, f.Path)
	}
	if manifest != nil {
		source.Manifest = manifest.Bytes()
	}
	if lockfile != nil {
		source.Lockfile = lockfile.Bytes()
	}
	return source, Check(source)
}

// agrees compares what cargo would compile with the given crates.
func (b *Build) agrees(closure *Closure) error {
	want := []string{b.Root.String()}
	for _, crate := range b.Crates {
		want = append(want, crate.String())
	}
	var got, other []string
	for _, crate := range closure.Crates {
		got = append(got, crate.String())
	}
	for _, name := range slices.Concat(want, got) {
		if slices.Contains(want, name) != slices.Contains(got, name) && !slices.Contains(other, name) {
			other = append(other, name)
		}
	}
	const hint = "lock the plugin again: lockgen update NAME"
	if len(other) > 0 {
		slices.Sort(other)
		return fault.Errorf(fault.Lock, hint, "compiling crate %s for %s would use crates other than those locked: %s", b.Root, b.Platform.Name, strings.Join(other, ", "))
	}
	if !slices.Contains(closure.Bins, b.Bin) {
		return fault.Errorf(fault.Lock, hint, "crate %s has no executable %q", b.Root, b.Bin)
	}
	if len(closure.Missing) > 0 {
		return fault.Errorf(fault.Lock, hint, "the executable %s of crate %s needs the features %s", b.Bin, b.Root, strings.Join(closure.Missing, ", "))
	}
	for _, name := range closure.Scripts {
		if !slices.Contains(b.Scripts, name) {
			return fault.Errorf(fault.Policy, "to allow it, add the plugin to build-scripts of [policy] in plugins.toml and run: lockgen update NAME",
				"compiling crate %s runs code of crate %s, which build-scripts of the lock does not allow", b.Root, name)
		}
	}
	return nil
}

// standIns writes an empty crate for every dependency in a manifest: the oldest
// version allowed, with every feature that any crate enables. A given crate
// takes precedence, since its version is the same or higher.
func (f crateFolder) standIns(sources []*Source, known map[string]Crate) error {
	features, versions := map[string]map[string]bool{}, map[Crate]bool{}
	for n, source := range sources {
		var m map[string]any
		if _, err := tomlscan.Decode(string(source.Manifest), &m); err != nil {
			return badManifest(source, err)
		}
		tables := []map[string]any{m}
		targets, _ := m["target"].(map[string]any)
		for _, t := range targets {
			if t, ok := t.(map[string]any); ok {
				tables = append(tables, t)
			}
		}
		kinds := []string{"dependencies", "build-dependencies", "build_dependencies"}
		if n == 0 { // cargo reads only those of the root
			kinds = append(kinds, "dev-dependencies", "dev_dependencies")
		}
		names := map[string]string{} // of crates, by their names in the manifest
		want := func(crate, feature string) {
			if features[crate] == nil {
				features[crate] = map[string]bool{}
			}
			features[crate][feature] = true
		}
		for _, t := range tables {
			for _, kind := range kinds {
				deps, _ := t[kind].(map[string]any)
				for name, dep := range deps {
					crate, req, wants := dependency(name, dep)
					names[name] = crate
					versions[Crate{Name: crate, Version: oldest(req)}] = true
					for _, feature := range wants {
						want(crate, feature)
					}
				}
			}
		}
		own, _ := m["features"].(map[string]any)
		for _, list := range own {
			list, _ := list.([]any)
			for _, entry := range list {
				text, _ := entry.(string)
				name, feature, ok := strings.Cut(text, "/")
				if crate := names[strings.TrimSuffix(name, "?")]; ok && crate != "" {
					want(crate, feature)
				}
			}
		}
	}
	for crate := range versions {
		if _, there := known[crate.String()]; there {
			continue
		}
		if !word(crate.Name) || !semver.IsValid("v"+crate.Version) {
			return fault.Errorf(fault.Integrity, "report it to the publisher", "a manifest of crate %s requires %q %q", sources[0], redact.Line(crate.Name), redact.Line(crate.Version))
		}
		var text strings.Builder
		fmt.Fprintf(&text, "[package]\nname = %q\nversion = %q\n\n[lib]\npath = \"lib.rs\"\n\n[features]\n", crate.Name, crate.Version)
		for _, feature := range slices.Sorted(maps.Keys(features[crate.Name])) {
			fmt.Fprintf(&text, "%q = []\n", feature)
		}
		crate.SHA256 = strings.Repeat("0", 64)
		err := writeStub(f.at("locked", crate.String()), []byte(text.String()), []string{"lib.rs"})
		if err == nil {
			err = f.vouch(crate)
		}
		if err != nil {
			return err
		}
		known[crate.String()] = crate
	}
	return nil
}

// dependency parses one entry of a table of dependencies
// (https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html).
func dependency(name string, value any) (crate, req string, features []string) {
	if req, ok := value.(string); ok {
		return name, req, nil
	}
	table, _ := value.(map[string]any)
	crate, req = name, "*"
	if s, ok := table["package"].(string); ok {
		crate = s
	}
	if s, ok := table["version"].(string); ok {
		req = s
	}
	list, _ := table["features"].([]any)
	for _, f := range list {
		if s, ok := f.(string); ok {
			features = append(features, s)
		}
	}
	return crate, req, features
}

// oldest returns the lowest version that a requirement of cargo accepts: the
// highest of its lower bounds, or "0.0.0" if it has none.
func oldest(req string) string {
	best := "0.0.0"
	for one := range strings.SplitSeq(req, ",") {
		one = strings.TrimSpace(one)
		operator := one[:len(one)-len(strings.TrimLeft(one, "<>=~^ "))]
		main, pre, isPre := strings.Cut(strings.TrimSpace(one[len(operator):]), "-")
		operator = strings.TrimSpace(operator)
		if strings.HasPrefix(operator, "<") {
			continue
		}
		if !isPre {
			main, _, _ = strings.Cut(main, "+")
		}
		parts, given := [3]int{}, 0
		for n, part := range strings.SplitN(main, ".", 3) {
			v, err := strconv.Atoi(part)
			if err != nil {
				break // *, x or nothing
			}
			parts[n], given = v, n+1
		}
		if operator == ">" && given > 0 && !isPre {
			parts[given-1]++
		}
		version := fmt.Sprintf("%d.%d.%d", parts[0], parts[1], parts[2])
		if isPre {
			pre, _, _ = strings.Cut(pre, "+")
			if version += "-" + pre; operator == ">" {
				version += ".0"
			}
		}
		if semver.Compare("v"+version, "v"+best) > 0 {
			best = version
		}
	}
	return best
}

// trimmedLock returns the Cargo.lock of a crate without the packages that are
// not given, or nil if it has none. A package with another checksum than in the
// plugin's lock is an error.
func trimmedLock(root *Source, known map[string]Crate) ([]byte, error) {
	if root.Lockfile == nil {
		return nil, nil
	}
	var file struct {
		Version int `toml:"version"`
		Package []struct {
			lockedCrate
			Dependencies []string `toml:"dependencies"`
		} `toml:"package"`
	}
	if _, err := tomlscan.Decode(string(root.Lockfile), &file); err != nil {
		return nil, fault.Errorf(fault.Integrity, "report it to the publisher", "the Cargo.lock of crate %s: %s", root, redact.Line(err.Error()))
	}
	var text strings.Builder
	if file.Version > 0 {
		fmt.Fprintf(&text, "version = %d\n", file.Version)
	}
	for _, p := range file.Package {
		crate, there := known[p.Name+"-"+p.Version]
		if p.Source == "" || !there || p.Checksum != crate.SHA256 {
			if there && p.Source != "" && p.Checksum != "" && strings.Trim(crate.SHA256, "0") != "" {
				return nil, fault.Errorf(fault.Integrity, "lock the plugin again: lockgen update NAME",
					"the Cargo.lock of crate %s has checksum %s for crate %s, the lock has %s", root, redact.Line(p.Checksum), crate, crate.SHA256)
			}
			continue
		}
		fmt.Fprintf(&text, "\n[[package]]\nname = %q\nversion = %q\nsource = %q\nchecksum = %q\n", p.Name, p.Version, p.Source, p.Checksum)
		if len(p.Dependencies) > 0 {
			fmt.Fprintf(&text, "dependencies = [\n")
			for _, d := range p.Dependencies {
				fmt.Fprintf(&text, " %q,\n", d)
			}
			text.WriteString("]\n")
		}
	}
	return []byte(text.String()), nil
}

// explain classifies the error of a build. The beginning of cargo's output is more
// helpful than its end.
func (c *Client) explain(err error, what string) error {
	var exit *proc.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	_, rest, ok := strings.Cut("\n"+exit.Raw, "\nerror")
	if ok {
		rest = "error" + rest
		lines := strings.SplitN(rest[:min(len(rest), 1200)], "\n", 9)
		said := proc.TailOf([]byte(strings.Join(lines[:min(len(lines), 8)], "\n")), 4<<10)
		err = fmt.Errorf("%s: %s: %s", exit.Name, exit.Status, said.Lines())
	}
	has := func(s string) bool { return strings.Contains(exit.Raw, s) }
	switch {
	case has("requires rustc "):
		needed := "" // the highest version that a crate requires
		for _, said := range strings.Split(exit.Raw, "requires rustc ")[1:] {
			if f := strings.Fields(said); len(f) > 0 && lock.CompareVersions(f[0], needed) > 0 {
				needed = f[0]
			}
		}
		return fault.Errorf(fault.Machine, c.Newer(redact.Line(needed)), "crate %s needs a newer Rust: %w", what, err)
	case has("linker `") && has("not found"):
		return fault.Errorf(fault.Machine, noLinker, "crate %s: %w", what, err)
	}
	return fault.Errorf(fault.Machine, fault.HintOr(err, "read the compiler's message; try another version of the plugin, or a newer Rust; "+c.Newer("VERSION")), "%w: %w", proc.ErrCompile, err)
}

// Newer is the hint of how to have at least a version of Rust.
func (c *Client) Newer(version string) string {
	if name, _, ok := strings.Cut(c.locked, "@"); ok {
		return "run: lockgen update " + name + "@" + version
	}
	return "install Rust " + version + " or later: rustup update"
}
