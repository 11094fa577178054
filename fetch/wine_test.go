package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestWine: under Wine 9 or later, fetch.exe installs a plugin of npm by the
// locked npm of Windows into a cache with a blank in its name, and protoc.exe
// runs the launcher, through cmd.exe as it always does. Bytes and what Wine
// needs are kept between runs.
func TestWine(t *testing.T) {
	testenv.Real(t, "needs the registries")
	wine := testenv.Program(t, "wine")
	release, err := exec.Command(wine, "--version").Output()
	if err != nil {
		t.Skip("skipped: wine does not start:", err)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		t.Skip("skipped: no cache folder:", err)
	}
	kept, dir := filepath.Join(base, "buck2-protobuf-test", "wine"), t.TempDir()
	if err := os.MkdirAll(kept, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(kept + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	windows := func(args ...string) (stdout, stderr string, err error) {
		talk, err := os.Create(filepath.Join(dir, "stderr")) // node fails on a pipe that is not of Windows
		if err != nil {
			t.Fatal(err)
		}
		defer talk.Close()
		cmd := exec.CommandContext(t.Context(), wine, args...)
		cmd.Dir, cmd.Stderr = dir, talk
		cmd.Env = append(os.Environ(), "WINEDEBUG=-all", "WINEPREFIX="+filepath.Join(kept, strings.Fields(string(release) + " unknown")[0]))
		out, err := cmd.Output()
		_, _ = talk.Seek(0, io.SeekStart)
		said, _ := io.ReadAll(talk)
		return strings.TrimSpace(string(out)), string(said), err
	}
	program := filepath.Join(dir, "fetch.exe")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, said, err := windows(program, "--version"); err != nil {
		t.Skipf("skipped: this Wine does not run a program of Go: %v\n%.300s", err, said)
	}
	cache := filepath.Join(dir, "a b")
	paths := map[string]string{}
	for _, name := range []string{"protoc", "protoc-gen-es"} {
		var out, talk bytes.Buffer
		args := []string{"get", name, "--lock", repositoryLock(t), "--platform", "windows-x86_64"}
		switch status := run(t.Context(), append(args, "--cache-dir", filepath.Join(kept, "cache")), func(string) string { return "" }, &out, &talk); fault.Class(status) {
		case 0:
		case fault.Upstream, fault.Machine:
			t.Skip("skipped: the registries cannot be reached:", talk.String())
		default:
			t.Fatalf("status %d\n%s", status, talk.String())
		}
	}
	if err := os.CopyFS(filepath.Join(cache, "blobs"), os.DirFS(filepath.Join(kept, "cache", "blobs"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"protoc", "protoc-gen-es"} {
		path, said, err := windows(program, "get", name, "--offline", "-v", "--lock", "Z:"+repositoryLock(t), "--cache-dir", "Z:"+cache)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if name == "protoc-gen-es" && !strings.Contains(said, "npm") {
			t.Errorf("npm did not build it:\n%s", said)
		}
		paths[name] = path
	}
	if !strings.HasSuffix(paths["protoc-gen-es"], `\protoc-gen-es.cmd`) {
		t.Errorf("%q", paths)
	}
	if err := os.WriteFile(filepath.Join(dir, "api.proto"), []byte("syntax = \"proto3\";\nmessage Hello { string name = 1; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said, err := windows(paths["protoc"], "--plugin=protoc-gen-es="+paths["protoc-gen-es"], "--es_out=.", "--es_opt=target=ts", "api.proto"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	text, err := os.ReadFile(filepath.Join(dir, "api_pb.ts"))
	if err != nil || !strings.Contains(string(text), "export type Hello = Message<") {
		t.Errorf("%s, %v", text, err)
	}
}
