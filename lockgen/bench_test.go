package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// manyArtifacts is a manifest and its lock with a number of artifacts, fifty to
// a plugin, as closures of npm are.
func manyArtifacts(n int) (manifest, locked string) {
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	l := &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{}}
	cells := func(binary string) map[string]lock.Cell {
		m := map[string]lock.Cell{}
		for _, p := range lock.Platforms {
			m[p.Name] = lock.Cell{Binary: binary, Tree: hash(binary + p.Name)}
		}
		m["windows-aarch64"] = lock.Cell{Emulate: "windows-x86_64"}
		return m
	}
	var b strings.Builder
	b.WriteString("platforms = [\"linux-x86_64\", \"linux-aarch64\", \"macos-x86_64\", \"macos-aarch64\", \"windows-x86_64\"]\n[plugins]\n")
	b.WriteString("node = { version = \"24.19.0\", source = \"https://example.com/{os}-{arch}\", binary = \"node\" }\n")
	node := &lock.Version{Source: lock.HTTP, Trust: "first-use", Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{}}
	for _, p := range lock.Platforms {
		name := p.OS + "-" + p.Arch
		node.Files[name] = lock.File{URL: "https://example.com/" + name, SHA256: hash(name), Size: 1, Platforms: []string{p.Name}}
		node.Platforms[p.Name] = lock.Cell{Binary: "node" + p.Exe(), Tree: hash("node" + name)}
	}
	delete(node.Files, "windows-aarch64")
	node.Platforms["windows-aarch64"] = lock.Cell{Emulate: "windows-x86_64"}
	l.Plugins["node"] = map[string]*lock.Version{"24.19.0": node}
	left := n - len(node.Files)
	for i := 0; left > 0; i++ {
		name := fmt.Sprintf("plugin-%d", i)
		binary := "node_modules/" + name + "/protoc-gen-" + name
		v := &lock.Version{Source: lock.NPM, Package: name, Runtime: "node@24.19.0", Trust: "registry", Files: map[string]lock.File{}, Platforms: cells(binary)}
		for j := range min(50, left) {
			pkg, version := fmt.Sprintf("@scope%d/package-%d", i, j), fmt.Sprintf("1.%d.%d", i, j)
			if j == 0 {
				pkg, version = name, "1.0.0"
			}
			v.Files["node_modules/"+pkg] = lock.File{Name: pkg, Version: version, SHA256: hash(pkg), Size: int64(1000 + j),
				Integrity: "sha512-" + base64.StdEncoding.EncodeToString([]byte(hash(pkg)))}
			left--
		}
		l.Plugins[name] = map[string]*lock.Version{"1.0.0": v}
		fmt.Fprintf(&b, "%s = { version = \"1.0.0\", source = \"npm:%s\", binary = \"protoc-gen-%s\" }\n", name, name, name)
	}
	return b.String(), string(lock.Print(l))
}

// BenchmarkCheck compares, in turn, in one run: lockgen check of a lock with
// 10 to 10,000 artifacts, lockgen update of it with nothing to do, and a bare decode
// of the same file, of which a check of the largest may take 1.5 times the time.
//
//	go test -run '^$' -bench Check -benchtime 20x ./lockgen
func BenchmarkCheck(b *testing.B) {
	for _, artifacts := range []int{10, 100, 1000, 10000} {
		b.Run(strconv.Itoa(artifacts), func(b *testing.B) {
			manifest, locked := manyArtifacts(artifacts)
			p := newPlace(b)
			p.write("plugins.toml", manifest)
			p.write("plugins.lock.toml", locked)
			p.ok("check")
			b.SetBytes(int64(len(locked)))
			var check, update, decode []time.Duration
			for b.Loop() {
				start := time.Now()
				p.ok("check")
				check = append(check, time.Since(start))
				start = time.Now()
				p.ok("update")
				update = append(update, time.Since(start))
				start = time.Now()
				var tree map[string]any
				if _, err := toml.Decode(p.read("plugins.lock.toml"), &tree); err != nil {
					b.Fatal(err)
				}
				decode = append(decode, time.Since(start))
			}
			if p.read("plugins.lock.toml") != locked {
				b.Fatal("the lock was not what update makes")
			}
			b.ReportMetric(median(check).Seconds()/median(decode).Seconds(), "check/decode")
			b.ReportMetric(median(check).Seconds()*1e3, "check-ms")
			b.ReportMetric(median(update).Seconds()*1e3, "update-ms")
			b.ReportMetric(median(decode).Seconds()*1e3, "decode-ms")
		})
	}
}

