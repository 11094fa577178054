package docs

import (
	"os"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
)

// TestProtosPage: the page names every proto package that is known by name, and
// where it is from.
func TestProtosPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("protos.md")
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.Builtin()
	for _, name := range c.ProtosNames() {
		p, _ := c.Protos(name)
		if row := "| `" + name + "` | `" + p.From + "` |"; !strings.Contains(string(page), row) {
			t.Errorf("no row %s", row)
		}
	}
	if rows := strings.Count(string(page), "\n| `"); rows != len(c.ProtosNames()) {
		t.Errorf("%d rows, %d packages", rows, len(c.ProtosNames()))
	}
}
