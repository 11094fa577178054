// Package protofile reads the imports, the package and the Go package of a
// .proto file, with the same syntax rules as protoc.
package protofile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// A File has the parts of a .proto file that we read.
type File struct {
	Imports   []Import
	Package   string // "" for none
	GoPackage string // the option of that name, without what follows a semicolon
}

// An Import is one import statement.
type Import struct {
	Path string
	Line int
}

// A SyntaxError is a syntax error in a .proto file.
type SyntaxError struct {
	Line, Col int // from 1; in bytes
	Message   string
	Hint      string // how to fix it, or ""
}

func (e *SyntaxError) Error() string { return e.Message }

// wellKnown lists the files that are part of every protoc.
var wellKnown = func() map[string]bool {
	known := map[string]bool{"google/protobuf/compiler/plugin.proto": true}
	for _, name := range []string{"any", "api", "cpp_features", "descriptor", "duration", "empty", "field_mask", "go_features",
		"java_features", "source_context", "struct", "timestamp", "type", "wrappers"} {
		known["google/protobuf/"+name+".proto"] = true
	}
	return known
}()

// WellKnown reports whether an import path is that of a file that is part of
// every protoc, and so needs no target and no package.
func WellKnown(importPath string) bool { return wellKnown[importPath] }

// maxName limits the length of an import path, a package and an identifier.
const maxName = 4096

// Chunk is a good size for the memory of [Scan].
const Chunk = 64 << 10

// Scan reads the imports, the package and the Go package of a .proto file. It
// splits the file into tokens like protoc, but parses only the top level and
// skips blocks up to their brace. Everything that it refuses protoc refuses
// too, except comments and strings that are not UTF-8. It reads the file in
// pieces of the size of buf, which must have at least a few bytes. An error is
// a *[SyntaxError], or an error of r.
//
// The format is https://protobuf.dev/reference/protobuf/edition-2023-spec/. In
// the parts that we read, proto2 and proto3 do not differ from it.
func Scan(r io.Reader, buf []byte) (src File, err error) {
	l := &lexer{r: r, buf: buf, line: 1, first: true}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *SyntaxError:
			src, err = File{}, e
		case readError:
			src, err = File{}, e.error
		default:
			panic(e)
		}
	}()
	imported := map[string]int{}
	for {
		t := l.next()
		switch {
		case t.kind == end:
			return src, nil
		case t.kind == ';':
		case t.kind != word:
			l.expected(t, "a statement such as message or import")
		default:
			l.statement(t, &src, imported)
		}
	}
}

// statement reads one statement of the top level, which starts with a word.
func (l *lexer) statement(t token, src *File, imported map[string]int) {
	switch t.text {
	case "import":
		name := l.next()
		if name.kind == word && (name.text == "public" || name.text == "weak" || name.text == "option") {
			name = l.next()
		}
		path := l.str(name, "the path of a file in quotes")
		if bad := BadImport(path); bad != "" {
			l.fail(name, "an import path is relative to the root of imports, with slashes: \"a/b.proto\"", "imports %q, which %s", path, bad)
		}
		if line, twice := imported[path]; twice {
			l.fail(t, "keep one of the two", "imports %q a second time, after line %d", path, line)
		}
		imported[path] = t.line
		src.Imports = append(src.Imports, Import{path, t.line})
		l.semicolon()
	case "package":
		if src.Package != "" {
			l.fail(t, "keep one of the two", "a second package, after %s", src.Package)
		}
		for {
			if t = l.next(); t.kind != word {
				l.expected(t, "the name of a package")
			}
			src.Package += t.text
			if t = l.next(); t.kind != '.' {
				break
			}
			src.Package += "."
		}
		if t.kind != ';' {
			l.expected(t, "a semicolon")
		}
	case "option":
		if t = l.next(); t.kind == word && t.text == "go_package" {
			if t = l.next(); t.kind != '=' {
				l.expected(t, "=")
			}
			path, _, _ := strings.Cut(l.str(l.next(), "a string"), ";")
			src.GoPackage = path
			l.semicolon()
			return
		}
		l.until(t, ';')
	case "syntax", "edition":
		if t = l.next(); t.kind != '=' {
			l.expected(t, "=")
		}
		l.str(l.next(), "a string")
		l.semicolon()
	case "message", "enum", "service", "extend", "export", "local":
		l.until(l.next(), '{')
		l.block()
	default:
		l.expected(t, "a statement such as message or import")
	}
}

