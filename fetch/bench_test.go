package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pkgmgr"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// BenchmarkWarm compares whole processes, in turn, in one run: fetch get of an
// installed plugin, fetch --version, and a Go program that does nothing.
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
	get := []string{fetch, "get", "protoc-gen-ts", "--lock", repositoryLock(b)}
	measure(b, get) // installs it
	var warm, version, none sample
	for b.Loop() {
		warm.add(measure(b, get))
		version.add(measure(b, []string{fetch, "--version"}))
		none.add(measure(b, []string{nothing}))
	}
	b.ReportMetric(ratio(warm, version), "get/version")
	b.ReportMetric(ratio(version, none), "version/empty")
	b.ReportMetric(float64(warm.memory())/(1<<20), "MiB-peak")
}

// BenchmarkInstall compares, in turn, in one run: fetch get ts-proto with all
// bytes in the cache and nothing installed, by each Node manager that is on
// PATH and by our own unpacker, and the managers alone, on the same packages.
//
//	go test -run '^$' -bench Install -benchtime 10x ./fetch
func BenchmarkInstall(b *testing.B) {
	dir := b.TempDir()
	fetch := build(b, dir, "fetch", ".")
	lockPath := repositoryLock(b)
	l, _, err := lock.Read(lockPath)
	if err != nil {
		b.Fatal(err)
	}
	_, version, v, err := l.Find("ts-proto")
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
	get := []string{fetch, "get", "ts-proto", "--lock", lockPath}
	measure(b, get)
	a := &app{}
	if err := a.open(); err != nil {
		b.Fatal(err)
	}
	runtimeDir, _, err := a.installer.Tree(b.Context(), l.Entry("ts-proto", version).Runtime, host.Name)
	if err != nil {
		b.Fatal(err)
	}
	npm := pkgmgr.LockedNPM(runtimeDir, host.Name)
	type rival struct {
		*pkgmgr.NodeManager
		fetch, alone sample
	}
	var rivals []*rival
	for _, name := range []string{"npm", "pnpm", "yarn", "bun"} {
		m, err := npm.NodeManager()
		if name != "npm" {
			m, err = pkgmgr.FindNode(b.Context(), name, npm.Node())
		}
		if err != nil {
			b.Log(err)
			continue
		}
		rivals = append(rivals, &rival{NodeManager: m})
	}
	var tarballs []pkgmgr.Tarball
	for _, key := range v.FilesFor(host.Name) {
		f := v.Files[key]
		blob, err := a.store.Blob(b.Context(), store.Digest{SHA256: f.SHA256, Size: f.Size})
		if err != nil {
			b.Fatal(err)
		}
		files, err := install.Unpack(b.Context(), blob, "", v, key, host.Name)
		if err != nil {
			b.Fatal(err)
		}
		blob.Close()
		tarballs = append(tarballs, pkgmgr.Tarball{Path: key, Name: f.Name, Version: f.Version, File: blob.Name(), Integrity: f.Integrity, Files: files})
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
			start := time.Now()
			if err := r.Install(b.Context(), out, tarballs); err != nil {
				b.Fatal(err)
			}
			r.alone.times = append(r.alone.times, time.Since(start))
		}
	}
	for _, r := range rivals {
		b.ReportMetric(ratio(r.fetch, r.alone), "get/"+r.Name)
		b.ReportMetric(r.fetch.median().Seconds(), "by-"+r.Name+"-s")
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
	dir := b.TempDir()
	fetch := build(b, dir, "fetch", ".")
	lockPath := repositoryLock(b)
	l, _, err := lock.Read(lockPath)
	if err != nil {
		b.Fatal(err)
	}
	_, _, v, err := l.Find("protoc")
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
	get := []string{fetch, "get", "protoc", "--lock", lockPath, "--wheel-manager"}
	measure(b, append(slices.Clone(get), "none"))
	a := &app{}
	if err := a.open(); err != nil {
		b.Fatal(err)
	}
	times := map[string]*sample{}
	for _, name := range install.WheelManagers {
		if name != "none" {
			if _, err := pkgmgr.FindWheelManager(b.Context(), name); err != nil {
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
	times []time.Duration
	peaks []int64
}

type cost struct {
	time time.Duration
	peak int64 // bytes
}

func (s *sample) add(u cost) {
	s.times = append(s.times, u.time)
	s.peaks = append(s.peaks, u.peak)
}

func (s *sample) median() time.Duration {
	slices.Sort(s.times)
	return s.times[len(s.times)/2]
}

func (s *sample) memory() int64 { return slices.Max(s.peaks) }

func ratio(a, b sample) float64 { return float64(a.median()) / float64(b.median()) }

// measure runs a command to its end and returns its time and peak memory.
func measure(b *testing.B, command []string) cost {
	b.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_NODE_MANAGER=")
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%v: %v", command, err)
	}
	return cost{time.Since(start), peakMemory(cmd.ProcessState)}
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
