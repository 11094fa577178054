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

// strict is the source of the rules of [Unpack] for tar.gz and zip: a list that
// was made by other ones is made again. The second readers are Go's own.
//
//go:embed archive.go compress.go links.go names.go tar.go xz.go zip.go
var strict embed.FS

// Rules names the rules of [Unpack], and the Go whose readers are the second ones:
// what two programs of one name read alike.
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
		panic(err) // a file of this program itself
	}
	return hex.EncodeToString(h.Sum(nil)) + " " + runtime.Version()
})
