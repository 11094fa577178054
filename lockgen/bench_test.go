package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

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

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
