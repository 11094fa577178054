package tomlscan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// Every one of these took the decoder seconds to hours, or would have: what refuses
// them is what looks before it.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const n = 1 << 16
	inTables := func(open, close string) string {
		return strings.Repeat(open, n) + strings.Repeat(close, n)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"dotted key", "x = 1\n" + strings.Repeat("a.", n) + "a = 1", "line 2: a key of more than 64 parts"},
		{"spaced dotted key", strings.Repeat("a . ", n) + "a = 1", "more than 64 parts"},
		{"quoted dotted key", strings.Repeat(`"a#[".`, n) + "a = 1", "more than 64 parts"},
		{"dotted header", "[" + strings.Repeat("a.", n) + "a]", "more than 64 parts"},
		{"dotted header of an array", "\n\n[[" + strings.Repeat("'a'.", n) + "a]]", "line 3: a key of more than 64 parts"},
		{"dotted key in an inline table", "x = {y = 1, " + strings.Repeat("a.", n) + "a = 1}", "more than 64 parts"},
		{"inline tables", inTables("a={", "}"), "nested more than 32 deep"},
		{"arrays", "a = " + inTables("[", "]"), "nested more than 32 deep"},
		{"arrays over lines", "a = " + inTables("[\n", "]\n"), "nested more than 32 deep"},
		{"arrays of inline tables", "a = " + inTables("[{a=", "}]"), "nested more than 32 deep"},
		{"arrays behind a string", "a = [\"\"\"]\\\"\"\" ]\"\"\", '''\n'#''', " + inTables("[", "]") + "]", "line 2: nested more than 32 deep"},
		{"arrays behind a string with an escape at its end", `a = ["\\", '\', ` + inTables("[", "]") + "]", "nested more than 32 deep"},
		{"a long header", "[\"" + strings.Repeat("a", n) + "\"]\n" + lines(n), "too many keys in tables with long names"},
		{"a long header of an array", "[[\"" + strings.Repeat("a", n) + "\"]] # ]\n" + lines(n), "too many keys"},
		{"a long key of an inline table", "\"" + strings.Repeat("a", n) + "\" = {" + strings.ReplaceAll(strings.TrimSpace(lines(n)), "\n", ", ") + "}", "too many keys"},
		{"a long key of an array of inline tables", strings.Repeat("a", n) + " = [\n" + strings.Repeat("{a=1},\n", n) + "]", "too many keys"},
		{"long dotted keys", strings.Repeat(strings.Repeat("a", 1<<14)+"."+strings.Repeat("b.", 62)+"b = 1\n", 40), "too many keys"},
		{"many dotted keys", strings.Repeat(strings.Repeat("b.", 63)+"b = 1\n", 4000), "too many keys"},
		{"keys below a dotted header", "[" + strings.Repeat("b.", 63) + "b]\n" + lines(n), "too many keys"},
		{"too long", strings.Repeat("#\n", maxTOML/2) + "a = 1", "more than the limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tree map[string]any
			_, err := Decode(tt.text, &tree)
			var parse toml.ParseError
			if !errors.As(err, &parse) || !strings.Contains(fmt.Sprintf("line %d: %s", parse.Position.Line, parse.Message), tt.want) {
				t.Errorf("%.200v, want %q", err, tt.want)
			}
		})
	}
}

// lines are n keys of their own.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		for ; i > 0; i /= 26 {
			b.WriteByte(byte('a' + i%26))
		}
		b.WriteString("_ = 1\n")
	}
	return b.String()
}

// What only looks deep is decoded.
func TestDecodeTakes(t *testing.T) {
	t.Parallel()
	brackets := strings.Repeat("[{a.b=", 100)
	many := func(one string, n int) string { return strings.Repeat(one, n) }
	for _, tt := range []struct{ name, text string }{
		{"strings", "a = \"" + brackets + "\\\"" + brackets + "\"\nb = '" + brackets + "\\'\nc = \"\"\"\n" + brackets + "\n\"\"\\\"" + brackets + "\"\"\"\"\"\nd = '''\n" + brackets + "''" + brackets + "'''''\n"},
		{"comments", "# " + brackets + "\na = [ # " + brackets + "\n1, # '''\n2 ] # \"\n"},
		{"a key with brackets", "\"" + brackets + "\" = 1\n['x" + brackets + "']\na = 1\n"},
		{"numbers", "a = [" + many("1.5, ", 1000) + "1.5]\nb = 1979-05-27T07:32:00.999999-07:00\n"},
		{"windows lines", "[a]\r\nb = [\r\n\"x\",\r\n]\r\n[[c]]\r\nd.e = {f = 1}\r\n"},
		{"many tables", many("[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b 1.0.0 (registry+https://example.com/index)\",\n]\n\n", 10000)},
		{"conditions", "[target.'cfg(" + strings.Repeat("any(target_os = \"linux\", ", 20) + "unix" + strings.Repeat(")", 20) + ")'.dependencies.a]\nversion = \"1\"\nfeatures = [\"b\"]\noptional = true\n"},
		{"a long string", "a = \"\"\"" + strings.Repeat("\\\n   x\\\\ \\t\\n", 100000) + "\"\"\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tree map[string]any
			if _, err := Decode(tt.text, &tree); err != nil {
				t.Errorf("%.300v", err)
			}
		})
	}
}

// TestDecodeReal: no limit is near what the crates on this machine have.
func TestDecodeReal(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	var files []string
	for _, name := range []string{"Cargo.toml", "Cargo.lock", "Cargo.toml.orig"} {
		found, err := filepath.Glob(filepath.Join(home, ".cargo", "registry", "src", "*", "*", name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("TestDecodeReal needs crates that cargo has unpacked")
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(string(data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("%d files", len(files))
}
