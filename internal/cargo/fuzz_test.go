package cargo

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// FuzzLockfile has a Cargo.lock that a crate ships, for which the index was not asked:
// whatever is taken is a list of crates of the one registry, in order.
func FuzzLockfile(f *testing.F) {
	const source = "registry+https://index.invalid/"
	root := &Source{Crate: Crate{Name: "gen", Version: "1.0.0"}}
	one := func(name, version, from string) string {
		text := "[[package]]\nname = \"" + name + "\"\nversion = \"" + version + "\"\n"
		if from != "" {
			text += "source = \"" + from + "\"\nchecksum = \"" + strings.Repeat("ab", 32) + "\"\n"
		}
		return text
	}
	own := one("gen", "1.0.0", "")
	seeds := map[string]fault.Class{
		"":                                 fault.OK,
		"version = 4\n":                    fault.OK,
		own + one("leaf", "2.1.0", source): fault.OK,
		own + one("leaf", "2.1.0", "sparse+https://other.invalid/"):   fault.Policy,
		own + one("leaf", "2.1.0", "git+https://x.invalid/leaf#abcd"): fault.Policy,
		own + one("leaf", "2.1.0", ""):                                fault.Policy,
		own + one("../leaf", "2.1.0", source):                         fault.Integrity,
		own + one("leaf", "2.1", source):                              fault.Integrity,
		own + one("leaf", "../2.1.0", source):                         fault.Integrity,
		own + one("", "2.1.0", source):                                fault.Integrity,
		own + own[:20]:                                                fault.Integrity,
		"package = 1\n":                                               fault.Integrity,
		"[[package]]\nname = 1\n":                                     fault.Integrity,
		"<<<<<<< ours\n" + own:                                        fault.Integrity,
		"x = " + strings.Repeat("[", 10000):                           fault.Integrity,
	}
	for text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := (&Index{}).crates(source, root, []byte(text), false)
		class := fault.Of(err)
		if want, ok := seeds[text]; ok && class != want {
			t.Errorf("%q: class %v of %v, want %v", text, class, err, want)
		}
		if err != nil {
			if class != fault.Integrity && class != fault.Policy {
				t.Errorf("%q: class %v of %v", text, class, err)
			}
			return
		}
		for _, c := range list {
			if !word(c.Name) || strings.ContainsAny(c.Name, `./\`) || syntax.CheckVersion(c.Version) != nil || c.SHA256 != "" {
				t.Errorf("%q has %+v", text, c)
			}
		}
		if !slices.IsSortedFunc(list, func(a, b Crate) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%q has %v", text, list)
		}
	})
}
