package oci_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// artifact is 100 MB that nobody can compress.
func artifact() []byte {
	body := make([]byte, 100<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(body)
	return body
}

// add downloads into an empty store: hashed while it is read, flushed, renamed.
func add(b *testing.B, body []byte, get func(ctx context.Context, in *store.Ingest) error) time.Duration {
	b.Helper()
	sum := sha256.Sum256(body)
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := s.AddBlob(b.Context(), store.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body))}, get); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	os.RemoveAll(dir)
	return took
}

// other runs another program that downloads into a folder.
func other(b *testing.B, name string, args ...string) time.Duration {
	b.Helper()
	dir, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Dir = dir
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
	took := time.Since(start)
	os.RemoveAll(dir)
	return took
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkHTTP compares, in turn, in one run: a download of 100 MB into the
// store, hashed, and curl, which hashes nothing; and sha256sum of the file, which a
// script would run after curl.
//
//	go test -run '^$' -bench HTTP -benchtime 10x ./internal/remote/oci
func BenchmarkHTTP(b *testing.B) {
	curl := testenv.Program(b, "curl")
	body := artifact()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "artifact", time.Time{}, bytes.NewReader(body))
	}))
	defer s.Close()
	file := filepath.Join(b.TempDir(), "artifact")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		b.Fatal(err)
	}
	sha256sum, err := testenv.Find("sha256sum", "--version")
	if err != nil {
		b.Log(err)
	}
	c := remote.New(remote.Options{})
	var ours, theirs, sums []time.Duration
	for b.Loop() {
		ours = append(ours, add(b, body, func(ctx context.Context, in *store.Ingest) error {
			return c.Download(ctx, s.URL+"/artifact", in, remote.DownloadOptions{Size: int64(len(body))})
		}))
		theirs = append(theirs, other(b, curl, "-sSfo", "artifact", s.URL+"/artifact"))
		if sha256sum != "" {
			sums = append(sums, other(b, sha256sum, file))
		}
	}
	start := time.Now()
	sha256.Sum256(body)
	b.ReportMetric(time.Since(start).Seconds(), "sha256-alone-s")
	b.ReportMetric(median(ours).Seconds(), "ours-s")
	b.ReportMetric(median(theirs).Seconds(), "curl-s")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ours/curl")
	if sums != nil {
		b.ReportMetric(median(sums).Seconds(), "sha256sum-s")
		b.ReportMetric((median(theirs) + median(sums)).Seconds(), "curl-sha256sum-s")
	}
}

// BenchmarkPull compares, in turn, in one run: a blob of 100 MB from a registry
// into the store, oras pull of the artifact that it is the only layer of, and
// curl of that blob, which hashes nothing: the floor.
//
// There are two registries, both processes of their own. Debian's docker-registry
// copies what it sends; the other one is this test program, which leaves that to
// the kernel, so that the time is the client's. Server-cpu-s is the processor
// time of the server for one pull by us: with few processors it is in our way.
//
//	apt-get install docker-registry; go install oras.land/oras/cmd/oras@v1.3.0
//	go test -run '^$' -bench Pull -benchtime 10x ./internal/remote/oci
func BenchmarkPull(b *testing.B) {
	oras := testenv.Program(b, "oras", "version")
	curl := testenv.Program(b, "curl")
	body := artifact()
	for _, r := range []struct {
		name  string
		start func(b *testing.B, oras string, body []byte) server
	}{{"docker-registry", dockerRegistry}, {"static", staticRegistry}} {
		b.Run(r.name, func(b *testing.B) {
			s := r.start(b, oras, body)
			sum := sha256.Sum256(body)
			digest := hex.EncodeToString(sum[:])
			var ours, theirs, floor []time.Duration
			var cpu time.Duration
			for b.Loop() {
				place, err := oci.New(remote.New(remote.Options{}), filepath.Join(b.TempDir(), "config.json")).Repository(s.host, "acme/artifact")
				if err != nil {
					b.Fatal(err)
				}
				before := s.processors()
				ours = append(ours, add(b, body, func(ctx context.Context, in *store.Ingest) error {
					return place.Download(ctx, digest, int64(len(body)), in)
				}))
				cpu += s.processors() - before
				theirs = append(theirs, other(b, oras, "pull", "--plain-http", s.host+"/acme/artifact:v1"))
				floor = append(floor, other(b, curl, "-sSfo", "artifact", "http://"+s.host+"/v2/acme/artifact/blobs/sha256:"+digest))
			}
			start := time.Now()
			sha256.Sum256(body)
			b.ReportMetric(time.Since(start).Seconds(), "sha256-alone-s")
			b.ReportMetric(median(ours).Seconds(), "ours-s")
			b.ReportMetric(median(theirs).Seconds(), "oras-s")
			b.ReportMetric(median(floor).Seconds(), "curl-s")
			b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ours/oras")
			b.ReportMetric(cpu.Seconds()/float64(len(ours)), "server-cpu-s")
		})
	}
}