// BenchmarkCold compares, in turn, in one run: a process of lockgen update with
// nothing in its cache, and a plain download of the same bytes, as many at once,
// from a server of 400 Mbit/s on this machine. An update may take 1.3 times the
// time, and 128 MiB of memory.
//
//	go test -run '^$' -bench Cold -benchtime 3x ./lockgen
func BenchmarkCold(b *testing.B) {
	const files, size, rate = 24, 8 << 20, 50 << 20
	// What cannot be compressed, as most of what plugins are made of is not.
	program := make([]byte, size)
	for i := range program {
		program[i] = byte(rand.Uint32())
	}
	archives := map[string][]byte{}
	for i := range files {
		path := fmt.Sprintf("/%d.tar.gz", i)
		archives[path] = fake.Tarball("", map[string]string{"bin/tool": linuxX64 + path + string(program)}, "bin/tool")
	}
	var pipe sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		archive := archives[r.URL.Path]
		w.Header().Set("Content-Length", strconv.Itoa(len(archive)))
		if r.Method == http.MethodHead { // it asks whether the file is there, and no byte of it goes over the line
			return
		}
		for len(archive) > 0 {
			n := min(len(archive), 256<<10)
			pipe.Lock() // all share one line
			time.Sleep(time.Duration(n) * time.Second / rate)
			pipe.Unlock()
			if _, err := w.Write(archive[:n]); err != nil {
				return
			}
			archive = archive[n:]
		}
	}))
	b.Cleanup(server.Close)
	manifest := "platforms = [\"linux-x86_64\"]\n[plugins]\n"
	var locked []remoteFile
	for i := range files {
		address := fmt.Sprintf("%s/%d.tar.gz", server.URL, i)
		manifest += fmt.Sprintf("p%d = { version = \"1.0.0\", source = \"%s\", binary = \"bin/tool\" }\n", i, address)
		locked = append(locked, remoteFile{address, int64(len(archives[fmt.Sprintf("/%d.tar.gz", i)]))})
	}
	coldUpdate(b, buildProgram(b, "."), manifest, os.Environ(), http.DefaultClient, func(string) []remoteFile { return locked })
}

// BenchmarkMemory reports the largest resident size of a process of each command, in
// MiB, that of `version` among them. What a command starts, such as npm, is not counted.
// Commands that download do so from the registries of this machine's clients.
//
//	go test -run '^$' -bench Memory -benchtime 3x ./lockgen
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("needs /proc")
	}
	lockgen, fetch := buildProgram(b, "."), buildProgram(b, "../fetch")
	manifest, locked := manyArtifacts(10000)
	few, many := own(b), newPlace(b)
	many.write("plugins.toml", manifest)
	many.write("plugins.lock.toml", locked)
	most := map[string]int64{}
	run := func(metric, dir, cache string, command ...string) {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir, cmd.Env = dir, os.Environ()
		if cache != "" {
			cmd.Env = append(cmd.Env, "BUCK2_PROTOBUF_CACHE_DIR="+cache)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		stop := make(chan struct{})
		peak := watchMemory(cmd.Process.Pid, 200*time.Microsecond, stop)
		err := cmd.Wait()
		close(stop)
		if err != nil {
			b.Fatalf("%v: %v\n%s", command, err, errs.String())
		}
		most[metric] = max(most[metric], <-peak)
	}
	for b.Loop() {
		run("lockgen-version-MiB", few.dir, "", lockgen, "version")
		run("fetch-version-MiB", few.dir, "", fetch, "version")
		run("check-MiB", few.dir, "", lockgen, "check")
		run("check-many-MiB", many.dir, "", lockgen, "check")
		run("update-many-MiB", many.dir, "", lockgen, "update")
		run("list-MiB", few.dir, "", lockgen, "list")
		run("sbom-MiB", few.dir, "", lockgen, "sbom")
		run("report-MiB", few.dir, "", lockgen, "report", "--html", "report.html", "--offline")
		cache := b.TempDir()
		run("get-cold-MiB", few.dir, cache, fetch, "get", "node")
		run("get-warm-MiB", few.dir, cache, fetch, "get", "node")
		run("verify-MiB", few.dir, cache, fetch, "cache", "verify")
		run("mirror-MiB", few.dir, cache, lockgen, "mirror", "node", "--platform", "linux-x86_64", "--to", "oci-layout:"+filepath.Join(cache, "layout"))
		if err := os.RemoveAll(cache); err != nil {
			b.Fatal(err)
		}
	}
	for metric, kib := range most {
		if kib == 0 {
			b.Fatalf("%s: its process ended before it was measured", metric)
		}
		b.ReportMetric(float64(kib)/(1<<10), metric)
	}
}

