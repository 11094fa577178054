package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// mirrors writes the manifest with mirrors: from, to, from, to, ….
func (w *world) mirrors(pairs ...string) {
	w.Helper()
	w.write()
	name := filepath.Join(w.dir, manifest.FileName)
	text, err := os.ReadFile(name)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		text = fmt.Appendf(text, "\n[[mirror]]\nfrom = %q\nto = %q\n", pairs[i], pairs[i+1])
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		w.Fatal(err)
	}
}

// layout makes a folder in the OCI image layout that has blobs.
func (w *world) layout(bodies ...[]byte) string {
	w.Helper()
	dir := filepath.Join(w.TempDir(), "layout")
	for _, body := range bodies {
		name := filepath.Join(dir, "blobs", "sha256", sum256(body))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(name, body, 0o644); err != nil {
			w.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		w.Fatal(err)
	}
	return dir
}

// TestMirrorOrder: mirrors are asked in their order, then the origin, and the
// first that has the bytes serves them.
func TestMirrorOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := fake.NewOCI(t, "")
	first, second := fake.New(t), fake.New(t)
	second.File("/two/files/bare-linux", []byte("#!/bin/sh\necho bare\n"))
	w.mirrors("https://elsewhere.example.com/", first.URL+"/no/", w.registry.URL+"/", first.URL+"/one/", "*", "oci://"+o.Host+"/acme/plugins", w.registry.URL+"/files/", second.URL+"/two/files/")
	w.must("get", "bare")
	if n := first.Count("/one/files/bare-linux"); n != 1 {
		t.Errorf("the first mirror was asked %d times", n)
	}
	if len(o.Requests("")) != 2 || second.Count("/two/files/bare-linux") != 1 || len(w.registry.Requests("")) != 0 {
		t.Errorf("asked: oci %d, second %d, origin %d", len(o.Requests("")), second.Count("/two/files/bare-linux"), len(w.registry.Requests("")))
	}
	// None has it: all are named, with what they said and the hint.
	w.registry.Fault("/files/packed.tar.gz", fake.Status(http.StatusNotFound))
	w.fails(4, []string{"none of 4 sources has it", first.URL + "/one/", "oci://" + o.Host + "/acme/plugins", second.URL, "the origin: downloading " + w.registry.URL,
		"404 Not Found", "hint: on a machine that can reach the origin, run: lockgen mirror --to oci://" + o.Host + "/acme/plugins"}, "get", "packed")
}

// TestMirrorHolds: a place of OCI has every kind of file by its digest, and
// nobody else is asked; no package manager either.
func TestMirrorHolds(t *testing.T) {
	w := newWorld(t)
	bodies := [][]byte{w.wheel.Body, []byte("#!/bin/sh\necho bare\n")}
	for _, a := range w.tarballs {
		bodies = append(bodies, a.Body)
	}
	for name, to := range map[string]func() string{
		"layout": func() string { return "oci-layout:" + w.layout(bodies...) },
		"registry with a token": func() string {
			o := fake.NewOCI(t, "me:secret")
			o.Repo = "acme/plugins"
			for _, body := range bodies {
				o.Blob("application/octet-stream", "", body)
			}
			config := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(config, fmt.Appendf(nil, `{"auths": {%q: {"auth": "bWU6c2VjcmV0"}}}`, o.Host), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("DOCKER_CONFIG", filepath.Dir(config))
			return "oci://" + o.Host + "/acme/plugins"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.cache = filepath.Join(t.TempDir(), "cache")
			place := to()
			w.mirrors("pip:Tool_Wheel", place, "npm:", place, "https://nowhere.example.com/", "https://else.example.com/", w.registry.URL+"/files/bare", place)
			before := len(w.registry.Requests(""))
			for _, name := range []string{"tool", "bare"} {
				w.must("get", name)
			}
			if n := len(w.registry.Requests("")) - before; n != 0 {
				t.Errorf("the registry was asked %d times", n)
			}
			// shell, its runtime, is of another project, which comes from the index.
			w.must("get", "script")
			for _, r := range w.registry.Requests("")[before:] {
				if !strings.Contains(r.Path, "shell") {
					t.Errorf("the registry was asked for %s", r.Path)
				}
			}
		})
	}
}

