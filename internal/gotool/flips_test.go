package gotool

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestFlippedModule: Go takes a module of which one bit of the zip is another one only
// if its files are those that the checksum database knows, and no package is read
// before. A damaged zip may look to Go like one that was cut.
func TestFlippedModule(t *testing.T) {
	t.Parallel()
	g := realGo(t)
	s := goProxy(t)
	c, on := goOf(s, s.SumDB()), []lock.Platform{fake.Platform(t, "linux-x86_64")}
	want, err := g.Resolve(t.Context(), c, t.TempDir(), plug, on)
	if err != nil {
		t.Fatal(err)
	}
	sums := func(closure *Closure) (list []string) {
		for _, m := range closure.Modules {
			list = append(list, m.String()+" "+m.Sum+" "+m.ModSum)
		}
		return list
	}
	const path = "/go/example.com/!plug/v2/@v/v2.1.0.zip"
	i := slices.IndexFunc(want.Modules, func(m Module) bool { return m.Path == plug.Module })
	good, err := os.ReadFile(want.Modules[i].Zip)
	if err != nil {
		t.Fatal(err)
	}
	n := min(8*len(good), testenv.Count(6, 4096))
	held := 0
	for i := range n {
		bit := i * 8 * len(good) / n
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		s.Fault(path, fake.Map(func([]byte) []byte { return bad }))
		scratch := filepath.Join(t.TempDir(), "scratch")
		if err := os.Mkdir(scratch, 0o755); err != nil {
			t.Fatal(err)
		}
		closure, err := g.Resolve(t.Context(), c, scratch, plug, on)
		switch {
		case err == nil && !slices.Equal(sums(closure), sums(want)):
			t.Errorf("bit %d of byte %d: locked %q", bit%8, bit/8, sums(closure))
		case err != nil && fault.Of(err) != fault.Integrity && (fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), "EOF")):
			t.Errorf("bit %d of byte %d: class %v: %v", bit%8, bit/8, fault.Of(err), err)
		case err != nil && !strings.Contains(err.Error(), "/v2.1.0.zip"):
			t.Errorf("bit %d of byte %d: the address is not named: %v", bit%8, bit/8, err)
		default:
			held++
		}
		if err := os.RemoveAll(scratch); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Held(t, "one bit of the zip of a module flipped, as Go downloads it at lock time: exit 5, or cut, or the hashes of the checksum database", "go", n, held)
}
