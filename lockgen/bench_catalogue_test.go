package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
)

// BenchmarkColdCatalogue compares, in turn, in one run: a process of lockgen
// update with nothing in its cache, and a plain download of the files that it
// locks, as many at once. It asks for the plugins of this repository, on all six
// platforms, of the registries of the clients of this machine: all of them
// (whole), and without those that have to be compiled (ready). It is run by hand:
//
//	BUCK2_PROTOBUF_BENCH_CATALOGUE=1 go test -run '^$' -bench ColdCatalogue -benchtime 1x -timeout 2h ./lockgen
//
// With BUCK2_PROTOBUF_BENCH_MBIT both go through a line of as many Mbit/s.
func BenchmarkColdCatalogue(b *testing.B) {
	if os.Getenv("BUCK2_PROTOBUF_BENCH_CATALOGUE") == "" {
		b.Skip("BUCK2_PROTOBUF_BENCH_CATALOGUE is not set: it downloads a gigabyte from real registries, each time")
	}
	plugins, err := os.ReadFile("../plugins.toml")
	if err != nil {
		b.Fatal(err)
	}
	l, _, err := lock.Read("../plugins.lock.toml")
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, p := range lock.Platforms {
		names = append(names, strconv.Quote(p.Name))
	}
	whole := slices.Collect(strings.Lines(string(plugins)))
	i := slices.IndexFunc(whole, func(line string) bool { return strings.HasPrefix(line, "platforms = ") })
	whole[i] = "platforms = [" + strings.Join(names, ", ") + "]\n"
	ready := []byte(strings.Join(whole, ""))
	for name, versions := range l.Plugins {
		for _, v := range versions {
			if v.Source == lock.Go || v.Source == lock.Cargo {
				if ready, _, err = edit.RemoveVersion("plugins.toml", ready, name, ""); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	env := os.Environ()
	client := &http.Client{}
	if speed := os.Getenv("BUCK2_PROTOBUF_BENCH_MBIT"); speed != "" {
		mbit, err := strconv.Atoi(speed)
		if err != nil {
			b.Fatal(err)
		}
		line := pacedLine(b, mbit)
		env = append(env, "HTTPS_PROXY="+line, "https_proxy="+line)
		through, _ := url.Parse(line)
		client.Transport = &http.Transport{Proxy: http.ProxyURL(through)}
	}
	lockgen := buildProgram(b, ".")
	files := func(lockfile string) []remoteFile { return catalogueFiles(b, lockfile) }
	b.Run("ready", func(b *testing.B) { coldUpdate(b, lockgen, string(ready), env, client, files) })
	b.Run("whole", func(b *testing.B) { coldUpdate(b, lockgen, strings.Join(whole, ""), env, client, files) })
}

// catalogueFiles finds the addresses of the files of a lock, each once. Of Go
// modules those are left out of which only the go.mod is locked.
func catalogueFiles(b *testing.B, name string) []remoteFile {
	ctx := context.Background()
	l, _, err := lock.Read(name)
	if err != nil {
		b.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
	}
	documents := remote.New(remote.Options{})
	npm, err := npm.ReadConfig(ctx, ".", npm.User, npm.Find)
	must(err)
	pip, err := pip.Find(ctx)
	must(err)
	config, err := pip.Config(ctx, ".", "")
	must(err)
	var proxy, crates string
	sizes := map[string]int64{}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for key, f := range v.Files {
				address := f.URL
				switch v.Source {
				case lock.NPM:
					registry, err := npm.RegistryOf(ctx, f.Name, "")
					must(err)
					address = remote.NPMTarball(registry, f.Name, f.Version)
				case lock.Pip:
					project, _, _ := strings.Cut(key, "-")
					address, err = documents.PyPIFile(ctx, config.Index, project, key)
					must(err)
				case lock.Cargo:
					if crates == "" {
						cargo, err := cargo.Find(ctx)
						must(err)
						gives, err := (&origin.Origins{Dir: "."}).CrateDownloads(ctx, cargo, "", f.Name, f.Version)
						must(err)
						crates = gives.Template
					}
					address = cargo.URL(crates, cargo.Crate{Name: f.Name, Version: f.Version, SHA256: f.SHA256})
				case lock.Go:
					if strings.HasSuffix(key, ".mod") {
						continue
					}
					if proxy == "" {
						tool, err := gotool.Find(ctx)
						must(err)
						config, err := tool.Config(ctx, "")
						must(err)
						proxy, _, _ = strings.Cut(strings.ReplaceAll(config.Proxy, "|", ","), ",")
					}
					path, err := module.EscapePath(f.Name)
					must(err)
					version, err := module.EscapeVersion("v" + f.Version)
					must(err)
					address = proxy + "/" + path + "/@v/" + version + ".zip"
				}
				sizes[address] = f.Size
			}
		}
	}
	var files []remoteFile
	for address, size := range sizes {
		files = append(files, remoteFile{address, size})
	}
	// The largest first: the best that a plain download can do.
	slices.SortFunc(files, func(a, b remoteFile) int { return int(b.size - a.size) })
	return files
}

// pacedLine is an HTTP proxy for connections, all of which share one line. It
// returns its address.
func pacedLine(b *testing.B, mbit int) string {
	var pipe sync.Mutex
	free := time.Now() // when the line has carried what it has
	carry := func(to io.Writer, from io.Reader) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			pipe.Lock()
			if past := time.Now().Add(-100 * time.Millisecond); free.Before(past) {
				free = past // it was idle, not just slow to wake up
			}
			free = free.Add(time.Duration(n) * 8 * time.Second / time.Duration(mbit*1_000_000))
			wait := time.Until(free)
			pipe.Unlock()
			time.Sleep(wait)
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		here, rest, err := w.(http.Hijacker).Hijack()
		if err != nil {
			there.Close()
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(there, rest) // requests are small
			_ = there.(*net.TCPConn).CloseWrite()
		}()
		carry(here, there)
		here.Close()
		there.Close()
	}))
	b.Cleanup(server.Close)
	return server.URL
}
