package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/managers"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// BenchmarkWarm compares whole processes, in turn, in one run: fetch get of
// installed plugins, of a few files, some hundred and 5,000, fetch --version, and a
// Go program that does nothing.
//
//	go test -run '^$' -bench Warm -benchtime 200x ./fetch
func BenchmarkWarm(b *testing.B) {
	dir := b.TempDir()
	fetch := build(b, dir, "fetch", ".")
	empty := filepath.Join(dir, "empty.go")
	if err := os.WriteFile(empty, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	nothing := build(b, dir, "nothing", empty)
	plugins := []string{"protoc", "ts-proto", "node"}
	get := func(plugin string) []string { return []string{fetch, "get", plugin, "--lock", repositoryLock(b)} }
	for _, plugin := range plugins {
		measure(b, get(plugin)) // installs it
	}
	warm := map[string]*sample{}
	var version, none sample
	for b.Loop() {
		for _, plugin := range plugins {
			if warm[plugin] == nil {
				warm[plugin] = new(sample)
			}
			warm[plugin].add(measure(b, get(plugin)))
		}
		version.add(measure(b, []string{fetch, "--version"}))
		none.add(measure(b, []string{nothing}))
	}
	for _, plugin := range plugins {
		b.ReportMetric(ratio(*warm[plugin], version), plugin+"/version")
		b.ReportMetric(warm[plugin].median().Seconds()*1e3, plugin+"-ms")
	}
	b.ReportMetric(version.median().Seconds()*1e3, "version-ms")
	b.ReportMetric(none.median().Seconds()*1e3, "empty-ms")
	b.ReportMetric(ratio(version, none), "version/empty")
	b.ReportMetric(float64(warm["node"].memory())/(1<<20), "MiB-peak")
}

// BenchmarkDotSlash compares whole processes, in turn, in one run: fetch get of an
// installed plugin and the same question to DotSlash, both of which print a path.
//
//	go test -run '^$' -bench DotSlash -benchtime 200x ./fetch
func BenchmarkDotSlash(b *testing.B) {
	dotslash := findDotSlash(b)
	dir := b.TempDir()
	fetch := build(b, dir, "fetch", ".")
	body, err := os.ReadFile(fetch) // a program like any other
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	defer server.Close()
	platform := map[string]any{"size": len(body), "hash": "sha256", "digest": fmt.Sprintf("%x", sha256.Sum256(body)), "path": "tool",
		"providers": []any{map[string]string{"url": server.URL + "/tool"}}}
	// https://dotslash-cli.com/docs/dotslash-file/ has the form, and these names.
	names := map[string]string{"darwin": "macos", "amd64": "x86_64", "arm64": "aarch64"}
	goos, arch := cmp.Or(names[runtime.GOOS], runtime.GOOS), cmp.Or(names[runtime.GOARCH], runtime.GOARCH)
	text, err := json.Marshal(map[string]any{"name": "tool", "platforms": map[string]any{goos + "-" + arch: platform}})
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, "tool")
	if err := os.WriteFile(file, append([]byte("#!/usr/bin/env dotslash\n"), text...), 0o755); err != nil {
		b.Fatal(err)
	}
	b.Setenv("DOTSLASH_CACHE", filepath.Join(dir, "dotslash"))
	get := []string{fetch, "get", "protoc-gen-ts", "--lock", repositoryLock(b)}
	locate := []string{dotslash, "--", "fetch", file}
	measure(b, get)
	measure(b, locate)
	var ours, theirs sample
	for b.Loop() {
		ours.add(measure(b, get))
		theirs.add(measure(b, locate))
	}
	b.ReportMetric(ratio(ours, theirs), "get/dotslash")
	b.ReportMetric(theirs.median().Seconds()*1e3, "dotslash-ms")
	b.ReportMetric(ours.median().Seconds()*1e3, "get-ms")
}

