package archive

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
)

// strict has the source of the rules of [Unpack] for tar.gz and zip: a scan
// cache made by other rules is not used. The second readers are those of the Go
// standard library.
//
//go:embed archive.go compress.go links.go names.go tar.go xz.go zip.go
var strict embed.FS

// Rules identifies the rules of [Unpack] and the Go version of the second
// readers. Two programs with the same Rules read archives alike.
var Rules = sync.OnceValue(func() string {
	h := sha256.New()
	err := fs.WalkDir(strict, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := strict.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
		return err
	})
	if err != nil {
		panic(err) // the files are embedded
	}
	return hex.EncodeToString(h.Sum(nil)) + " " + runtime.Version()
})
