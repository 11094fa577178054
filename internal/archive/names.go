package archive

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Limits on one path: those of the file systems that trees are stored on.
const (
	maxPath  = 1024 // bytes
	maxPart  = 255  // bytes of one part of a path
	maxDepth = 64   // parts
)

// checkName is the rule for paths of trees: [syntax.CheckPath], and limits that
// only an attacker would exceed.
func checkName(name string) error {
	switch {
	case len(name) > maxPath:
		return fmt.Errorf("its path has %d bytes, more than %d", len(name), maxPath)
	case !utf8.ValidString(name):
		return fmt.Errorf("its path is not UTF-8")
	}
	if err := syntax.CheckPath(name); err != nil {
		return err
	}
	if n := strings.Count(name, "/") + 1; n > maxDepth {
		return fmt.Errorf("its path has %d parts, more than %d", n, maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPart {
			return fmt.Errorf("a part of its path has %d bytes, more than %d", len(part), maxPart)
		}
		if ascii(part) {
			continue
		}
		for _, r := range part {
			if unicode.IsControl(r) {
				return fmt.Errorf("its path has the control character %U", r)
			}
		}
		// Some readers normalise before they split: U+FF0F becomes a slash, and
		// COM with a superscript 1 is a device like COM1.
		folded := foldPart(part)
		if strings.ContainsAny(folded, `/\`) || ascii(folded) && syntax.CheckPath(folded) != nil {
			return fmt.Errorf("its path changes when Unicode is normalised")
		}
	}
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold maps paths that some file system treats as the same to one string.
func fold(path string) string {
	if ascii(path) {
		return strings.ToLower(path)
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = foldPart(part)
	}
	return strings.Join(parts, "/")
}

// foldPart is Unicode's full case folding between two NFKD normalisations,
// without the invisible characters that HFS+ ignores. Sharp s is the only full
// folding to several letters that is not also a compatibility decomposition. A
// test compares foldPart with golang.org/x/text/cases, whose tables would slow
// down the start of the program.
func foldPart(part string) string {
	if ascii(part) {
		return strings.ToLower(part)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(part) {
		switch {
		case r == 'ß' || r == 'ẞ':
			b.WriteString("ss")
		case unicode.Is(unicode.Cf, r):
		default:
			b.WriteRune(foldRune(r))
		}
	}
	return norm.NFKD.String(b.String())
}

// foldRune returns one fixed letter of those that differ only in case; for
// ASCII, the lower-case one.
func foldRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		if 'a' <= f && f <= 'z' {
			return f
		}
		least = min(least, f)
	}
	return least
}

// errTwice is matched by the error for a path that was taken before.
var errTwice = errors.New("appears twice")

// names has the paths of one tree, folders included, and finds those that
// cannot coexist on every platform.
type names map[string]nameEntry // by fold(path)

type nameEntry struct {
	path string
	dir  bool
}

// add takes a path that passed checkName, and the folders above it.
func (n names) add(path string, dir bool) error {
	key := fold(path)
	for {
		e, ok := n[key]
		switch {
		case !ok:
			n[key] = nameEntry{path, dir}
		case e.path != path:
			return fmt.Errorf("its path collides with %q on file systems that ignore case or Unicode normalisation", e.path)
		case e.dir != dir:
			return fmt.Errorf("%q is both a file and a folder", path)
		case !dir:
			return fmt.Errorf("%q %w", path, errTwice)
		default:
			return nil // this folder and those above it are known
		}
		i, j := strings.LastIndexByte(path, '/'), strings.LastIndexByte(key, '/')
		if i < 0 {
			return nil
		}
		path, key, dir = path[:i], key[:j], true
	}
}