// findDotSlash returns the program, from a folder that outlives the benchmark or
// from the package index of this machine's pip.
func findDotSlash(b *testing.B) string {
	b.Helper()
	const release = "dotslash==0.5.8"
	base, err := os.UserCacheDir()
	if err != nil {
		b.Skipf("no folder for DotSlash: %v", err)
	}
	venv := filepath.Join(base, "buck2-protobuf-test", release)
	program := filepath.Join(venv, "bin", "dotslash")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	python, err := exec.LookPath("python3") // by its path: here it may be a link to this test
	if err != nil {
		b.Skipf("DotSlash cannot be had: %v", err)
	}
	for _, command := range [][]string{{python, "-m", "venv", venv}, {filepath.Join(venv, "bin", "pip"), "install", "--quiet", release}} {
		if text, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			b.Skipf("DotSlash cannot be had: %v: %v\n%s", command, err, text)
		}
	}
	return program
}

// BenchmarkInstall compares, in turn, in one run: fetch get ts-proto with all
// bytes in the cache and nothing installed, by each Node manager that is on
// PATH and by our own unpacker, and the managers alone, on the same packages.
//
//	go test -run '^$' -bench Install -benchtime 10x ./fetch
func BenchmarkInstall(b *testing.B) {
	e, host, cell, get := benched(b, "ts-proto")
	v := e.Locked
	measure(b, get)
	a := &app{}
	if err := a.open(); err != nil {
		b.Fatal(err)
	}
	runtimeDir, _, err := a.installer.Tree(b.Context(), e.Runtime, host.Name)
	if err != nil {
		b.Fatal(err)
	}
	npm := npm.Locked(runtimeDir, host.Name)
	type rival struct {
		*managers.NodeManager
		fetch, alone sample
	}
	var rivals []*rival
	for _, name := range []string{"npm", "pnpm", "yarn", "bun"} {
		m, err := managers.OfNPM(npm)
		if name != "npm" {
			m, err = managers.FindNode(b.Context(), name, func() (string, error) { return npm.Node(), nil })
		}
		if err != nil {
			b.Log(err)
			continue
		}
		rivals = append(rivals, &rival{NodeManager: m})
	}
	var tarballs []managers.Tarball
	for _, key := range v.FilesFor(host.Name) {
		f := v.Files[key]
		blob, err := a.store.Blob(b.Context(), store.Digest{SHA256: f.SHA256, Size: f.Size})
		if err != nil {
			b.Fatal(err)
		}
		files, err := kind.Unpack(b.Context(), blob, "", v, key, host.Name)
		if err != nil {
			b.Fatal(err)
		}
		blob.Close()
		tarballs = append(tarballs, managers.Tarball{Path: key, Name: f.Name, Version: f.Version, File: blob.Name(), Integrity: f.Integrity, Files: files})
	}
	var byUs sample
	for b.Loop() {
		forget(b, a, cell.Tree)
		byUs.add(measure(b, append(slices.Clone(get), "--node-manager", "none")))
		for _, r := range rivals {
			forget(b, a, cell.Tree)
			r.fetch.add(measure(b, append(slices.Clone(get), "--node-manager", r.Name)))
			out := filepath.Join(b.TempDir(), "out")
			if err := os.Mkdir(out, 0o755); err != nil {
				b.Fatal(err)
			}
			r.alone.add(spend(func() {
				if err := r.Install(b.Context(), out, tarballs); err != nil {
					b.Fatal(err)
				}
			}))
		}
	}
	for _, r := range rivals {
		b.ReportMetric(ratio(r.fetch, r.alone), "get/"+r.Name)
		if processors := r.alone.processors(); processors > 0 { // steadier than time on a busy machine
			b.ReportMetric(float64(r.fetch.processors())/float64(processors), "get/"+r.Name+"-cpu")
		}
		b.ReportMetric(r.fetch.median().Seconds(), "by-"+r.Name+"-s")
		b.ReportMetric(r.alone.median().Seconds(), r.Name+"-alone-s")
	}
	b.ReportMetric(byUs.median().Seconds(), "own-s")
	// Of fetch alone: the other peak is npm's, which the system counts as ours.
	b.ReportMetric(float64(byUs.memory())/(1<<20), "own-MiB-peak")
}

