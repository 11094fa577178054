package kind

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

const packageJSON = "package.json"

// npmPackage reads the tarball of a package, whose folder is its key. As npm
// does, it makes the files in "bin" of package.json executable. An unreadable
// package.json has no bins: lockgen refuses such a package.
var npmPackage = Kind{
	integrity: true,
	roots:     func(key string, _ lock.File) []string { return []string{key} },
	options: func(_ *Artifact, c *Content) archive.Options {
		c.PackageJSON = sync.OnceValues(func() (*npm.PackageJSON, error) { return npm.ParsePackageJSON(c.Heads[packageJSON]) })
		return archive.Options{Format: "tar.gz", StripTop: true, Exec: func(name string) bool {
			pkg, err := c.PackageJSON() // all files have been read by now
			return err == nil && pkg.Executable[name]
		}}
	},
	keep: func(name string) int {
		if name == packageJSON {
			return 4 << 20
		}
		return 0
	},
	rule: fmt.Sprintf("bins %d", npm.BinsRule),
}

// checkIntegrity compares a package file with the SHA-512 that the lock has for npm,
// besides the SHA-256 by which it was downloaded: if one of them was changed, they
// do not belong to the same file. A store s remembers the result; nil for none.
func checkIntegrity(s *store.Store, d store.Digest, f *os.File, key string, locked lock.File) error {
	want, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(locked.Integrity, "sha512-"))
	if err != nil {
		return err // the lock was checked
	}
	if s != nil {
		if known, ok := s.Find512(want); ok && known == d {
			return nil
		}
	}
	about, err := f.Stat()
	if err != nil {
		return err
	}
	h := sha512.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, about.Size())); err != nil {
		return err
	}
	got := h.Sum(nil)
	if !bytes.Equal(got, want) {
		return fault.Errorf(fault.Integrity, "restore the lock with: git checkout -- plugins.lock.toml",
			"%s has the locked sha256, but not the locked integrity: got sha512-%s, expected %s", key, base64.StdEncoding.EncodeToString(got), locked.Integrity)
	}
	if s != nil {
		s.Keep512(got, d)
	}
	return nil
}
