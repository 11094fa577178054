package pkgmgr

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// unpack returns what the tarballs hold, read by internal/store: what Install
// has to make.
func unpack(t *testing.T, pkgs []Tarball) []store.TreeFile {
	t.Helper()
	var all []store.TreeFile
	for _, p := range pkgs {
		f, err := os.Open(p.File)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var manifest bytes.Buffer
		files, err := store.Unpack(t.Context(), f, "", store.Options{
			Format: "tar.gz", StripTop: true, Prefix: p.Path,
			Tap: func(name string) io.Writer {
				if name == p.Path+"/package.json" {
					return &manifest
				}
				return nil
			},
			Exec: func(name string) bool {
				bins, err := Bins(manifest.Bytes())
				if err != nil {
					t.Error(err)
				}
				rel, _ := strings.CutPrefix(name, p.Path+"/")
				return slices.Contains(slices.Collect(maps.Values(bins)), rel)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	slices.SortFunc(all, func(a, b store.TreeFile) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// installs compares what Install makes of the tarballs with their plain
// unpacking.
func installs(t *testing.T, n *NPM, pkgs []Tarball) {
	t.Helper()
	dir := t.TempDir()
	start := time.Now()
	if err := n.Install(t.Context(), dir, pkgs); err != nil {
		t.Fatal(err)
	}
	t.Logf("npm ci of %d packages took %s", len(pkgs), time.Since(start).Round(10*time.Millisecond))
	got, err := store.HashDir(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := unpack(t, pkgs)
	if len(want) == 0 {
		t.Fatal("the tarballs are empty")
	}
	if diff := store.Diff(want, got); diff != "" {
		t.Errorf("npm made another folder: %s", diff)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("besides node_modules there are %v, %v", entries, err)
	}
}

// pack writes a tarball and describes it; path is where it belongs.
func pack(t *testing.T, path, name, version string, body []byte) Tarball {
	t.Helper()
	file := filepath.Join(t.TempDir(), "blob") // as the store has it, without a suffix
	if err := os.WriteFile(file, body, 0o400); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(body)
	return Tarball{Path: path, Name: name, Version: version, File: file, Integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
}

// inOrder makes a tarball whose entries have the given order: "NAME" or
// "NAME*" for an executable one, with its own name as content.
func inOrder(t *testing.T, manifest string, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	add := func(name, body string, mode int64) {
		if err := tw.WriteHeader(&tar.Header{Name: "package/" + name, Mode: mode, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(tw, body)
	}
	add("package.json", manifest, 0o644)
	for _, name := range names {
		mode := int64(0o644)
		name, exec := strings.CutSuffix(name, "*")
		if exec {
			mode = 0o755
		}
		add(name, "this is "+name, mode)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// oddPackages are packages on which npm has ideas of its own. Canary is a file
// that their install scripts would write.
func oddPackages(t *testing.T, canary string) []Tarball {
	manifest := func(fields map[string]any) string {
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	type m = map[string]any
	touch := "echo ran >> '" + canary + "'"
	scripts := m{}
	for _, name := range []string{"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare", "dependencies"} {
		scripts[name] = touch
	}
	return []Tarball{
		pack(t, "node_modules/scripts", "scripts", "1.0.0", inOrder(t, manifest(m{"name": "scripts", "version": "1.0.0", "scripts": scripts, "gypfile": true}),
			"binding.gyp", ".npmrc", "server.js")),
		pack(t, "node_modules/ignores", "ignores", "1.0.0", inOrder(t, manifest(m{"name": "ignores", "version": "1.0.0"}),
			".gitignore", "one/.gitignore*", "two/.npmignore", "two/.gitignore", "three/.gitignore", "three/.npmignore", "four/.npmignore")),
		pack(t, "node_modules/ignores/node_modules/@in/ner", "@in/ner", "2.0.0", inOrder(t, manifest(m{"name": "@in/ner", "version": "2.0.0"}),
			".npmignore", "x/.gitignore")),
		pack(t, "node_modules/@in/ner", "@in/ner", "1.0.0", inOrder(t, manifest(m{"name": "@in/ner", "version": "1.0.0"}), "index.js")),
		pack(t, "node_modules/bins", "bins", "1.0.0", inOrder(t, manifest(m{"name": "bins", "version": "1.0.0", "bin": m{"a": "./a.js", "b": "../../b.js", "c": "missing.js"}}),
			"a.js", "b.js", "c.js", "tool*")),
		pack(t, "node_modules/bin-dir", "bin-dir", "1.0.0", inOrder(t, manifest(m{"name": "bin-dir", "version": "1.0.0", "directories": m{"bin": "cmds"}}), "cmds/x", "cmds/y*", "cmds/d/x")),
		pack(t, "node_modules/crlf", "crlf", "1.0.0", fake.Tarball("package", map[string]string{
			"package.json": manifest(m{"name": "crlf", "version": "1.0.0", "bin": "x.js"}), "x.js": "#!/usr/bin/env node\r\n1\r\n"})),
		pack(t, "node_modules/alias", "@real/name", "3.0.0", inOrder(t, manifest(m{"name": "@real/name", "version": "3.0.0"}), "index.js")),
		pack(t, "node_modules/elsewhere", "elsewhere", "1.0.0", inOrder(t, manifest(m{"name": "elsewhere", "version": "1.0.0",
			"os": []string{"aix"}, "cpu": []string{"s390x"}, "libc": []string{"musl"}, "engines": m{"node": ">=999", "npm": "<1"}, "engineStrict": true}), "index.node")),
		pack(t, "node_modules/wants", "wants", "1.0.0", inOrder(t, manifest(m{"name": "wants", "version": "1.0.0",
			"dependencies": m{"nowhere": "^1", "git": "git+https://127.0.0.1:9/x.git"}, "optionalDependencies": m{"none": "1"},
			"peerDependencies": m{"alias": "^99"}, "devDependencies": m{"dev": "1"}}), "index.js")),
		pack(t, "node_modules/bundles", "bundles", "1.0.0", inOrder(t, manifest(m{"name": "bundles", "version": "1.0.0",
			"dependencies": m{"inside": "1.0.0"}, "bundleDependencies": []string{"inside"}}),
			"index.js", "node_modules/inside/index.js", "node_modules/inside/.gitignore")),
		pack(t, "node_modules/shrinks", "shrinks", "1.0.0", fake.Tarball("package", map[string]string{
			"package.json":        manifest(m{"name": "shrinks", "version": "1.0.0", "dependencies": m{"more": "1"}}),
			"npm-shrinkwrap.json": `{"name":"shrinks","version":"1.0.0","lockfileVersion":3,"packages":{"":{"dependencies":{"more":"1"}},"node_modules/more":{"version":"1.0.0"}}}`})),
		// Neither the folder in the tarball nor the name in its package.json is
		// the locked one; npm does not mind, the lock's tree decides.
		pack(t, "node_modules/lies", "lies", "1.0.0", fake.Tarball("other-top", map[string]string{"package.json": `{"name":"truth","version":"6.6.6"}`})),
	}
}

func TestInstallOddPackages(t *testing.T) {
	n := realNPM(t)
	canary := filepath.Join(t.TempDir(), "canary")
	installs(t, n, oddPackages(t, canary))
	if _, err := os.Stat(canary); err == nil {
		t.Error("an install script ran")
	}
}

// TestInstallIgnoresTheUser installs with everything of the user's set against
// us: the folder stays the same, and nothing of theirs runs.
func TestInstallIgnoresTheUser(t *testing.T) {
	n := realNPM(t)
	home := t.TempDir()
	canary := filepath.Join(home, "canary")
	hook := filepath.Join(home, "hook.js")
	write(t, hook, "require('fs').appendFileSync("+fmt.Sprintf("%q", canary)+", process.argv.join(' ') + '\\n')\n")
	rc := "registry=http://127.0.0.1:9/user/\nignore-scripts=false\nbin-links=true\ndry-run=true\nomit=optional\ninstall-strategy=linked\n" +
		"node-options=--require " + hook + "\nscript-shell=" + hook + "\ngit=" + hook + "\nforce=true\nos=plan9\nglobal=true\nprefix=" + home + "\n" +
		"engine-strict=true\nallow-git=all\nallow-file=none\noffline=false\nfund=true\naudit=true\numask=0777\nonload-script=" + hook + "\n"
	write(t, filepath.Join(home, ".npmrc"), rc)
	write(t, filepath.Join(home, "etc", "npmrc"), rc)
	parent := t.TempDir() // of the folder to install in
	write(t, filepath.Join(parent, ".npmrc"), rc)
	write(t, filepath.Join(parent, "package.json"), `{"name":"above","workspaces":["*"],"scripts":{"preinstall":"node `+hook+`"},"overrides":{"bins":"9.9.9"}}`)
	dir := filepath.Join(parent, "here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	git := fakes(t, map[string]string{"git": "hang", "sh": "hang", "node-gyp": "hang"})
	for key, value := range map[string]string{
		"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": home, "PREFIX": home, "NODE_ENV": "production",
		"NODE_OPTIONS": "--require " + hook, "NODE_PATH": home, "NODE_EXTRA_CA_CERTS": hook, "NODE_REPL_EXTERNAL_MODULE": hook,
		"npm_config_userconfig": filepath.Join(home, ".npmrc"), "npm_config_globalconfig": filepath.Join(home, "etc", "npmrc"),
		"npm_config_ignore_scripts": "false", "NPM_CONFIG_DRY_RUN": "true", "npm_config_global": "true", "npm_config_prefix": home,
		"npm_config_omit": "dev optional peer", "npm_config_script_shell": hook, "npm_config_node_options": "--require " + hook,
		"npm_config_install_strategy": "linked", "npm_config_package_lock": "false", "npm_config_cache": "/nonexistent",
		"npm_config_registry": "http://127.0.0.1:9/env/", "npm_config_workspaces": "true", "INIT_CWD": home,
		"HTTPS_PROXY": "http://127.0.0.1:9/hostile", "LD_LIBRARY_PATH": home,
		"PATH": git + string(os.PathListSeparator) + os.Getenv("PATH"),
	} {
		t.Setenv(key, value)
	}
	// The hook is live: a node in the user's environment runs it.
	if out, err := exec.Command(n.node, "-e", "0").CombinedOutput(); err != nil {
		t.Fatalf("node in the hostile environment: %v, %s", err, out)
	}
	if _, err := os.Stat(canary); err != nil {
		t.Fatalf("the canary of this test is dead: %v", err)
	}
	if err := os.Remove(canary); err != nil {
		t.Fatal(err)
	}

	pkgs := oddPackages(t, canary)
	if err := n.Install(t.Context(), dir, pkgs); err != nil {
		t.Fatal(err)
	}
	got, err := store.HashDir(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := store.Diff(unpack(t, pkgs), got); diff != "" {
		t.Errorf("the user's configuration changed the folder: %s", diff)
	}
	if text, err := os.ReadFile(canary); err == nil {
		t.Errorf("something of the user's ran: %s", text)
	}
}

func TestInstallRefuses(t *testing.T) {
	n := realNPM(t)
	good := pack(t, "node_modules/a", "a", "1.0.0", inOrder(t, `{"name":"a","version":"1.0.0"}`, "index.js"))
	change := func(f func(*Tarball)) []Tarball {
		p := good
		f(&p)
		return []Tarball{good, p}
	}
	wrong := pack(t, "node_modules/b", "b", "1.0.0", []byte("this is no tarball"))
	for name, test := range map[string]struct {
		pkgs  []Tarball
		class fault.Class
		says  string
	}{
		"no integrity":   {change(func(p *Tarball) { p.Path, p.Integrity = "node_modules/b", "" }), fault.Lock, "sha512"},
		"sha1":           {change(func(p *Tarball) { p.Path, p.Integrity = "node_modules/b", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }), fault.Lock, "sha512"},
		"twice":          {[]Tarball{good, good}, fault.Lock, "twice"},
		"no parent":      {change(func(p *Tarball) { p.Path = "node_modules/b/node_modules/c" }), fault.Lock, "node_modules/b"},
		"outside":        {change(func(p *Tarball) { p.Path = "node_modules/../../b" }), fault.Lock, "../../b"},
		"not a folder":   {change(func(p *Tarball) { p.Path = "b" }), fault.Lock, "node_modules/NAME"},
		"deep":           {change(func(p *Tarball) { p.Path = "node_modules/b/c" }), fault.Lock, "node_modules/NAME"},
		"bin":            {change(func(p *Tarball) { p.Path = "node_modules/.bin" }), fault.Lock, "node_modules/NAME"},
		"no version":     {change(func(p *Tarball) { p.Path, p.Version = "node_modules/b", "" }), fault.Lock, "version"},
		"wrong bytes":    {change(func(p *Tarball) { p.Path, p.Integrity = "node_modules/b", wrong.Integrity }), fault.Integrity, "EINTEGRITY"},
		"not a tarball":  {[]Tarball{good, wrong}, fault.Machine, "npm ci"},
		"no such file":   {change(func(p *Tarball) { p.Path, p.File = "node_modules/b", "/nonexistent/b" }), fault.Machine, ""},
		"git as version": {change(func(p *Tarball) { p.Path, p.Version = "node_modules/b", "git+https://127.0.0.1:9/x.git" }), fault.Lock, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := n.Install(t.Context(), dir, test.pkgs)
			wantFault(t, err, test.class, test.says)
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "precious"), "")
	if err := n.Install(t.Context(), dir, []Tarball{good}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder with something in it: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
		t.Error(err)
	}
}

// brokenNPM is an npm whose node is a fake.
func brokenNPM(t *testing.T, says string) *NPM {
	dir := fakes(t, map[string]string{"node": says})
	write(t, filepath.Join(dir, "npm", "package.json"), `{"name":"npm","version":"11.10.0"}`)
	return &NPM{node: filepath.Join(dir, "node"), cli: filepath.Join(dir, "npm", "bin", "npm-cli.js")}
}

func TestInstallWithBrokenNPM(t *testing.T) {
	good := pack(t, "node_modules/a", "a", "1.0.0", inOrder(t, `{"name":"a","version":"1.0.0"}`, "index.js"))
	dir := t.TempDir()
	err := brokenNPM(t, "complain npm error code EACCES").Install(t.Context(), dir, []Tarball{good})
	wantFault(t, err, fault.Machine, "npm ci: exit status 3: npm error code EACCES")
	if mend := fault.Mend(err); !strings.Contains(mend, "BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1") {
		t.Errorf("mend %q", mend)
	}
	// It says that all is well and did nothing.
	err = brokenNPM(t, "print added 1 package").Install(t.Context(), dir, []Tarball{good})
	wantFault(t, err, fault.Machine, "node_modules")

	ctx, cancel := context.WithCancel(t.Context())
	n := brokenNPM(t, "hang")
	go func() {
		for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(n.node + ".pid"); err == nil {
				break
			}
		}
		cancel()
	}()
	err = n.Install(ctx, dir, []Tarball{good})
	wantFault(t, err, fault.Interrupted, "npm ci")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// closure returns the locked tarballs of a real package, from a folder that
// outlives the test, or from the registry that this machine's npm knows.
func closure(t *testing.T, n *NPM, name, version string) []Tarball {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no cache folder for the packages of the registry: %v", err)
	}
	dir := filepath.Join(cache, "buck2-protobuf-test", "npm")
	index := filepath.Join(dir, path.Base(name)+"-"+version+".json")
	var pkgs []Tarball
	if data, err := os.ReadFile(index); err == nil && json.Unmarshal(data, &pkgs) == nil && len(pkgs) > 0 {
		return pkgs // npm compares the integrity
	}
	l, err := n.Resolve(t.Context(), "", nil, name, version)
	if err != nil {
		t.Skipf("%s %s cannot be had from the registry: %v", name, version, err)
	}
	if len(l.Dropped) > 0 {
		t.Fatalf("dropped: %v", l.Dropped)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	for _, folder := range slices.Sorted(maps.Keys(l.Packages)) {
		p := l.Packages[folder]
		out, err := n.user("npm pack "+p.Name, scratch, fault.Upstream,
			[]string{"pack", p.Name + "@" + p.Version, "--silent", "--ignore-scripts", "--pack-destination", scratch}).run(t.Context())
		if err != nil {
			t.Skipf("%s %s cannot be had from the registry: %v", p.Name, p.Version, err)
		}
		file := strings.TrimSpace(string(out))
		keep := filepath.Join(dir, strings.TrimSuffix(file, ".tgz"))
		data, err := os.ReadFile(filepath.Join(scratch, file))
		if err == nil {
			err = os.WriteFile(keep+".new", data, 0o644)
		}
		if err == nil {
			err = os.Rename(keep+".new", keep)
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, Tarball{Path: folder, Name: p.Name, Version: p.Version, File: keep, Integrity: p.Integrity})
	}
	data, err := json.Marshal(pkgs)
	if err == nil {
		err = os.WriteFile(index, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// TestInstallPlugins installs the real plugins, each with the npm of this
// machine.
func TestInstallPlugins(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs packages of the registry")
	}
	n := realNPM(t)
	for _, test := range []struct {
		name, version, bin string
		packages           int
	}{
		{"ts-proto", "2.7.2", "node_modules/ts-proto/protoc-gen-ts_proto", 7},
		{"@bufbuild/protoc-gen-es", "1.10.0", "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es", 8},
		{"protoc-gen-ts", "0.8.7", "node_modules/protoc-gen-ts/protoc-gen-ts.js", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			pkgs := closure(t, n, test.name, test.version)
			if len(pkgs) != test.packages {
				t.Errorf("%d packages, want %d", len(pkgs), test.packages)
			}
			if !slices.ContainsFunc(unpack(t, pkgs), func(f store.TreeFile) bool { return f.Path == test.bin && f.Exec }) {
				t.Errorf("%s is not an executable of the tree", test.bin)
			}
			installs(t, n, pkgs)
		})
	}
}
