package fake_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// run runs a program with the environment of the test, without the settings of
// npm and pip.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(strings.ToLower(kv), "=")
		if !strings.HasPrefix(key, "npm_config_") && !strings.HasPrefix(key, "pip_") && !strings.HasSuffix(key, "_proxy") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRealNPMInstalls(t *testing.T) {
	testenv.Real(t, "it starts npm")
	npm := testenv.Program(t, "npm")
	s := fake.New(t)
	s.Package(fake.Package{Name: "@fake/lib", Version: "1.2.0", Files: map[string]string{"index.js": "module.exports = 'lib'\n"}})
	s.Package(fake.Package{Name: "@fake/lib", Version: "2.0.0"})
	plugin := s.Package(fake.Package{Name: "protoc-gen-fake", Version: "1.0.0",
		Manifest: map[string]any{"bin": map[string]any{"protoc-gen-fake": "main.js"}, "dependencies": map[string]any{"@fake/lib": "^1.0.0"}},
		Files:    map[string]string{"main.js": "#!/usr/bin/env node\nconsole.log(require('@fake/lib'))\n"}, Exec: []string{"main.js"}})
	dir := t.TempDir()
	env := []string{"npm_config_cache=" + t.TempDir(), "npm_config_userconfig=" + filepath.Join(t.TempDir(), "npmrc"), "npm_config_update_notifier=false"}
	run(t, dir, env, npm, "install", "--registry", s.URL+"/", "protoc-gen-fake")

	if got := read(t, filepath.Join(dir, "node_modules", "@fake", "lib", "package.json")); !strings.Contains(got, `"1.2.0"`) {
		t.Errorf("npm resolved ^1.0.0 to %s", got)
	}
	lock := read(t, filepath.Join(dir, "package-lock.json"))
	for _, want := range []string{plugin.Integrity, plugin.URL} {
		if !strings.Contains(lock, want) {
			t.Errorf("package-lock.json lacks %s:\n%s", want, lock)
		}
	}
	if node, err := testenv.Find("node"); err == nil {
		if got := run(t, dir, nil, node, "node_modules/protoc-gen-fake/main.js"); got != "lib\n" {
			t.Errorf("the plugin prints %q", got)
		}
	}
	if n := s.Count(plugin.Path); n != 1 {
		t.Errorf("the tarball was asked %d times, want 1", n)
	}
	if out := run(t, dir, env, npm, "view", "--registry", s.URL+"/", "protoc-gen-fake", "time", "--json"); !strings.Contains(out, "2020-01-02T03:04:05.000Z") {
		t.Errorf("npm view time: %s", out)
	}
}

func TestRealPipDownloads(t *testing.T) {
	testenv.Real(t, "it starts pip")
	pip := testenv.Program(t, "pip")
	s := fake.New(t)
	lib := s.Wheel(fake.Wheel{Name: "Fake.Lib", Version: "1.2", Files: map[string]string{"fake_lib.py": "X = 1\n"}, Python: ">=3.6"})
	s.Wheel(fake.Wheel{Name: "fake-lib", Version: "3.0", Python: ">=99"})
	plugin := s.Wheel(fake.Wheel{Name: "protoc-gen-fake", Version: "0.1.0", Requires: []string{"fake-lib>=1"},
		Files: map[string]string{"protoc_gen_fake.py": "import fake_lib\ndef main(): print(fake_lib.X)\n", "fake_data/bin/tool": "#!/bin/sh\n"}, Exec: []string{"fake_data/bin/tool"},
		EntryPoints: "[console_scripts]\nprotoc-gen-fake = protoc_gen_fake:main\n"})
	for _, html := range []bool{false, true} {
		s.HTMLOnly(html)
		s.Forget()
		dir := t.TempDir()
		env := []string{"PIP_CONFIG_FILE=" + os.DevNull, "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1"}
		run(t, dir, env, pip, "download", "--index-url", s.URL+"/simple/", "--dest", "wheels", "protoc-gen-fake")
		for _, a := range []fake.Artifact{lib, plugin} {
			if got := read(t, filepath.Join(dir, "wheels", a.Name)); got != string(a.Body) {
				t.Errorf("html %t: %s has other bytes", html, a.Name)
			}
			if s.Count(a.Path) != 1 {
				t.Errorf("html %t: %s was asked %d times", html, a.Path, s.Count(a.Path))
			}
		}
		// Installing verifies the wheel's RECORD and tags.
		run(t, dir, env, pip, "install", "--no-index", "--find-links", "wheels", "--no-deps", "--target", "site", "protoc-gen-fake")
		info, err := os.Stat(filepath.Join(dir, "site", "fake_data", "bin", "tool"))
		if err != nil || runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
			t.Errorf("the executable of the wheel: %v, %v", info, err)
		}
	}
}

func TestFaultsFollowEachOther(t *testing.T) {
	s := fake.New(t)
	url := s.File("/a b", []byte("0123456789"))
	s.Fault("/a b", fake.Status(503, "Retry-After", "1").Times(2), fake.Shorter(3).Once(), fake.Reset(-1).Once())
	// On a kept connection, Go's transport repeats the request after a reset.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var got []string
	for range 5 {
		resp, err := client.Get(strings.ReplaceAll(url, " ", "%20"))
		if err != nil {
			got = append(got, "reset")
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.Status+" "+string(body))
	}
	want := []string{"503 Service Unavailable fake says 503\n", "503 Service Unavailable fake says 503\n", "200 OK 012", "reset", "200 OK 0123456789"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := s.Count("/a b"); n != 5 {
		t.Errorf("%d requests recorded, want 5", n)
	}
	s.Fault("/a b")
	if s.Forget(); s.Count("") != 0 {
		t.Error("Forget keeps requests")
	}
}

func TestTruncateIsSeenByTheClient(t *testing.T) {
	s := fake.New(t)
	url := s.File("/f", bytes.Repeat([]byte("x"), 1000))
	for name, fault := range map[string]fake.Fault{"truncate": fake.Truncate(100), "chunked": fake.TruncateChunked(100), "reset": fake.Reset(100)} {
		s.Fault("/f", fault)
		resp, err := http.Get(url)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if len(body) != 100 || err == nil {
			t.Errorf("%s: %d bytes, error %v", name, len(body), err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	s := fake.New(t)
	url := s.File("/f", []byte("x"))
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for i := range 16 {
		wg.Go(func() {
			resp, err := http.Get(url)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				err = errors.Join(err, resp.Body.Close())
			}
			errs <- err
			s.Package(fake.Package{Name: "p", Version: "1.0." + string(rune('0'+i%10))})
			s.Fault("/g", fake.HTML())
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if s.Count("/f") != 16 {
		t.Errorf("counted %d of 16 requests", s.Count("/f"))
	}
}

func TestSameFieldsSameBytes(t *testing.T) {
	w := fake.Wheel{Name: "a", Version: "1", Tag: "py2.py3-none-manylinux1_x86_64", Files: map[string]string{"x": "1", "y": "2"}}
	if !bytes.Equal(w.Bytes(), w.Bytes()) || w.Filename() != "a-1-py2.py3-none-manylinux1_x86_64.whl" {
		t.Error("a wheel differs from itself, or is called", w.Filename())
	}
	if !bytes.Equal(fake.Tarball("package", w.Files), fake.Tarball("package", w.Files)) {
		t.Error("a tarball differs from itself")
	}
}
