package archive

import (
	"os"
	"strings"
	"testing"
)

// TestRules: what the reader of archives consists of is among the rules.
func TestRules(t *testing.T) {
	for _, name := range []string{"archive.go", "compress.go", "links.go", "names.go", "tar.go", "xz.go", "zip.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := strict.ReadFile(name); err != nil || string(kept) != string(text) {
			t.Errorf("%s is not among the rules: %v", name, err)
		}
	}
	if hash, _, _ := strings.Cut(Rules(), " "); len(hash) != 64 {
		t.Errorf("rules are %q", Rules())
	}
}
