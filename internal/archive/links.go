package archive

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A tree has files only, so a link becomes a copy of the file that it leads to.
// A link to a folder, out of the archive or to nothing is refused, since
// unpackers disagree about what it becomes.

// A link is an entry of the archive that names another file.
type link struct {
	raw, path, target string // target as written in the archive
	hard              bool
}

// maxHops limits chains of links, as Linux does.
const maxHops = 40

// notInPackages is the error for a link without [Options.Release].
const notInPackages = "%s is not allowed in a package: some clients skip links, some follow them"

// link takes a link. Its target is looked up after all entries have been read.
func (u *unpacker) link(raw, target string, hard bool) error {
	if !u.o.Release {
		what := "a symbolic link"
		if hard {
			what = "a hard link"
		}
		return unsafeEntry(raw, notInPackages, what)
	}
	name, err := u.name(raw, false)
	if name == "" && err == nil {
		return nil
	}
	if hard {
		if target = strings.TrimPrefix(target, "./"); u.o.Place != nil {
			target = u.o.Place(target)
		}
	}
	l := link{raw, name, target, hard}
	if err != nil {
		for _, before := range u.links {
			if before.path == name && before.target == target && before.hard == hard {
				return nil
			}
		}
		return err
	}
	if hard { // its target must come earlier in the archive
		if _, ok := u.index[target]; !ok {
			return unsafeEntry(raw, "a hard link to %q, which is not an earlier file of the archive", clip(target))
		}
	}
	u.links = append(u.links, l)
	return nil
}

// copyLinks creates the files that the links of the archive f stand for.
func (u *unpacker) copyLinks(f *os.File) error {
	if len(u.links) == 0 {
		return nil
	}
	byPath := make(map[string]link, len(u.links))
	for _, l := range u.links {
		byPath[l.path] = l
	}
	// If nothing is written to dst, read the archive again to get the content.
	later := map[string][]io.Writer{} // by the path of the file
	for _, l := range u.links {
		from, err := u.follow(l, byPath)
		if err != nil {
			return err
		}
		if err := u.spend(from.Size); err != nil {
			return err
		}
		to := from
		to.Path = l.path
		u.files = append(u.files, to)
		var tap io.Writer
		if u.o.Tap != nil {
			tap = u.o.Tap(l.path)
		}
		switch {
		case u.root != nil:
			if err := u.copyFile(l.raw, from, to, tap); err != nil {
				return err
			}
		case tap != nil:
			later[from.Path] = append(later[from.Path], tap)
		}
	}
	if len(later) == 0 {
		return nil
	}
	o := Options{Format: u.o.Format, Release: true, Place: u.o.Place, Tap: func(path string) io.Writer {
		if taps := later[path]; taps != nil {
			return io.MultiWriter(taps...)
		}
		return nil
	}}
	_, err := unpack(u.ctx, f, "", o, u.limits)
	return err
}

// follow returns the file that a link leads to.
func (u *unpacker) follow(l link, byPath map[string]link) (File, error) {
	at := l
	for range maxHops {
		to := at.target
		if !at.hard {
			var err error
			if to, err = u.walk(at); err != nil {
				return File{}, unsafeEntry(l.raw, "a symbolic link to %q: %w", clip(at.target), err)
			}
		}
		if i, ok := u.index[to]; ok {
			return u.files[i], nil
		}
		next, ok := byPath[to]
		if !ok {
			return File{}, unsafeEntry(l.raw, "a symbolic link to %q, which is not in the archive", clip(at.target))
		}
		at = next
	}
	return File{}, unsafeEntry(l.raw, "a symbolic link in a loop, or in a chain of more than %d links", maxHops)
}

// walk resolves the target of a symbolic link part by part, as an operating
// system does: all parts but the last must be folders of the archive.
func (u *unpacker) walk(l link) (string, error) {
	switch {
	case strings.HasPrefix(l.target, "/"):
		return "", fmt.Errorf("it leads out of the archive")
	case strings.ContainsAny(l.target, "\\:\x00"):
		return "", fmt.Errorf("it leads to different files on different systems")
	case strings.HasSuffix(l.target, "/"):
		return "", fmt.Errorf("it is a folder, but a tree can only have files")
	}
	at := strings.Split(l.path, "/")
	at = at[:len(at)-1]
	steps := strings.Split(l.target, "/")
	for i, step := range steps {
		switch step {
		case "", ".":
		case "..":
			if len(at) == 0 {
				return "", fmt.Errorf("it leads out of the archive")
			}
			at = at[:len(at)-1]
		default:
			at = append(at, step)
		}
		path := strings.Join(at, "/")
		folder := path == ""
		if e, ok := u.names[fold(path)]; ok && e.path == path {
			folder = e.dir
		}
		switch last := i == len(steps)-1; {
		case last && folder:
			return "", fmt.Errorf("it is a folder, but a tree can only have files")
		case !last && !folder:
			return "", fmt.Errorf("%q is not a folder of the archive", clip(path))
		}
	}
	return strings.Join(at, "/"), nil
}

// copyFile writes the file of a link below dst, and checks that the source has
// not changed since it was read.
func (u *unpacker) copyFile(raw string, from, to File, tap io.Writer) error {
	in, err := u.root.Open(from.Path)
	if err != nil {
		return fault.Disk(err, u.dst, "")
	}
	defer in.Close()
	out, err := u.createNew(raw, to.Path, to.Exec)
	if err != nil {
		return err
	}
	defer out.Close()
	u.sum.Reset()
	var w io.Writer = io.MultiWriter(out, u.sum)
	if tap != nil {
		w = io.MultiWriter(out, u.sum, tap)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{WithContext(u.ctx, in)}, u.buf); err != nil {
		if u.ctx.Err() != nil {
			return u.ctx.Err()
		}
		return fault.Disk(err, u.dst, "")
	}
	if err := out.Close(); err != nil {
		return fault.Disk(err, u.dst, "")
	}
	var got [32]byte
	u.sum.Sum(got[:0])
	if got != from.SHA256 {
		return unsafeEntry(raw, "%q changed during the copy", from.Path)
	}
	return nil
}

// clip shortens a name for a message.
func clip(name string) string {
	if len(name) > 200 {
		return name[:200] + "…"
	}
	return name
}
