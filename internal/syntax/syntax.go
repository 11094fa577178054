// Package syntax checks the form of what stands in a manifest or a lock: names,
// versions, paths, digests and URLs.
package syntax

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// CheckSHA256 accepts exactly 64 lower-case hexadecimal digits, not all zero.
func CheckSHA256(field, s string) error {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != 32 || s != strings.ToLower(s) || strings.Trim(s, "0") == "" {
		return fmt.Errorf("%s %q is not a SHA-256 of 64 lower-case hexadecimal digits", field, s)
	}
	return nil
}

// CheckSHA512 accepts one SHA-512 as npm writes it: "sha512-" and the canonical
// base64 of 64 bytes, not all zero (Subresource Integrity, W3C, 3.5, without
// options).
func CheckSHA512(field, s string) error {
	if !IsBase64Of(64, s, "sha512-") {
		return fmt.Errorf("%s %q is not of the form sha512-… with the base64 of 64 bytes", field, s)
	}
	return nil
}

// IsBase64Of reports whether s is a prefix and the canonical base64 of n bytes,
// not all zero. Decoders alone would ignore line breaks.
func IsBase64Of(n int, s, prefix string) bool {
	text, ok := strings.CutPrefix(s, prefix)
	raw, err := base64.StdEncoding.DecodeString(text)
	return ok && err == nil && len(raw) == n && base64.StdEncoding.EncodeToString(raw) == text && len(bytes.Trim(raw, "\x00")) > 0
}

// Compiled on first use, to keep the start of fetch fast.
var (
	nameForm    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`) })
	versionForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+_-]*$`) })
)

// CheckName checks the name of a plugin: words of lower-case ASCII letters and
// digits, joined by -, _ or a dot, at most 100 characters. It becomes part of
// file names and Buck2 target names.
func CheckName(name string) error {
	for _, r := range name {
		if r > 0x7e || r < 0x20 {
			return fmt.Errorf("name %q has the character %U; use a-z, 0-9, -, _ and dots", name, r)
		}
	}
	if len(name) > 100 || !nameForm().MatchString(name) || Reserved(name) {
		return fmt.Errorf("name %q is not allowed; use words of a-z and 0-9, joined by -, _ or a dot", name)
	}
	return nil
}

// CheckVersion accepts any form of version that one of the ecosystems allows.
func CheckVersion(version string) error {
	if len(version) > 100 || !versionForm().MatchString(version) || strings.Contains(version, "..") {
		return fmt.Errorf("version %q is not allowed; use digits, letters, dots, -, + and _", version)
	}
	return nil
}

// CheckShown is [CheckPath] for paths in a lock, which are printed for other
// programs and in diffs: they must not have invisible characters.
func CheckShown(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	if err := CheckSeen(p); err != nil {
		return fmt.Errorf("path %q %w", p, err)
	}
	return nil
}

// CheckSeen refuses invisible characters.
func CheckSeen(s string) error {
	for _, r := range s {
		if !plain.Printable(r) {
			return fmt.Errorf("has the character %U", r)
		}
	}
	return nil
}

// CheckPath accepts a relative, clean, slash-separated path that means the same
// file on every platform: no "..", no backslash, no colon of a drive or stream,
// no control character, no name that Windows reserves.
func CheckPath(p string) error {
	switch {
	case p == "":
		return errors.New("path is empty")
	case strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q is absolute", p)
	case p != path.Clean(p) || p == "." || !fs.ValidPath(p):
		return fmt.Errorf("path %q is not clean or leads out of its folder", p)
	}
	for _, r := range p {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) {
			return fmt.Errorf("path %q has the character %q", p, r)
		}
	}
	for part := range strings.SplitSeq(p, "/") {
		if Reserved(part) || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
			return fmt.Errorf("path %q has a part that Windows does not allow: %q", p, part)
		}
	}
	return nil
}

// Reserved reports whether Windows treats a file name as a device. It ignores
// whatever follows a dot, and spaces before it, and superscript 1 to 3 count as
// digits ("Naming Files, Paths, and Namespaces" of the Windows documentation).
func Reserved(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	base = strings.TrimRight(base, " ")
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	digit, ok := strings.CutPrefix(base, "COM")
	if !ok {
		digit, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && slices.Contains([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³"}, digit)
}