// BadImport returns what protoc would find wrong with an import path, such as
// "is absolute", or "".
func BadImport(path string) string {
	switch {
	case path == "":
		return "is empty"
	case strings.Contains(path, `\`):
		return "has a backslash"
	case path[0] == '/' || len(path) > 1 && path[1] == ':':
		return "is absolute"
	}
	for name := range strings.SplitSeq(path, "/") {
		switch name {
		case "", ".":
			return "has an empty or a dot segment"
		case "..":
			return "leaves the root of imports with .."
		}
	}
	if plain.Row(path) != path {
		return "has characters that are not printable"
	}
	return ""
}

// Kinds of tokens that are not a single byte.
const (
	end = -iota
	word
	text
)

type token struct {
	kind      int
	text      string // of a word; for a string its value
	line, col int
}

// lexer reads tokens. It panics with a *SyntaxError or a readError.
type lexer struct {
	r        io.Reader
	buf      []byte
	pos, lim int    // the rest of buf
	tail     int    // bytes after lim that start a character
	read     int    // bytes of the file before buf
	start    int    // offset of the line's first byte in the file
	line     int    // from 1
	name     []byte // memory for the token
	ahead    *token // read, but not consumed
	first    bool   // nothing has been read
	ended    bool
}

type readError struct{ error }

func (l *lexer) fail(t token, hint, format string, args ...any) {
	panic(&SyntaxError{t.line, t.col, fmt.Sprintf(format, args...), hint})
}

func (l *lexer) expected(t token, what string) {
	got := "the end of the file"
	switch {
	case t.kind == word:
		got = strconv.Quote(plain.Line(t.text, 40))
	case t.kind == text:
		got = "a string"
	case t.kind > 0:
		got = strconv.QuoteRune(rune(t.kind))
		if t.kind >= utf8.RuneSelf {
			got = "a character that is not ASCII"
		}
	}
	l.fail(t, "", "expected %s, got %s", what, got)
}

// here returns a token at the next byte, for messages.
func (l *lexer) here() token { return token{line: l.line, col: l.read + l.pos - l.start + 1} }

// fill makes sure that there is a byte, and reports whether there is one.
func (l *lexer) fill() bool {
	if l.pos < l.lim {
		return true
	}
	if l.ended {
		return false
	}
	l.read += l.lim
	copy(l.buf, l.buf[l.lim:l.lim+l.tail])
	l.pos, l.lim = 0, l.tail
	for l.lim < len(l.buf) && !l.ended {
		n, err := l.r.Read(l.buf[l.lim:])
		l.lim += n
		if errors.Is(err, io.EOF) {
			l.ended = true
		} else if err != nil {
			panic(readError{err})
		}
	}
	l.tail = 0
	if !l.ended { // a character may continue in the next piece
		for l.tail < utf8.UTFMax && !utf8.RuneStart(l.buf[l.lim-1-l.tail]) {
			l.tail++
		}
		if l.tail++; l.tail <= utf8.UTFMax && !utf8.FullRune(l.buf[l.lim-l.tail:l.lim]) {
			l.lim -= l.tail
		} else {
			l.tail = 0
		}
	}
	l.encoding()
	if l.first {
		l.first = false
		if bytes.HasPrefix(l.buf[:l.lim], []byte("\xef\xbb\xbf")) { // protoc skips it
			l.pos = 3
		}
	}
	return l.pos < l.lim
}

// encoding refuses a piece that is not UTF-8 or contains NUL.
func (l *lexer) encoding() {
	piece := l.buf[:l.lim]
	at, what := bytes.IndexByte(piece, 0), "contains a NUL byte: UTF-16 or a binary file?"
	if l.first && (bytes.HasPrefix(piece, []byte("\xff\xfe")) || bytes.HasPrefix(piece, []byte("\xfe\xff"))) {
		at, what = 0, "is UTF-16, expected UTF-8"
	} else if at < 0 && !utf8.Valid(piece) {
		for at = 0; ; {
			r, n := utf8.DecodeRune(piece[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		what = fmt.Sprintf("is not UTF-8: byte 0x%02x", piece[at])
	}
	if at < 0 {
		return
	}
	t := token{line: l.line + bytes.Count(piece[:at], []byte("\n"))}
	if begin := bytes.LastIndexByte(piece[:at], '\n'); begin >= 0 {
		t.col = at - begin
	} else {
		t.col = l.read + at - l.start + 1
	}
	l.fail(t, "save it as UTF-8", "%s", what)
}

// newline must be called after each line feed.
func (l *lexer) newline() { l.line, l.start = l.line+1, l.read+l.pos }

// blank skips white space and comments.
func (l *lexer) blank() {
	for l.fill() {
		switch l.buf[l.pos] {
		case '\n':
			l.pos++
			l.newline()
		case ' ', '\t', '\r', '\v', '\f':
			l.pos++
		case '/':
			l.comment()
		default:
			return
		}
	}
}

// comment skips a comment; the next byte is its slash.
func (l *lexer) comment() {
	at := l.here()
	l.pos++
	if !l.fill() || l.buf[l.pos] != '/' && l.buf[l.pos] != '*' {
		l.fail(at, "", "expected a comment after the slash")
	}
	if l.buf[l.pos] == '/' {
		for l.fill() {
			i := bytes.IndexByte(l.buf[l.pos:l.lim], '\n')
			if i >= 0 {
				l.pos += i // the line feed is white space
				return
			}
			l.pos = l.lim
		}
		return
	}
	l.pos++
	for star := false; l.fill(); {
		c := l.buf[l.pos]
		l.pos++
		if star && c == '/' {
			return
		}
		if star = c == '*'; c == '\n' {
			l.newline()
		}
	}
	l.fail(at, "end it with */", "a comment without an end")
}

func isWord(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// next reads a token. A number is a word, and its signs and points are single
// bytes: no statement that we read has one.
func (l *lexer) next() token {
	if l.ahead != nil {
		t := *l.ahead
		l.ahead = nil
		return t
	}
	l.blank()
	t := l.here()
	if !l.fill() {
		t.kind = end
		return t
	}
	c := l.buf[l.pos]
	switch {
	case c == '"' || c == '\'':
		t.kind, t.text = text, string(l.quoted(true))
	case isWord(c):
		l.name = l.name[:0]
		for l.fill() && isWord(l.buf[l.pos]) {
			if l.name = append(l.name, l.buf[l.pos]); len(l.name) > maxName {
				l.fail(t, "", "a name of more than %d bytes", maxName)
			}
			l.pos++
		}
		t.kind, t.text = word, string(l.name)
	default:
		l.pos++
		t.kind = int(c)
	}
	return t
}

// str returns the value of a string that starts with t. It joins adjacent
// literals.
func (l *lexer) str(t token, what string) string {
	if t.kind != text {
		l.expected(t, what)
	}
	s := t.text
	for len(s) <= maxName {
		more := l.next()
		if more.kind != text {
			l.ahead = &more
			return s
		}
		s += more.text
	}
	l.fail(t, "", "a string of more than %d bytes", maxName)
	return ""
}

func (l *lexer) semicolon() {
	if t := l.next(); t.kind != ';' {
		l.expected(t, "a semicolon")
	}
}

// until reads tokens from t on up to one of a kind. It skips braces and their
// content.
func (l *lexer) until(t token, kind int) {
	for ; t.kind != kind; t = l.next() {
		switch t.kind {
		case '{':
			l.block()
		case end, ';', '}':
			l.expected(t, strconv.QuoteRune(rune(kind)))
		}
	}
}

// block skips the content of braces, after the first one.
func (l *lexer) block() {
	at := l.here()
	for depth := 1; depth > 0; {
		if !l.fill() {
			l.fail(at, "close it with }", "a block without an end")
		}
		rest := l.buf[l.pos:l.lim]
		n := 0
		for n < len(rest) && !told[rest[n]] {
			n++
		}
		if l.pos += n; n == len(rest) {
			continue
		}
		switch l.buf[l.pos] {
		case '\n':
			l.pos++
			l.newline()
		case '{':
			depth++
			l.pos++
		case '}':
			depth--
			l.pos++
		case '"', '\'':
			l.quoted(false)
		case '/':
			l.comment()
		}
	}
}

// told lists the bytes that block looks for.
var told = [256]bool{'\n': true, '{': true, '}': true, '"': true, '\'': true, '/': true}

// quoted reads a string literal. If its value is wanted, it returns it, up to a
// little more than maxName bytes.
func (l *lexer) quoted(wanted bool) []byte {
	at := l.here()
	quote := l.buf[l.pos]
	l.pos++
	l.name = l.name[:0]
	for l.fill() {
		c := l.buf[l.pos]
		switch c {
		case quote:
			l.pos++
			return l.name
		case '\n':
			l.fail(at, "end it on its line", "a string without an end")
		case '\\':
			l.pos++
			l.escape(at, wanted)
			continue
		}
		l.pos++
		if wanted && len(l.name) <= maxName {
			l.name = append(l.name, c)
		}
	}
	l.fail(at, "end it on its line", "a string without an end")
	return nil
}

// escape reads what follows a backslash, like protoc's tokenizer.
func (l *lexer) escape(at token, wanted bool) {
	put := func(b ...byte) {
		if wanted && len(l.name) <= maxName {
			l.name = append(l.name, b...)
		}
	}
	if !l.fill() {
		return // the string does not end
	}
	c := l.buf[l.pos]
	l.pos++
	if i := strings.IndexByte(`abfnrtv\?'"`, c); i >= 0 {
		put("\a\b\f\n\r\t\v\\?'\""[i])
		return
	}
	digits := func(base, least, most int) (v uint32) {
		n := 0
		for ; n < most && l.fill(); n++ {
			d, err := strconv.ParseUint(string(rune(l.buf[l.pos])), base, 8)
			if err != nil {
				break
			}
			v = v*uint32(base) + uint32(d)
			l.pos++
		}
		if n < least {
			l.fail(at, "", "a string with an escape that is cut off")
		}
		return v
	}
	switch {
	case '0' <= c && c <= '7':
		l.pos-- // do not consume the last byte
		put(byte(digits(8, 1, 3)))
	case c == 'x' || c == 'X':
		put(byte(digits(16, 1, 2)))
	case c == 'u':
		put(utf8.AppendRune(nil, rune(digits(16, 4, 4)))...)
	case c == 'U':
		put(utf8.AppendRune(nil, rune(digits(16, 8, 8)))...)
	default:
		l.fail(at, "", "a string with the unknown escape \\%c", c)
	}
}
