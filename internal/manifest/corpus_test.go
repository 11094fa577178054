package manifest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// lenient are the files of toml-test that are no TOML 1.0 and that the decoder reads
// all the same, with what they have: nothing of it can mean two things.
var lenient = map[string]string{
	"datetime/no-secs":                "TOML 1.1",
	"datetime/offset-overflow-minute": "an offset of 60 minutes; no key of ours has one",
	"inline-table/linebreak-01":       "TOML 1.1",
	"inline-table/linebreak-02":       "TOML 1.1",
	"inline-table/linebreak-03":       "TOML 1.1",
	"inline-table/linebreak-04":       "TOML 1.1",
	"inline-table/trailing-comma":     "TOML 1.1",
	"local-datetime/no-secs":          "TOML 1.1",
	"local-time/no-secs":              "TOML 1.1",
	"string/basic-byte-escapes":       "TOML 1.1",
}

// TestCorpus has the files of toml-test, which are in the module of the decoder, as
// plugins.toml and as a lock: a valid one is TOML that says nothing of ours, and the
// scanner finds the keys that the decoder finds; an invalid one is refused as such.
func TestCorpus(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/BurntSushi/toml").Output()
	if err != nil {
		t.Skipf("the modules of this one are not at hand: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "internal", "toml-test", "tests")
	tried, held, taken := map[string]int{}, map[string]int{}, 0
	if err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".toml") || filepath.Dir(file) == root {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, strings.TrimSuffix(file, ".toml"))
		verdict, name, _ := strings.Cut(filepath.ToSlash(rel), "/")
		tried[verdict]++
		_, says := Parse("plugins.toml", data)
		_, locks := lock.Parse("plugins.lock.toml", data)
		if fault.Of(says) != fault.Usage || fault.Of(locks) != fault.Lock {
			t.Errorf("%s: class %v of %v, class %v of %v", rel, fault.Of(says), says, fault.Of(locks), locks)
			return err
		}
		isTOML := strings.Contains(says.Error(), "unknown key") || strings.Contains(says.Error(), "has no platforms")
		if verdict == "invalid" && lenient[name] != "" {
			taken++
		} else if isTOML != (verdict == "valid") {
			t.Errorf("%s: %v", rel, says)
			return err
		}
		if isTOML {
			var tree map[string]any
			if _, err := toml.Decode(string(data), &tree); err != nil {
				t.Errorf("%s: %v", rel, err)
				return nil
			}
			lines, _, err := tomlscan.Keys(string(data))
			if scanned, decoded := slices.Sorted(maps.Keys(lines)), keysOf(tree, nil, nil); err != nil || !slices.Equal(scanned, decoded) {
				t.Errorf("%s: the scanner finds %q, %v, the decoder %q", rel, scanned, err, decoded)
				return nil
			}
		}
		held[verdict]++
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if tried["valid"] < 200 || tried["invalid"] < 450 || taken != len(lenient) {
		t.Errorf("%v files, %d of %d that the decoder takes", tried, taken, len(lenient))
	}
	for verdict := range tried {
		testenv.Held(t, "a file of toml-test as plugins.toml and as a lock: refused as what it is, its keys found where the decoder finds them", verdict, tried[verdict], held[verdict])
	}
}

// keysOf adds the paths of all keys of a decoded value to keys, sorted; elements of
// lists are numbered as the scanner numbers them.
func keysOf(v any, at, keys []string) []string {
	add := func(part string, e any, isKey bool) {
		path := append(slices.Clone(at), part)
		if isKey {
			keys = append(keys, strings.Join(path, "\x00"))
		}
		keys = keysOf(e, path, keys)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			add(key, e, true)
		}
	case []map[string]any: // of a [[header]], which has a line, or of inline tables
		for i, e := range v {
			add(fmt.Sprint(i+1), e, true)
		}
	case []any:
		for i, e := range v {
			add(fmt.Sprint(i+1), e, false)
		}
	}
	slices.Sort(keys)
	return keys
}
