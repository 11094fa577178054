package gotool

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestFlippedModule: Go takes a module of which one bit of the zip is another one only
// if its files are those that the checksum database knows. That is the first step of
// [Client.Resolve], and all that follows reads the folder. A damaged zip may look to Go
// like one that was cut.
func TestFlippedModule(t *testing.T) {
	t.Parallel()
	g := realGo(t)
	first := goProxy(t)
	zip := plugZip(t, first)
	download := func(c Config, scratch string) (m *Module, files string, err error) {
		cache := filepath.Join(scratch, "mod")
		if m, err = g.modDownload(t.Context(), c, scratch, cache, plug.Module, plug.Version); err != nil {
			return nil, "", err
		}
		files, err = dirhash.HashDir(filepath.Join(cache, "example.com", "!plug", "v2@v2.1.0"), "", dirhash.Hash1)
		return m, files, err
	}
	want, files, err := download(goOf(first, first.SumDB()), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const workers = 4 // each with a proxy of its own: Go waits a while before it asks again
	n := min(8*len(zip), testenv.Count(6, 4096))
	var held atomic.Int64
	var all sync.WaitGroup
	for worker := range workers {
		s := goProxy(t)
		c := goOf(s, s.SumDB())
		base := t.TempDir()
		all.Go(func() {
			for i := worker; i < n; i += workers {
				bit := i * 8 * len(zip) / n
				bad := bytes.Clone(zip)
				bad[bit/8] ^= 1 << (bit % 8)
				s.Fault(plugZipPath, fake.Map(func([]byte) []byte { return bad }))
				scratch, err := os.MkdirTemp(base, "flip-")
				if err != nil {
					t.Error(err)
					return
				}
				m, got, err := download(c, scratch)
				switch {
				case err == nil && (m.Sum != want.Sum || m.ModSum != want.ModSum || got != files):
					t.Errorf("bit %d of byte %d: taken as %+v, with the files %s", bit%8, bit/8, m, got)
				case err != nil && fault.Of(err) != fault.Integrity && (fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), "EOF")):
					t.Errorf("bit %d of byte %d: class %v: %v", bit%8, bit/8, fault.Of(err), err)
				case err != nil && !strings.Contains(err.Error(), "/v2.1.0.zip"):
					t.Errorf("bit %d of byte %d: the address is not named: %v", bit%8, bit/8, err)
				default:
					held.Add(1)
				}
				if err := os.RemoveAll(scratch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	testenv.Held(t, "one bit of the zip of a module flipped, as Go downloads it at lock time: exit 5, or cut, or the hashes of the checksum database", "go", n, int(held.Load()))
}

const plugZipPath = "/go/example.com/!plug/v2/@v/v2.1.0.zip"

// plugZip asks a proxy for the zip of the program.
func plugZip(t *testing.T, s *fake.Server) []byte {
	t.Helper()
	answer, err := http.Get(s.URL + plugZipPath)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	return body
}
