package filestat

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecord: a record holds what was seen, in folders of many files and of few, and
// a changed name or number is seen.
func TestRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 3 * fewEntries {
		for _, name := range []string{fmt.Sprintf("many/f%d", i), fmt.Sprintf("many/few%d/deep/f", i), fmt.Sprintf("few/%d/f", i/fewEntries), fmt.Sprintf("many/inner/more/%d ü", i)} {
			name = filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, _, err := Walk(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecord(all)
	if !Same(r, dir) {
		t.Fatal("not the same as it is")
	}
	back := map[string]Identity{}
	folders := 0
	for rest := r; len(rest) > 0; folders++ {
		folder, entries, size := rest.folder()
		rest = rest[size:]
		for len(entries) > 0 {
			name, id, size := entries.entry()
			entries = entries[size:]
			back[path.Join(string(folder), strings.TrimSuffix(string(name), "\x00"))] = id
		}
	}
	if len(back) != len(all) || folders != 3 { // ".", many, many/inner/more
		t.Errorf("%d of %d entries in %d folders", len(back), len(all), folders)
	}
	for _, s := range all {
		if back[s.Name] != s.Identity {
			t.Errorf("%s: %v, was %v", s.Name, back[s.Name], s.Identity)
		}
	}
	for i := range all {
		for k := range all[i].Identity {
			if all[i].Identity[k]++; Same(NewRecord(all), dir) {
				t.Errorf("%s: number %d is not compared", all[i].Name, k)
			}
			all[i].Identity[k]--
		}
		if i > 0 {
			name := all[i].Name
			if all[i].Name += "x"; Same(NewRecord(all), dir) {
				t.Errorf("%s: its name is not compared", name)
			}
			all[i].Name = name
		}
	}
}