// BenchmarkWheel compares, in turn, in one run: fetch get protoc with all bytes
// in the cache and nothing installed, by our own unpacker and by those of pip
// and uv that are on PATH.
//
//	go test -run '^$' -bench Wheel -benchtime 10x ./fetch
func BenchmarkWheel(b *testing.B) {
	_, _, cell, get := benchedOf(b, filepath.Join("..", "lockgen", "testdata", "five", lock.FileName), "protoc")
	get = append(get, "--wheel-manager")
	measure(b, append(slices.Clone(get), "none"))
	a := &app{}
	if err := a.open(); err != nil {
		b.Fatal(err)
	}
	times := map[string]*sample{}
	for _, name := range install.WheelManagers {
		if name != "none" {
			if _, err := managers.FindWheelManager(b.Context(), name); err != nil {
				b.Log(err)
				continue
			}
		}
		times[name] = &sample{}
	}
	for b.Loop() {
		for name, s := range times {
			forget(b, a, cell.Tree)
			s.add(measure(b, append(slices.Clone(get), name)))
		}
	}
	for name, s := range times {
		b.ReportMetric(s.median().Seconds(), "by-"+name+"-s")
	}
}

// benched returns a plugin of this repository's lock, what it is on this
// machine, and the command that gets it.
func benched(b *testing.B, plugin string) (*lock.Entry, lock.Platform, lock.Cell, []string) {
	b.Helper()
	return benchedOf(b, repositoryLock(b), plugin)
}

// benchedOf is benched of another lock.
func benchedOf(b *testing.B, lockPath, plugin string) (*lock.Entry, lock.Platform, lock.Cell, []string) {
	b.Helper()
	l, _, err := lock.Read(lockPath)
	if err != nil {
		b.Fatal(err)
	}
	name, version, v, err := l.Find(plugin)
	if err != nil {
		b.Fatal(err)
	}
	host, err := hostPlatform()
	if err != nil {
		b.Fatal(err)
	}
	cell, _, err := v.Cell(host.Name)
	if err != nil {
		b.Fatal(err)
	}
	return l.Entry(name, version), host, cell, []string{build(b, b.TempDir(), "fetch", "."), "get", plugin, "--lock", lockPath}
}

// forget removes an installed tree, but none of its bytes.
func forget(b *testing.B, a *app, tree string) {
	b.Helper()
	for _, name := range []string{tree, tree + ".ok"} {
		if err := os.RemoveAll(filepath.Join(a.store.Dir(), "trees", name)); err != nil {
			b.Fatal(err)
		}
	}
}

// sample collects whole runs of one command.
type sample struct {
	times, cpus []time.Duration
	peaks       []int64
}

type cost struct {
	time, cpu time.Duration
	peak      int64 // bytes
}

func (s *sample) add(u cost) {
	s.times = append(s.times, u.time)
	s.cpus = append(s.cpus, u.cpu)
	s.peaks = append(s.peaks, u.peak)
}

func (s *sample) median() time.Duration     { return median(s.times) }
func (s *sample) processors() time.Duration { return median(s.cpus) }

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}

func (s *sample) memory() int64 { return slices.Max(s.peaks) }

func ratio(a, b sample) float64 { return float64(a.median()) / float64(b.median()) }

// measure runs a command to its end and returns its time and peak memory.
func measure(b *testing.B, command []string) cost {
	b.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_NODE_MANAGER=")
	used := spend(func() {
		if err := cmd.Run(); err != nil {
			b.Fatalf("%v: %v", command, err)
		}
	})
	used.peak = peakMemory(cmd.ProcessState)
	return used
}

// spend measures the time of f, and that of processors for it and all it starts.
func spend(f func()) cost {
	start, cpu := time.Now(), cpuTime()
	f()
	return cost{time: time.Since(start), cpu: cpuTime() - cpu}
}

func build(b *testing.B, dir, name, pkg string) string {
	b.Helper()
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	out := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as Buck2 builds it: no libc to load
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
	return out
}

// repositoryLock returns the lock at the root of this repository.
func repositoryLock(tb testing.TB) string {
	tb.Helper()
	name, err := filepath.Abs(filepath.Join("..", lock.FileName))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(name); err != nil {
		tb.Fatal(err)
	}
	return name
}
