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
			pkg := fmt.Sprintf("@scope%d/package-%d", i, j)
			if j == 0 {
				pkg = name
			}
			v.Files["node_modules/"+pkg] = lock.File{Name: pkg, Version: fmt.Sprintf("1.%d.%d", i, j), SHA256: hash(pkg), Size: int64(1000 + j),
				Integrity: "sha512-" + base64.StdEncoding.EncodeToString([]byte(hash(pkg)))}
			left--
		}
		l.Plugins[name] = map[string]*lock.Version{"1.0.0": v}
		fmt.Fprintf(&b, "%s = { version = \"1.0.0\", source = \"npm:%s\", binary = \"protoc-gen-%s\" }\n", name, name, name)
	}
	return b.String(), string(lock.Print(l))
}

// BenchmarkCheck compares, in turn, in one run: lockgen check of a lock with
// 10,000 artifacts, and a bare decode of the same file, of which it may take
// 1.5 times the time.
//
//	go test -run '^$' -bench Check -benchtime 20x ./lockgen
func BenchmarkCheck(b *testing.B) {
	manifest, locked := manyArtifacts(10000)
	p := newPlace(b)
	p.write("plugins.toml", manifest)
	p.write("plugins.lock.toml", locked)
	p.ok("check")
	b.SetBytes(int64(len(locked)))
	var check, decode []time.Duration
	for b.Loop() {
		start := time.Now()
		p.ok("check")
		check = append(check, time.Since(start))
		start = time.Now()
		var tree map[string]any
		if _, err := toml.Decode(p.read("plugins.lock.toml"), &tree); err != nil {
			b.Fatal(err)
		}
		decode = append(decode, time.Since(start))
	}
	b.ReportMetric(median(check).Seconds()/median(decode).Seconds(), "check/decode")
	b.ReportMetric(float64(median(check).Milliseconds()), "check-ms")
	b.ReportMetric(float64(median(decode).Milliseconds()), "decode-ms")
}

// BenchmarkCold compares, in turn, in one run: a process of lockgen update with
// nothing in its cache, and a plain download of the same bytes, as many at once,
// from a server of 400 Mbit/s on this machine. An update may take 1.3 times the
// time, and 128 MiB of memory.
//
//	go test -run '^$' -bench Cold -benchtime 3x ./lockgen
func BenchmarkCold(b *testing.B) {
	const files, size, rate, atOnce = 24, 8 << 20, 50 << 20, 8
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
	dir := b.TempDir()
	lockgen := filepath.Join(dir, "lockgen")
	if out, err := exec.Command("go", "build", "-o", lockgen, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	manifest := "platforms = [\"linux-x86_64\"]\n[plugins]\n"
	for i := range files {
		manifest += fmt.Sprintf("p%d = { version = \"1.0.0\", source = \"%s/%d.tar.gz\", binary = \"bin/tool\" }\n", i, server.URL, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugins.toml"), []byte(manifest), 0o644); err != nil {
		b.Fatal(err)
	}
	var update, plain []time.Duration
	var memory int64
	for b.Loop() {
		cmd := exec.Command(lockgen, "update", "-q")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+b.TempDir())
		os.Remove(filepath.Join(dir, "plugins.lock.toml"))
		start := time.Now()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		stop := make(chan struct{})
		peak := watchMemory(cmd.Process.Pid, stop)
		err := cmd.Wait()
		update = append(update, time.Since(start))
		close(stop)
		if memory = max(memory, <-peak); err != nil {
			b.Fatalf("%v\n%s", err, out.String())
		}

		into := b.TempDir()
		start = time.Now()
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i := range files {
			g.Go(func() error {
				resp, err := http.Get(fmt.Sprintf("%s/%d.tar.gz", server.URL, i))
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				f, err := os.Create(filepath.Join(into, strconv.Itoa(i)))
				if err != nil {
					return err
				}
				_, err = io.Copy(f, resp.Body)
				return errors.Join(err, f.Close())
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		plain = append(plain, time.Since(start))
	}
	b.ReportMetric(median(update).Seconds()/median(plain).Seconds(), "update/download")
	b.ReportMetric(median(update).Seconds(), "update-s")
	b.ReportMetric(median(plain).Seconds(), "download-s")
	if memory > 0 {
		b.ReportMetric(float64(memory)/(1<<10), "MiB-peak")
	}
}

// watchMemory sends the largest resident size of a process in KiB, until stop,
// where /proc tells it. That of wait4 is at least what this process has itself.
func watchMemory(pid int, stop chan struct{}) chan int64 {
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
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return peak
}

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
