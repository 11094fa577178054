package project

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// attributesName is the file from which git reads the attributes of files
// (gitattributes(5)).
const attributesName = ".gitattributes"

// Attributes are the attributes of a lock: git keeps its line ends whatever
// core.autocrlf is, lockgen merges branches, hunks of a diff have their plugin
// as heading, and code hosts fold it. Until a clone is configured, merge and
// diff have no effect: see [GitConfig].
const Attributes = "text eol=lf merge=lockgen linguist-generated diff=lockgen"

// GitConfig lists the commands that configure the drivers in a clone. The
// heading of a hunk is the line of a plugin, in the lock and in the output of
// lockgen textconv, which hides no digest.
var GitConfig = []string{
	`git config merge.lockgen.driver "lockgen merge-driver %O %A %B"`,
	`git config diff.lockgen.xfuncname "^(\[plugins\..*|[a-z][^ ]* [^ =]+)$"`,
	`git config diff.lockgen.textconv "lockgen textconv"`,
}

// attributed reports whether a .gitattributes keeps the line ends of a file
// beside it. As in git, the last matching line wins.
func attributed(text []byte, file string) bool {
	kept := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if pattern := strings.TrimPrefix(strings.TrimPrefix(fields[0], "**"), "/"); pattern != file && fields[0] != AttributePattern(file) {
			// A later pattern of many files counts if it takes the line ends away.
			if match, err := filepath.Match(pattern, file); err == nil && match && slices.Contains(fields[1:], "eol=crlf") {
				kept = false
			}
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

// AttributePattern returns a pattern that matches exactly one name.
func AttributePattern(file string) string {
	p := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(file)
	if strings.ContainsAny(p, " \t\"\\") || strings.HasPrefix(p, "#") || strings.HasPrefix(p, "!") {
		return strconv.Quote(p)
	}
	return p
}

// Attribute returns the .gitattributes that keeps the line ends of a lock: the
// existing one with a line added at the end. ok is false if it has such a line.
func Attribute(lockName string) (w files.Write, ok bool, err error) {
	w.Name = filepath.Join(filepath.Dir(lockName), attributesName)
	w.Before, err = input.File(w.Name)
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

// CRLF returns the error for a lock whose line ends git has changed, with a
// lasting fix as its hint.
func CRLF(lockName string) error {
	hint := "run: lockgen update; then: git add --renormalize " + filepath.Base(lockName)
	if _, missing, err := Attribute(lockName); err == nil && missing {
		hint = "run: lockgen init, which adds a line to " + attributesName + " that prevents this; then: lockgen update; then: git add --renormalize " +
			attributesName + " " + filepath.Base(lockName)
	}
	return fault.Errorf(fault.Lock, hint, "%s: its lines end with CRLF, as git writes them if core.autocrlf is set; lockgen writes LF", lockName)
}

// ReadLock is [lock.Read], and also reads a lock whose line ends git has
// changed, with a warning.
func ReadLock(u *ui.UI, name string) (*lock.Lock, []byte, error) {
	l, data, err := lock.Read(name)
	if err == nil && lock.CRLF(data, l) {
		err := CRLF(name)
		u.Warn("%v\n%s", err, fault.Hint(err))
	}
	return l, data, err
}

// OldLock reads the lock, or returns nil if there is none. A lock that cannot
// be read is an error, because it is needed to notice replaced artifacts.
func OldLock(u *ui.UI, name string) (*lock.Lock, []byte, error) {
	l, data, err := ReadLock(u, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	return l, data, err
}