// TestMirrorRegistry: a registry that stands in for another one speaks its
// protocol.
func TestMirrorRegistry(t *testing.T) {
	w := newWorld(t)
	mirror := w.registry
	w.registry = fake.New(t) // has nothing
	w.mirrors("npm:@acme/", mirror.URL+"/", "npm:script", mirror.URL+"/", "pip:", mirror.URL+"/simple/")
	w.must("get", "script")
	w.must("get", "tool")
	if n := len(w.registry.Requests("")); n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// TestMirrorLies: other bytes are named loudly and never taken.
func TestMirrorLies(t *testing.T) {
	t.Parallel()
	honest := []byte("#!/bin/sh\necho bare\n")
	for name, lie := range map[string][]byte{
		"same length": []byte("#!/bin/sh\necho EVIL\n"), "too long": append([]byte("x"), honest...), "too short": honest[1:], "empty": nil,
		"HTML": []byte("<!doctype html><title>log in</title>"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			liar := fake.New(t)
			liar.File("/files/bare-linux", lie)
			w.mirrors(w.registry.URL+"/", liar.URL+"/")
			status, stdout, stderr := w.fetch("get", "bare")
			out, err := exec.Command(strings.TrimSpace(stdout)).Output()
			if status != 0 || err != nil || string(out) != "bare\n" {
				t.Errorf("status %d: %s (%v)\n%s", status, out, err, stderr)
			}
			if !strings.Contains(stderr, "warning: "+liar.URL+"/ has other bytes for bare-linux than the lock") {
				t.Errorf("no warning:\n%s", stderr)
			}
			w.cache = filepath.Join(t.TempDir(), "cache")
			w.registry.Fault("/files/bare-linux", fake.Status(http.StatusNotFound))
			w.fails(5, []string{"none of 2 sources has it", liar.URL, "404"}, "get", "bare")
		})
	}
	// A file of a layout that was changed.
	w := newWorld(t)
	dir := w.layout(honest)
	if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", sum256(honest)), bytes.ToUpper(honest), 0o644); err != nil {
		t.Fatal(err)
	}
	w.mirrors("*", "oci-layout:"+dir)
	if _, _, stderr := w.fetch("get", "bare"); !strings.Contains(stderr, "warning: oci-layout:"+dir+" has other bytes") {
		t.Errorf("no warning:\n%s", stderr)
	}
	// What is no file there is not waited for.
	for _, pipe := range []string{filepath.Join(dir, "blobs", "sha256", sum256(honest)), filepath.Join(dir, "index.json")} {
		os.Remove(pipe)
		if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
			t.Skipf("skipped: mkfifo: %s (%v)", out, err)
		}
	}
	w.cache = filepath.Join(t.TempDir(), "cache")
	w.fails(4, []string{"not in the cache", "bare-linux"}, "get", "bare", "--offline")
	if _, _, stderr := w.fetch("get", "bare"); !strings.Contains(stderr, "is not a file; not used") {
		t.Errorf("no warning:\n%s", stderr)
	}
	w.fails(5, []string{"index.json is not a file", "hint: remove "}, "bundle", "any", "--from", "oci-layout:"+dir)
	w.mirrors()
	dir = w.layout(honest)
	if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"2.0.0"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	w.fails(5, []string{"its oci-layout has the unknown version 2.0.0, expected 1.0.0"}, "get", "bare", "--from", "oci-layout:"+dir)
}

// TestMirrorOffline: a folder needs no connection.
func TestMirrorOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mirrors("*", "oci-layout:../vendor", "*", "oci://127.0.0.1:1/acme/plugins")
	w.fails(4, []string{"offline", "not in the cache", "bare-linux"}, "get", "bare", "--offline")
	if err := os.Rename(w.layout([]byte("#!/bin/sh\necho bare\n")), filepath.Join(w.dir, "..", "vendor")); err != nil {
		t.Fatal(err)
	}
	status, _, talk := w.fetch("get", "bare", "--offline", "-v")
	if status != 0 || !strings.Contains(talk, "copying bare-linux") || strings.Contains(talk, "downloading") {
		t.Errorf("status %d\n%s", status, talk)
	}
	if n := len(w.registry.Requests("")); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestOCISource: a plugin whose source is a registry of OCI.
