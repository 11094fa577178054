package archive

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Limits on one path. They are those of the file systems that trees end up on.
const (
	maxPath  = 1024 // bytes
	maxPart  = 255  // bytes of one part of a path
	maxDepth = 64   // parts
)

// checkName is the path rule of trees: [lock.CheckPath], and what only an
// attacker would try.
func checkName(name string) error {
	switch {
	case len(name) > maxPath:
		return fmt.Errorf("its path has %d bytes, more than %d", len(name), maxPath)
	case !utf8.ValidString(name):
		return fmt.Errorf("its path is not UTF-8")
	}
	if err := lock.CheckPath(name); err != nil {
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
				return fmt.Errorf("its path holds the control character %U", r)
			}
		}
		// Some readers normalise before they split: U+FF0F becomes a slash,
		// and COM with a superscript 1 is a device like COM1.
		folded := foldPart(part)
		if strings.ContainsAny(folded, `/\`) || ascii(folded) && lock.CheckPath(folded) != nil {
			return fmt.Errorf("its path becomes another one when Unicode is normalised")
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

// fold maps paths that any file system takes for the same to one string.
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

// foldPart is Unicode's full case folding around NFKD, without the invisible
// characters that HFS+ ignores. Of the foldings to several letters only that of
// sharp s is not a compatibility decomposition; a test compares it with
// golang.org/x/text/cases, whose tables are not worth their start-up time here.
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

// foldRune picks one of the letters that differ only in case, a lower one for
// ASCII.
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

// errTwice is matched by the error for a file that is there already.
var errTwice = errors.New("is there twice")

// names holds the paths of one tree, folders included, and finds those that
// cannot live side by side everywhere.
type names map[string]nameEntry // by fold(path)

type nameEntry struct {
	path string
	dir  bool
}

// add takes a path that passed checkName, and its folders.
func (n names) add(path string, dir bool) error {
	key := fold(path)
	for {
		e, ok := n[key]
		switch {
		case !ok:
			n[key] = nameEntry{path, dir}
		case e.path != path:
			return fmt.Errorf("its path falls together with %q where case or Unicode form is ignored", e.path)
		case e.dir != dir:
			return fmt.Errorf("%q is both a file and a folder", path)
		case !dir:
			return fmt.Errorf("%q %w", path, errTwice)
		default:
			return nil // this folder and those above are known
		}
		i, j := strings.LastIndexByte(path, '/'), strings.LastIndexByte(key, '/')
		if i < 0 {
			return nil
		}
		path, key, dir = path[:i], key[:j], true
	}
}