// buildProgram builds the program of a package and returns its path.
func buildProgram(b *testing.B, pkg string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return program
}

// coldUpdate compares, in turn, a process of lockgen update that has nothing in
// its cache with a plain download, by client, of the files of the lock that it
// writes, eight at once as lockgen does. Locked finds those in that lock.
func coldUpdate(b *testing.B, lockgen, manifest string, env []string, client *http.Client, locked func(lockfile string) []remoteFile) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plugins.toml"), []byte(manifest), 0o644); err != nil {
		b.Fatal(err)
	}
	var update, plain []time.Duration
	var processor time.Duration
	var memory, size int64
	var files []remoteFile
	for b.Loop() {
		cache := b.TempDir()
		cmd := exec.Command(lockgen, "update", "-q")
		cmd.Dir, cmd.Env = dir, append(slices.Clone(env), "BUCK2_PROTOBUF_CACHE_DIR="+cache)
		os.Remove(filepath.Join(dir, "plugins.lock.toml"))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		start := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		stop := make(chan struct{})
		peak := watchMemory(cmd.Process.Pid, 5*time.Millisecond, stop)
		err := cmd.Wait()
		update = append(update, time.Since(start))
		close(stop)
		memory = max(memory, <-peak)
		if err != nil {
			b.Fatalf("%v\n%s", err, out.String())
		}
		processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if err := os.RemoveAll(cache); err != nil {
			b.Fatal(err)
		}
		if files == nil {
			files = locked(filepath.Join(dir, "plugins.lock.toml"))
			for _, f := range files {
				size += f.size
			}
		}
		into := b.TempDir()
		start = time.Now()
		var g errgroup.Group
		g.SetLimit(8)
		for i, f := range files {
			g.Go(func() error { return f.download(client, filepath.Join(into, strconv.Itoa(i))) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		plain = append(plain, time.Since(start))
		if err := os.RemoveAll(into); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(median(update).Seconds()/median(plain).Seconds(), "update/download")
	b.ReportMetric(median(update).Seconds(), "update-s")
	b.ReportMetric(median(plain).Seconds(), "download-s")
	b.ReportMetric(processor.Seconds(), "processor-s")
	b.ReportMetric(float64(size)/(1<<20), "MiB")
	b.ReportMetric(float64(len(files)), "files")
	if memory > 0 {
		b.ReportMetric(float64(memory)/(1<<10), "MiB-peak")
	}
}

// A remoteFile is a locked file and where it comes from.
type remoteFile struct {
	url  string
	size int64
}

func (f remoteFile) download(client *http.Client, name string) error {
	resp, err := client.Get(f.url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, resp.Body)
	if err = errors.Join(err, out.Close()); err == nil && (resp.StatusCode != http.StatusOK || n != f.size) {
		err = fmt.Errorf("%s: %s, %d bytes instead of %d", f.url, resp.Status, n, f.size)
	}
	return err
}

// watchMemory sends the largest resident size of a process in KiB, until stop,
// where /proc tells it. That of wait4 is at least what this process has itself.
func watchMemory(pid int, every time.Duration, stop chan struct{}) chan int64 {
	peak := make(chan int64, 1)
	go func() {
		var most int64
		for {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, rest, ok := strings.Cut(string(text), "VmHWM:"); ok {
				var kib int64
				if _, err := fmt.Sscan(rest, &kib); err == nil {
					most = max(most, kib)
				}
			}
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(every):
			}
		}
	}()
	return peak
}

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