func TestOCISource(t *testing.T) {
	w := newWorld(t)
	o := fake.NewOCI(t, "")
	body := fake.Tarball("", map[string]string{"bin/lint": "#!/bin/sh\necho lint\n"}, "bin/lint")
	d := o.Blob(fake.OCILayer, "lint.tar.gz", body)
	other := fake.Tarball("", map[string]string{"bin/lint": "#!/bin/sh\necho other\n"}, "bin/lint")
	o.Blob(fake.OCILayer, "lint.tar.gz", other) // of another plugin, in the same repository
	manifest := strings.TrimPrefix(o.Manifest("v1.4.0", d)["digest"].(string), "sha256:")
	w.add("lint", "1.4.0", lock.Version{Source: lock.OCI, Package: o.Host + "/acme/tool"}, "bin/lint",
		map[string]fake.Artifact{"lint.tar.gz": {Body: body, Size: int64(len(body)), SHA256: sum256(body)}},
		map[string]lock.File{"lint.tar.gz": {Version: "v1.4.0", Archive: "tar.gz", Manifest: manifest}})
	w.write()
	out, err := exec.Command(w.must("get", "lint")).Output()
	if err != nil || string(out) != "lint\n" {
		t.Errorf("%q, %v", out, err)
	}
	w.cache = filepath.Join(t.TempDir(), "cache")
	o.Fault("/v2/acme/tool/blobs/"+d["digest"].(string), fake.WrongBytes())
	w.fails(5, []string{"lint 1.4.0", "wrong bytes"}, "get", "lint")
	f := w.lock.Plugins["lint"]["1.4.0"].Files["lint.tar.gz"]
	f.SHA256, f.Size = sum256(other), int64(len(other))
	w.lock.Plugins["lint"]["1.4.0"].Files["lint.tar.gz"] = f
	w.write()
	w.fails(5, []string{"lint 1.4.0", "does not list", "git checkout"}, "get", "lint")
}

// entry writes an entry as Buck2 does.
func (w *world) entry(name, version string) string {
	w.Helper()
	data, err := json.Marshal(w.lock.Entry(name, version))
	if err != nil {
		w.Fatal(err)
	}
	file := filepath.Join(w.TempDir(), "entry.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		w.Fatal(err)
	}
	return file
}

// TestInstallMirrors is what a Buck2 action does with mirrors.
func TestInstallMirrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	honest := []byte("#!/bin/sh\necho bare\n")
	list := filepath.Join(t.TempDir(), "mirrors.json")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf(`[{"from": "*", "to": "oci-layout:%s"}]`, w.layout(honest)))
	out := filepath.Join(t.TempDir(), "out")
	entry := w.entry("bare", "3.0.0")
	w.must("install", "--entry", entry, "--mirrors", list, "--out", out)
	if got := snapshot(t, out); got["bare"] != string(honest) || len(w.registry.Requests("")) != 0 {
		t.Errorf("%q", got)
	}
	write(`[{"from": "*", "to": "https://example.com/"}]`)
	w.fails(2, []string{list, "not an OCI registry"}, "install", "--entry", entry, "--mirrors", list, "--out", out+"2")
	write(`[{"form": "*"}]`)
	w.fails(2, []string{list, "unknown field"}, "install", "--entry", entry, "--mirrors", list, "--out", out+"2")
}

func TestBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file("twin", "1.0.0", "", "bare", "twin-linux", []byte("#!/bin/sh\necho twin\n"))
	w.write()
	var text bytes.Buffer
	text.WriteString("platforms = [\"linux-x86_64\"]\n")
	for name, versions := range w.lock.Plugins {
		for version := range versions {
			fmt.Fprintf(&text, "\n[plugins.%s]\nversion = %q\nbinary = \"x\"\nsource = \"https://example.com/x\"\n", name, version)
		}
	}
	fmt.Fprintf(&text, "\n[bundles]\nall = [\"tool\", \"script\", \"bare\"]\nclash = [\"bare\", \"twin\"]\n\n[registries]\nnpm = %q\npip = %q\n", w.registry.URL+"/", w.registry.URL+"/simple/")
	if err := os.WriteFile(filepath.Join(w.dir, manifest.FileName), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	lines := w.must("bundle", "all")
	if n := strings.Count(lines, "export PATH="); n != 3 {
		t.Fatalf("%d lines:\n%s", n, lines)
	}
	out, err := exec.Command("/bin/sh", "-c", lines+"\nbare; main a; tool b </dev/null").Output()
	if want := "bare\nscript a\ntool b\n"; string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
	w.fails(2, []string{"bundle clash: bare 3.0.0 and twin 1.0.0 both have an executable called bare"}, "bundle", "clash")
	w.fails(2, []string{`no bundle "al"`, "did you mean all?"}, "bundle", "al")
	w.fails(2, []string{"all is a bundle, not a plugin", "fetch bundle all"}, "get", "all")
	w.fails(2, []string{"bundle takes one bundle"}, "bundle")
}

// TestManyProcesses: many processes ask for the same cold plugin at once. Each
// file is downloaded once, each folder is made once, and nobody fails.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	w := newWorld(t)
	binary := fetchProgram(t)
	o := fake.NewOCI(t, "")
	o.Repo = "acme/plugins"
	bodies := [][]byte{[]byte("#!/bin/sh\necho bare\n")}
	for _, a := range w.tarballs {
		bodies = append(bodies, a.Body)
	}
	for _, body := range bodies {
		o.Blob("application/octet-stream", "", body)
	}
	for _, name := range []string{"bare", "script"} { // by URL, and npm with its runtime from pip
		for what, mirrors := range map[string][]string{"origin": nil, "registry": {"npm:", "oci://" + o.Host + "/acme/plugins", w.registry.URL + "/", "oci://" + o.Host + "/acme/plugins"}} {
			w.mirrors(mirrors...)
			w.registry.Forget()
			o.Forget()
			cache := filepath.Join(t.TempDir(), "cache")
			type result struct {
				path, talk string
				err        error
			}
			results := make(chan result)
			processes := testenv.Count(8, 32)
			for range processes {
				go func() {
					cmd := exec.Command(binary, "get", name, "--node-manager", "none", "-v", "--lock", filepath.Join(w.dir, lock.FileName))
					cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+cache)
					var talk bytes.Buffer
					cmd.Stderr = &talk
					out, err := cmd.Output()
					results <- result{string(out), talk.String(), err}
				}()
			}
			paths, lines := map[string]bool{}, 0
			for range processes {
				r := <-results
				if r.err != nil {
					t.Errorf("%s from %s: %v\n%s", name, what, r.err, r.talk)
				}
				paths[r.path] = true
				lines += strings.Count(r.talk, "downloading ")
			}
			files := map[string]int{"bare": 1, "script": 3}[name]
			downloads := map[string]int{}
			for _, r := range append(w.registry.Requests(""), o.Requests("")...) {
				if !strings.HasSuffix(r.Path, "/") && !strings.Contains(r.Path, "/manifests/") { // files alone
					downloads[r.Path]++
				}
			}
			for path, n := range downloads {
				if n != 1 {
					t.Errorf("%s from %s: %s was downloaded %d times", name, what, path, n)
				}
			}
			if len(paths) != 1 || len(downloads) != files || lines != files {
				t.Errorf("%s from %s: %d paths, %d files in %d downloads, expected %d: %v", name, what, len(paths), len(downloads), lines, files, downloads)
			}
			stats, err := os.ReadFile(filepath.Join(cache, "stats.json"))
			if err != nil {
				t.Fatal(err)
			}
			var total struct {
				Tiers map[string]struct{ Hits, Failures int }
			}
			if err := json.Unmarshal(stats, &total); err != nil {
				t.Fatal(err)
			}
			if made, trees := total.Tiers["unpacker"], map[string]int{"bare": 1, "script": 2}[name]; made.Hits != trees || made.Failures != 0 {
				t.Errorf("%s from %s: %d folders were made, expected %d", name, what, made.Hits, trees)
			}
			if n := total.Tiers["oci"].Hits; n != map[string]int{"bare registry": 1, "script registry": 2}[name+" "+what] {
				t.Errorf("%s from %s: %d files from the registry", name, what, n)
			}
		}
	}
}