// A server is a registry that runs until the benchmark ends, with the artifact
// acme/artifact:v1.
type server struct {
	host string // HOST:PORT
	pid  int
}

// processors is the processor time that the server had so far, 0 where the
// system does not say it as Linux does: proc_pid_stat(5), in ticks of 10 ms.
func (s server) processors() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// serve starts a registry that listens at the address it is given, and waits
// for it.
func serve(b *testing.B, command func(address string) *exec.Cmd) server {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	host := free.Addr().String()
	free.Close()
	cmd := command(host)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			return server{host, cmd.Process.Pid}
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("%s does not start", cmd)
	return server{}
}

// dockerRegistry is Debian's, to which oras pushes the artifact.
func dockerRegistry(b *testing.B, oras string, body []byte) server {
	program := testenv.Program(b, "docker-registry")
	dir := b.TempDir()
	s := serve(b, func(address string) *exec.Cmd {
		config := filepath.Join(dir, "config.yml")
		text := fmt.Sprintf(`{"version": "0.1", "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": %q}}, "http": {"addr": %q}}`, filepath.Join(dir, "data"), address)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return exec.Command(program, "serve", config)
	})
	if err := os.WriteFile(filepath.Join(dir, "artifact"), body, 0o600); err != nil {
		b.Fatal(err)
	}
	push := exec.CommandContext(b.Context(), oras, "push", "--plain-http", s.host+"/acme/artifact:v1", "artifact")
	push.Dir = dir
	if out, err := push.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return s
}

// staticAddress makes this test program a registry of the files in the working
// directory, at the address that it holds.
const staticAddress = "BUCK2_PROTOBUF_TEST_REGISTRY"

func TestMain(m *testing.M) {
	if address := os.Getenv(staticAddress); address != "" {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(address, http.HandlerFunc(serveStatic)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// staticRegistry is this test program, started again.
func staticRegistry(b *testing.B, _ string, body []byte) server {
	dir := b.TempDir()
	layer, empty := oci.Describe("application/octet-stream", body), oci.Empty
	manifest := fmt.Appendf(nil, `{"schemaVersion": 2, "mediaType": %q, "artifactType": "application/vnd.acme.artifact",
		"config": {"mediaType": %q, "digest": "sha256:%s", "size": %d},
		"layers": [{"mediaType": %q, "digest": "sha256:%s", "size": %d, "annotations": {"org.opencontainers.image.title": "artifact"}}]}`,
		oci.ManifestType, empty.MediaType, empty.SHA256, empty.Size, layer.MediaType, layer.SHA256, layer.Size)
	for name, content := range map[string][]byte{
		"v1": manifest, "sha256:" + oci.Describe(oci.ManifestType, manifest).SHA256: manifest,
		"sha256:" + layer.SHA256: body, "sha256:" + empty.SHA256: []byte("{}"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return serve(b, func(address string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Dir, cmd.Env = dir, append(os.Environ(), staticAddress+"="+address)
		return cmd
	})
}

// serveStatic answers as the distribution specification says: /v2/, manifests
// by tag and digest, and blobs, which http.ServeContent hands to sendfile.
func serveStatic(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		return
	}
	name := path.Base(r.URL.Path)
	f, err := os.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if path.Base(path.Dir(r.URL.Path)) == "manifests" {
		w.Header().Set("Content-Type", oci.ManifestType)
		text, err := os.ReadFile(name)
		if err != nil {
			http.Error(w, "unreadable", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Docker-Content-Digest", "sha256:"+oci.Describe(oci.ManifestType, text).SHA256)
	}
	http.ServeContent(w, r, "", time.Time{}, f)
}
