package pkgmgr

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
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
	for i, p := range pkgs {
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
		pkgs[i].Files = files
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
	m, _ := n.NodeManager()
	if err := m.Install(t.Context(), dir, pkgs); err != nil {
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
