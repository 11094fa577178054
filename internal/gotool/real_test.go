package gotool

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRealGo resolves, and in the full suite builds, protoc-gen-go 1.35.2 with the Go
// and the module proxy of this machine. What was downloaded once, and what was
// compiled, stays in buck2-protobuf-test in the user's cache folder.
func TestRealGo(t *testing.T) {
	testenv.Real(t, "protoc-gen-go comes from the network")
	g := realGo(t)
	cache := testenv.GoCache(t)
	modules := filepath.Join(filepath.Dir(testenv.SmallGoCache(t)), "go-protobuf-1.35.2")
	main := Main{"google.golang.org/protobuf", "1.35.2", "cmd/protoc-gen-go"}
	p := fake.Platform(t, "macos-aarch64")

	config := Config{Proxy: fileURL(modules), SumDB: "off", Auth: "off"}
	_, err := os.Stat(modules)
	if err != nil {
		if config, err = g.Config(t.Context(), ""); err != nil {
			t.Skipf("go has no proxy to try with: %v", err)
		}
	}
	scratch := t.TempDir()
	closure, err := g.Resolve(t.Context(), config, scratch, main, []lock.Platform{p})
	if fault.Of(err) == fault.Upstream && config.SumDB != "off" {
		t.Skipf("the module proxy cannot be reached: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The line of the checksum database, as any go.sum has it.
	const sum = "h1:8Ar7bF+apOIoThw1EdZl0p1oWvMqTHmpA2fRTyZO8io="
	if len(closure.Modules) != 1 || closure.Modules[0].Sum != sum {
		t.Fatalf("closure %+v, want one module with %s", closure.Modules, sum)
	}
	if err := keepModules(filepath.Join(scratch, "mod", "cache", "download"), modules); err != nil {
		t.Logf("the downloads could not be kept: %v", err)
	}
	testenv.OnlyFull(t, "it compiles much of the standard library; TestGoBuild compiles a small program")
	var first []byte
	for range 2 {
		out := filepath.Join(t.TempDir(), "protoc-gen-go")
		if err := g.Build(t.Context(), Build{Main: main, Modules: closure.Modules, Platform: p, Cache: cache}, out); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		info, err := buildinfo.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if info.Path != "google.golang.org/protobuf/cmd/protoc-gen-go" || info.Main.Version != "v1.35.2" || info.Main.Sum != sum {
			t.Errorf("the program says that it is %+v", info)
		}
		if first == nil {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Error("two builds in two folders differ")
		}
	}
}

// keepModules copies downloads that a cache does not have yet.
func keepModules(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	part, err := os.MkdirTemp(filepath.Dir(to), "part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	whole := filepath.Join(part, "all")
	if err := os.CopyFS(whole, os.DirFS(from)); err != nil {
		return err
	}
	return os.Rename(whole, to)
}
