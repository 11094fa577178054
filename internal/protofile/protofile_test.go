package protofile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// read scans a text in one piece and in pieces of a few bytes, which must make no
// difference.
func read(t *testing.T, text string) (File, error) {
	t.Helper()
	whole, err := Scan(strings.NewReader(text), make([]byte, 1<<20))
	for _, size := range []int{8, 9, 13} {
		pieces, err2 := Scan(iotest.OneByteReader(strings.NewReader(text)), make([]byte, size))
		if err != nil && err2 != nil && (strings.Contains(text, "\x00") || !utf8.ValidString(text)) {
			continue // a piece is looked at whole before it is parsed
		}
		if fmt.Sprint(whole, at(err)) != fmt.Sprint(pieces, at(err2)) {
			t.Errorf("in pieces of %d bytes: %v %s, in one: %v %s", size, pieces, at(err2), whole, at(err))
		}
	}
	return whole, err
}

func at(err error) string {
	var s *SyntaxError
	if errors.As(err, &s) {
		return fmt.Sprintf("%d:%d: %s", s.Line, s.Col, s.Message)
	}
	return fmt.Sprint(err)
}

func TestScan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", " []"},
		{"empty statements", ";;;", " []"},
		{"plain", "syntax = \"proto3\";\npackage a.b.c;\n\nimport \"x/y.proto\";\nmessage M {}\n", "a.b.c [{x/y.proto 4}]"},
		{"no line feed at the end", `import "a.proto";`, " [{a.proto 1}]"},
		{"kinds", "import public \"a.proto\";\nimport weak 'b.proto';\nimport option \"c.proto\";", " [{a.proto 1} {b.proto 2} {c.proto 3}]"},
		{"edition", "edition = \"2024\";\npackage e;\nexport message M {}\nlocal enum E { A = 0; }\nimport \"a.proto\";", "e [{a.proto 5}]"},
		{"side by side", "import \"a/\" 'b' /* c */\n\"/d.proto\" ;", " [{a/b/d.proto 1}]"},
		{"escapes", `import "\x61/\142\U00000063\u0064.pr\157to";`, " [{a/bcd.proto 1}]"},
		{"octal of one digit", `import "\1458.proto";`, " [{e8.proto 1}]"},
		{"line comment", "// import \"no.proto\";\nimport \"a.proto\"; // import \"no.proto\";", " [{a.proto 2}]"},
		{"block comment", "/* import \"no.proto\";\n /* * **/import/**/\"a.proto\"/***/;", " [{a.proto 2}]"},
		{"comment with quotes", "// don't\n/* \" */ import \"a.proto\";", " [{a.proto 2}]"},
		{"windows", "package a;\r\nimport \"a.proto\";\r\n", "a [{a.proto 2}]"},
		{"byte order mark", "\ufeffsyntax = \"proto3\"; import \"a.proto\";", " [{a.proto 1}]"},
		{"in a block", "message M {\n  optional string s = 1 [default = \"} import \\\"no.proto\\\"; {\"]; // }\n  message import { /* } */ }\n}\nimport \"a.proto\";", " [{a.proto 5}]"},
		{"apostrophe in a block", "message M { optional string s = 1 [default = 'it\\'s {']; } import \"a.proto\";", " [{a.proto 1}]"},
		{"option with a message", "option (x.y) = { a: \"}\" b { c: 'import' } };\nimport \"a.proto\";", " [{a.proto 2}]"},
		{"options", "option java_package = \"x\";\noption (a).b.c = -1.5e3;\noption optimize_for = SPEED;\npackage p;", "p []"},
		{"extend, service, enum", "extend google.protobuf.FieldOptions { int32 x = 50000; }\nservice S { rpc R (stream A) returns (B) { option (h) = { get: \"/{x}\" }; } }\nenum E { A = 0; }\nimport \"a.proto\";", " [{a.proto 4}]"},
		{"words of other statements", "package import.message.option;", "import.message.option []"},
		{"not ASCII in comments and strings", "// größer 你好 \U0001f600\nmessage M { option (a) = \"größer\"; }\nimport \"ü/你.proto\";", " [{ü/你.proto 3}]"},
	} {
		src, err := read(t, tt.text)
		if got := fmt.Sprint(src.Package, " ", src.Imports); got != tt.want || err != nil {
			t.Errorf("%s: %s (%v), want %s", tt.name, got, err, tt.want)
		}
	}
	src, err := read(t, "option go_package = \"example.com/a\" \"/b;b\";")
	if src.GoPackage != "example.com/a/b" || err != nil {
		t.Errorf("go_package: %q (%v)", src.GoPackage, err)
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"import", "1:7: expected the path of a file in quotes, got the end of the file"},
		{"import a;", "1:8: expected the path of a file in quotes, got \"a\""},
		{"import \"a.proto\"", "1:17: expected a semicolon, got the end of the file"},
		{"import \"a.proto\"\nimport \"b.proto\";", "2:1: expected a semicolon, got \"import\""},
		{"import \"\";", "1:8: imports \"\", which is empty"},
		{"\nimport \"../a.proto\";", "2:8: imports \"../a.proto\", which leaves the root of imports with .."},
		{"import \"a/../b.proto\";", "1:8: imports \"a/../b.proto\", which leaves the root of imports with .."},
		{"import \"./a.proto\";", "1:8: imports \"./a.proto\", which has an empty or a dot segment"},
		{"import \"a//b.proto\";", "1:8: imports \"a//b.proto\", which has an empty or a dot segment"},
		{"import \"/etc/a.proto\";", "1:8: imports \"/etc/a.proto\", which is absolute"},
		{"import \"C:/a.proto\";", "1:8: imports \"C:/a.proto\", which is absolute"},
		{`import "a\\b.proto";`, `1:8: imports "a\\b.proto", which has a backslash`},
		{`import "a\nb.proto";`, `1:8: imports "a\nb.proto", which has characters that are not printable`},
		{"import \"a\u202eb.proto\";", "1:8: imports \"a\\u202eb.proto\", which has characters that are not printable"},
		{`import "a\q.proto";`, `1:8: a string with the unknown escape \q`},
		{`import "a\xg.proto";`, `1:8: a string with an escape that is cut off`},
		{"import \"a.proto\";\n import \"a.proto\";", "2:2: imports \"a.proto\" a second time, after line 1"},
		{"import \"a\n.proto\";", "1:8: a string without an end"},
		{"import \"a.proto", "1:8: a string without an end"},
		{"import \"a.proto\\", "1:8: a string without an end"},
		{"import \"" + strings.Repeat("a", maxName+1) + "\";", "1:8: a string of more than 4096 bytes"},
		{"package " + strings.Repeat("a", maxName+1) + ";", "1:9: a name of more than 4096 bytes"},
		{"package a;\npackage b;", "2:1: a second package, after a"},
		{"package ;", "1:9: expected the name of a package, got ';'"},
		{"package a.;", "1:11: expected the name of a package, got ';'"},
		{"package \"a\";", "1:9: expected the name of a package, got a string"},
		{"message M {\n  message N {\n}\n", "1:12: a block without an end"},
		{"message M;", "1:10: expected '{', got ';'"},
		{"}", "1:1: expected a statement such as message or import, got '}'"},
		{"/ import", "1:1: expected a comment after the slash"},
		{"package a; /* ", "1:12: a comment without an end"},
		{"name: \"textproto\"", "1:1: expected a statement such as message or import, got \"name\""},
		{"<html>", "1:1: expected a statement such as message or import, got '<'"},
		{"import \"a.proto\";\ngrüße", "2:1: expected a statement such as message or import, got \"gr\""},
		{"option a = 1", "1:13: expected ';', got the end of the file"},
		{"package a;\n// caf\xe9\n", "2:7: is not UTF-8: byte 0xe9"},
		{"// \xe4\xbd", "1:4: is not UTF-8: byte 0xe4"},
		{"\xff\xfep\x00a\x00", "1:1: is UTF-16, expected UTF-8"},
		{"package a;\x00", "1:11: contains a NUL byte: UTF-16 or a binary file?"},
		{"\xef\xbb\xbf\xef\xbb\xbfpackage a;", "1:4: expected a statement such as message or import, got a character that is not ASCII"},
	} {
		if src, err := read(t, tt.text); at(err) != tt.want {
			t.Errorf("%.60q: %s, %v, want %s", tt.text, at(err), src, tt.want)
		}
	}
}

// What the operating system says arrives.
func TestScanReadError(t *testing.T) {
	t.Parallel()
	_, err := Scan(iotest.ErrReader(os.ErrPermission), make([]byte, 64))
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v, want %v", err, os.ErrPermission)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("syntax = \"proto3\"; package a.b; import public \"x\" 'y';")
	f.Add("message M { string s = 1 [(o) = \"\\x41}\"]; /* } */ } // 你")
	names, _ := filepath.Glob("../../examples/*/*.proto")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		src, err := read(t, text)
		if err != nil && !strings.Contains(at(err), ":") {
			t.Errorf("an error without a place: %v", err)
		}
		for _, i := range src.Imports {
			if bad := BadImport(i.Path); bad != "" {
				t.Errorf("%q %s", i.Path, bad)
			}
		}
	})
}
