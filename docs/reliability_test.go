package docs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

const tallyHead = "| what | of | tried | held | run it again |\n|---|---|---|---|---|\n"

// TestReliability: the table of counts has a row for each promise that a test
// counts, and no other. With UPDATE_GOLDEN and BUCK2_PROTOBUF_HELD, the file that
// the tests appended their counts to, the rows are written anew.
func TestReliability(t *testing.T) {
	t.Parallel()
	const page = "reliability.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	intro, after, found := strings.Cut(string(text), tallyHead)
	if !found {
		t.Fatalf("%s has no table that begins with\n%s", page, tallyHead)
	}
	rows := map[string]testenv.Tally{} // by what and kind
	outro := after
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		tally, err := parseTally(line)
		if err != nil {
			t.Fatal(err)
		}
		rows[tally.What+"|"+tally.Kind] = tally
		outro = strings.TrimPrefix(outro, line)
	}
	if file := os.Getenv(testenv.HeldFile); file != "" && os.Getenv("UPDATE_GOLDEN") != "" {
		if err := readTallies(file, rows); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			b.WriteString(rowOf(rows[key]))
		}
		if err := os.WriteFile(page, []byte(intro+tallyHead+b.String()+outro), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	// What the tests of the source count, by their literals.
	counted := map[string]string{} // to the folder
	call := regexp.MustCompile(`testenv\.(?:Held|Rows)\(t, "([^"]+)"`)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, top := range []string{"internal", "lockgen", "fetch", "prelude", "examples", "docs"} {
		if err := filepath.WalkDir(filepath.Join(root, top), func(name string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, "_test.go") {
				return err
			}
			code, err := os.ReadFile(name)
			for _, m := range call.FindAllStringSubmatch(string(code), -1) {
				dir, _ := filepath.Rel(root, filepath.Dir(name))
				counted[m[1]] = filepath.ToSlash(dir)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(counted) < 8 {
		t.Fatalf("the source counts %d promises", len(counted))
	}
	has := map[string]bool{}
	for key, row := range rows {
		has[row.What] = true
		switch {
		case counted[row.What] != row.Dir:
			t.Errorf("%s: no test of ./%s counts it", key, row.Dir)
		case row.Held != row.Tried || row.Tried == 0:
			t.Errorf("%s: %d of %d held", key, row.Held, row.Tried)
		}
	}
	for what, dir := range counted {
		if !has[what] {
			t.Errorf("%s has no row for what ./%s counts: %s", page, dir, what)
		}
	}
}

// rowOf is a row of the table.
func rowOf(t testenv.Tally) string {
	full := ""
	if t.Full {
		full = "BUCK2_PROTOBUF_TEST=full "
	}
	return fmt.Sprintf("| %s | %s | %d | %d | `%sgo test -v -timeout 3h ./%s -run '^%s$'` |\n", t.What, t.Kind, t.Tried, t.Held, full, t.Dir, t.Test)
}

var tallyRow = regexp.MustCompile("^\\| (.+?) \\| (.*?) ?\\| (\\d+) \\| (\\d+) \\| `(BUCK2_PROTOBUF_TEST=full )?go test -v -timeout 3h \\./(\\S+) -run '\\^(\\w+)\\$'` \\|\n$")

func parseTally(line string) (testenv.Tally, error) {
	m := tallyRow.FindStringSubmatch(line)
	if m == nil {
		return testenv.Tally{}, fmt.Errorf("no row of counts: %s", line)
	}
	tried, err1 := strconv.Atoi(m[3])
	held, err2 := strconv.Atoi(m[4])
	if err1 != nil || err2 != nil {
		return testenv.Tally{}, fmt.Errorf("no counts: %s", line)
	}
	return testenv.Tally{What: m[1], Kind: m[2], Tried: tried, Held: held, Full: m[5] != "", Dir: m[6], Test: m[7]}, nil
}

// readTallies takes over what the tests wrote; of several runs the largest counts.
func readTallies(file string, rows map[string]testenv.Tally) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	fresh := map[string]bool{}
	for lines.Scan() {
		var tally testenv.Tally
		if err := json.Unmarshal(lines.Bytes(), &tally); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		key := tally.What + "|" + tally.Kind
		if !fresh[key] || tally.Tried > rows[key].Tried {
			rows[key] = tally
		}
		fresh[key] = true
	}
	return lines.Err()
}
