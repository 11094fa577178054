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
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
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
// store, hashed, and curl, which hashes nothing.
//
//	go test -run '^$' -bench HTTP -benchtime 10x ./internal/remote/oci
func BenchmarkHTTP(b *testing.B) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		b.Skip("skipped: no curl on PATH")
	}
	body := artifact()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "artifact", time.Time{}, bytes.NewReader(body))
	}))
	defer s.Close()
	c := remote.New(remote.Options{})
	var ours, theirs []time.Duration
	for b.Loop() {
		ours = append(ours, add(b, body, func(ctx context.Context, in *store.Ingest) error {
			return c.Download(ctx, s.URL+"/artifact", in, remote.DownloadOptions{Size: int64(len(body))})
		}))
		theirs = append(theirs, other(b, curl, "-sSfo", "artifact", s.URL+"/artifact"))
	}
	start := time.Now()
	sha256.Sum256(body)
	b.ReportMetric(time.Since(start).Seconds(), "sha256-alone-s")
	b.ReportMetric(median(ours).Seconds(), "ours-s")
	b.ReportMetric(median(theirs).Seconds(), "curl-s")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ours/curl")
}

// BenchmarkPull compares, in turn, in one run: a blob of 100 MB from a registry
// into the store, and oras pull of the artifact that it is the only layer of.
//
// The registry is Debian's docker-registry: one in this process would spend our
// time, and that of go-containerregistry hashes what it sends.
//
//	apt-get install docker-registry; go install oras.land/oras/cmd/oras@v1.3.0
//	go test -run '^$' -bench Pull -benchtime 10x ./internal/remote/oci
func BenchmarkPull(b *testing.B) {
	oras, err := exec.LookPath("oras")
	if err != nil {
		b.Skip("skipped: no oras on PATH")
	}
	body := artifact()
	host := realRegistry(b)
	file := filepath.Join(b.TempDir(), "artifact")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		b.Fatal(err)
	}
	push := exec.CommandContext(b.Context(), oras, "push", "--plain-http", host+"/acme/artifact:v1", "artifact")
	push.Dir = filepath.Dir(file)
	if out, err := push.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		place, err := oci.New(remote.New(remote.Options{}), filepath.Join(b.TempDir(), "config.json")).Repository(host, "acme/artifact")
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256(body)
		ours = append(ours, add(b, body, func(ctx context.Context, in *store.Ingest) error {
			return place.Download(ctx, hex.EncodeToString(sum[:]), int64(len(body)), in)
		}))
		theirs = append(theirs, other(b, oras, "pull", "--plain-http", host+"/acme/artifact:v1"))
	}
	b.ReportMetric(median(ours).Seconds(), "ours-s")
	b.ReportMetric(median(theirs).Seconds(), "oras-s")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ours/oras")
}

// realRegistry runs docker-registry until the benchmark ends and returns its
// HOST:PORT.
func realRegistry(b *testing.B) string {
	b.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		b.Skip("skipped: no docker-registry on PATH")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	host := free.Addr().String()
	free.Close()
	dir := b.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(`{"version": "0.1", "log": {"level": "error"}, "storage": {"filesystem": {"rootdirectory": %q}}, "http": {"addr": %q}}`, filepath.Join(dir, "data"), host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
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
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatal("docker-registry does not start")
	return ""
}
