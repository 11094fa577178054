package project

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// attributesName is the file in which git looks for what a file is
// (gitattributes(5)).
const attributesName = ".gitattributes"

// Attributes are those of a lock: its line ends stay whatever core.autocrlf
// says, two branches are merged by lockgen, hunks of a diff are headed by their
// plugin, and code hosts fold it. Merge and diff do nothing more than git alone
// until a clone is told what to run: see [GitConfig].
const Attributes = "text eol=lf merge=lockgen linguist-generated diff=lockgen"

// GitConfig are the commands that make the drivers known to a clone. The heading
// of a hunk is the line of a plugin, in the lock and in what lockgen textconv
// prints, which hides no digest.
var GitConfig = []string{
	`git config merge.lockgen.driver "lockgen merge-driver %O %A %B"`,
	`git config diff.lockgen.xfuncname "^(\[plugins\..*|[a-z][^ ]* [^ =]+)$"`,
	`git config diff.lockgen.textconv "lockgen textconv"`,
}

// attributed reports whether a .gitattributes keeps the line ends of a file that
// lies beside it. As in git, the last line that says something counts.
func attributed(text []byte, file string) bool {
	kept := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if pattern := strings.TrimPrefix(strings.TrimPrefix(fields[0], "**"), "/"); pattern != file && fields[0] != AttributePattern(file) {
			continue
		}
		switch said := fields[1:]; {
		case slices.Contains(said, "eol=lf"), slices.Contains(said, "-text"), slices.Contains(said, "binary"):
			kept = true
		case slices.Contains(said, "eol=crlf"), slices.Contains(said, "!eol"), slices.Contains(said, "-eol"):
			kept = false
		}
	}
	return kept
}

// AttributePattern is the pattern of exactly one name.
func AttributePattern(file string) string {
	p := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(file)
	if strings.ContainsAny(p, " \t\"\\") || strings.HasPrefix(p, "#") || strings.HasPrefix(p, "!") {
		return strconv.Quote(p)
	}
	return p
}

// Attribute is what has to be written so that git keeps the line ends of a lock:
// its .gitattributes with one line more, behind all others. Ok is false where
// that is said already.
func Attribute(lockName string) (w files.Write, ok bool, err error) {
	w.Name = filepath.Join(filepath.Dir(lockName), attributesName)
	w.Before, err = os.ReadFile(w.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return w, false, err
	}
	file := filepath.Base(lockName)
	if attributed(w.Before, file) {
		return w, false, nil
	}
	newline := "\n"
	if bytes.Contains(w.Before, []byte("\r\n")) {
		newline = "\r\n"
	}
	text := string(w.Before)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline
	}
	w.After = []byte(text + AttributePattern(file) + " " + Attributes + newline)
	return w, true, nil
}

// CRLF is about a lock whose line ends git has changed: what is the matter, and
// the hint that lasts.
func CRLF(lockName string) error {
	hint := "run: lockgen update; then: git add --renormalize " + filepath.Base(lockName)
	if _, missing, err := Attribute(lockName); err == nil && missing {
		hint = "run: lockgen init, which adds to " + attributesName + " the line that keeps git from it; then: lockgen update; then: git add --renormalize " +
			attributesName + " " + filepath.Base(lockName)
	}
	return fault.Errorf(fault.Lock, hint, "%s: its lines end in CRLF, as git writes them where core.autocrlf is on; lockgen writes LF", lockName)
}

// ReadLock is [lock.Read], and tells of a lock that git has changed; it is read as
// what it is.
func ReadLock(u *ui.UI, name string) (*lock.Lock, []byte, error) {
	l, data, err := lock.Read(name)
	if err == nil && lock.CRLF(data, l) {
		err := CRLF(name)
		u.Warn("%v\n%s", err, fault.Hint(err))
	}
	return l, data, err
}

// OldLock reads the lock there is, nil where there is none. One that cannot be
// read is not replaced in silence: it is what a replaced artifact is noticed by.
func OldLock(u *ui.UI, name string) (*lock.Lock, []byte, error) {
	l, data, err := ReadLock(u, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	return l, data, err
}
