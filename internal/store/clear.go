package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/disk"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// tagName marks a folder as a cache, for us and for backup programs
// (https://bford.info/cachedir/).
const tagName = "CACHEDIR.TAG"

const (
	tagSignature = "Signature: 8a477f597d28d172789f06886806bc55\n"
	tagOurs      = "# cache of buck2-protobuf"
	tagText      = tagSignature + tagOurs + ": verified downloads and what was installed from them.\n# It may be removed at any time.\n"
)

// layout has the names at the top of a cache. A cache without a tag, which is
// old or was just created, is recognised by them.
var layout = []string{"blobs", "bound", "compiled", "documents", "go-build", "launchers", "locks", "stats.json", "tmp", "trees", "warm", tagName}

// ours reports whether the folder of the store is our cache. If not, foreign is
// a name in it that does not belong to a cache.
func (s *Store) ours() (yes bool, foreign string) {
	if tag, err := readFile(s.path(tagName)); err == nil && strings.HasPrefix(string(tag), tagSignature+tagOurs) {
		return true, ""
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return false, ""
	}
	for _, e := range entries {
		if !slices.Contains(layout, e.Name()) {
			return false, e.Name()
		}
	}
	return true, ""
}

// mark writes the tag into a folder of ours that has none, and reports whether
// the folder is ours.
func (s *Store) mark() bool {
	if tag, err := os.Lstat(s.path(tagName)); err == nil && tag.Size() == int64(len(tagText)) {
		return true
	}
	yes, _ := s.ours()
	if yes {
		_ = os.WriteFile(s.path(tagName), []byte(tagText), 0o644) // may be read-only; the next process tries again
	}
	return yes
}

// mustBeOurs refuses a folder with anything but a cache in it. A folder that
// does not exist counts as an empty cache.
func (s *Store) mustBeOurs() error {
	if _, err := os.Lstat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	yes, foreign := s.ours()
	switch {
	case yes:
		return nil
	case foreign == "":
		return fault.Errorf(fault.Usage, "name the cache with --cache-dir or "+EnvDir, "%s is not a folder that can be read", s.dir)
	}
	return fault.Errorf(fault.Usage, "name the cache with --cache-dir or "+EnvDir,
		"%s is not a cache of buck2-protobuf: it has no %s, but has %q; nothing in it was changed", s.dir, tagName, foreign)
}

// grace is how long anything stays after its last use: a caller that was given
// a path has that long to use it.
const grace = time.Hour

// Cleared describes what [Store.Clear] removed, or would remove.
type Cleared struct {
	Blobs int `json:"blobs"`
	Trees int `json:"trees"`
	// Freed is in bytes on disk as du counts them: whole blocks, with folders,
	// but without files that have other hard links. Blocks shared with a copy
	// (reflink) count, although they only become free when the copy is removed.
	Freed int64 `json:"freed_bytes"`
	// Size is the sum of the sizes of the files, in bytes.
	Size int64 `json:"size_bytes"`

	KeptBlobs int   `json:"kept_blobs"` // recently used, or in use
	KeptTrees int   `json:"kept_trees"`
	Kept      int64 `json:"kept_bytes"` // of both, on disk
	InUse     int   `json:"in_use"`     // how many of these are only kept because a process uses them
}

// Clear removes the blobs and trees that were last used longer ago than unused,
// which is at least [grace], everything that only they needed, and what dead
// processes left in tmp. It may run at the same time as any other process: it
// removes nothing that a process uses, and removes each entry under its lock
// and in one step, so a crash leaves a usable cache. If dry is set, it only
// counts. Errors are of class [fault.Usage], for a folder that is not our
// cache, or [fault.Machine].
func (s *Store) Clear(ctx context.Context, unused time.Duration, dry bool) (Cleared, error) {
	c := clearing{s: s, before: time.Now().Add(-unused), dry: dry}
	if unused < grace {
		return c.Cleared, fault.Errorf(fault.Usage, fmt.Sprintf("to have nothing left, remove the folder %s while nothing runs", s.dir),
			"what was used within the last hour is never removed")
	}
	if err := s.mustBeOurs(); err != nil {
		return c.Cleared, err
	}
	err := c.clear(ctx)
	return c.Cleared, err
}

type clearing struct {
	Cleared
	s      *Store
	before time.Time // anything used later stays
	dry    bool
	busy   map[string]bool // trees that running programs are in
	went   map[string]bool // trees that were removed, or would be
}

func (c *clearing) clear(ctx context.Context) error {
	trees, err := c.s.treeNames()
	if err != nil {
		return err
	}
	c.busy, c.went = busyTrees(c.s.path("trees")), map[string]bool{}
	for _, tree := range trees {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.tree(tree); err != nil {
			return err
		}
	}
	blobs, err := c.s.blobNames()
	if err != nil {
		return err
	}
	for _, sha256 := range blobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.blob(sha256); err != nil {
			return err
		}
	}
	if err := c.goBuild(); err != nil {
		return err
	}
	path := regexp.MustCompile(`trees(?:/|\\+)([0-9a-f]{64})\b`)
	c.derived("launchers", path)
	c.derived("warm", path)
	c.derived("compiled", regexp.MustCompile(`\n([0-9a-f]{64})\n$`))
	c.documents()
	return c.leavings()
}

// lastUse returns the time of the lock that users of a folder hold, or else of
// the first existing file in names: older caches have no such lock.
func (s *Store) lastUse(use string, names ...string) time.Time {
	for _, name := range append([]string{s.path("locks", use)}, names...) {
		if info, err := os.Lstat(name); err == nil {
			return info.ModTime()
		}
	}
	return time.Now() // being removed or created: recent
}

// exclusively calls remove while nobody uses or builds what the locks protect,
// and reports whether it could. In a dry run it only checks.
func (c *clearing) exclusively(remove func() error, locks ...string) (bool, error) {
	for _, name := range locks {
		if c.dry {
			if _, err := os.Lstat(c.s.path("locks", name)); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		unlock, ok := c.s.tryLock(name)
		if !ok {
			return false, nil
		}
		defer unlock()
	}
	return true, remove()
}

func (c *clearing) tree(tree string) error {
	dir, stamp, use := c.s.path("trees", tree), c.s.path("trees", tree+".ok"), "use-"+tree
	used := usage(dir, stamp, c.s.path("trees", tree+".seen"))
	keep := func() {
		c.KeptTrees++
		c.Kept += used.disk
	}
	if c.s.lastUse(use, stamp, dir).After(c.before) {
		keep()
		return nil
	}
	grave := ""
	did, err := c.exclusively(func() (err error) {
		if c.busy[tree] || c.s.lastUse(use, stamp, dir).After(c.before) {
			return errBusy // since we checked
		}
		if !c.dry {
			grave, err = c.s.bury(tree)
		}
		return err
	}, use, "tree-"+tree)
	if !did || errors.Is(err, errBusy) {
		c.InUse++
		keep()
		return nil
	}
	if err != nil {
		return err
	}
	c.gone(used, grave)
	c.went[tree] = true
	c.Trees++
	return nil
}

var errBusy = errors.New("in use")

func (c *clearing) blob(sha256 string) error {
	name := c.s.blobPath(Digest{SHA256: sha256})
	old := func() bool {
		info, err := os.Lstat(name)
		return err == nil && !info.ModTime().After(c.before)
	}
	used := usage(name)
	did := false
	if old() {
		free, err := c.exclusively(func() error {
			if did = old(); !did || c.dry {
				return nil
			}
			return os.Remove(name)
		}, "blob-"+sha256)
		switch {
		case !free:
			did = false
			c.InUse++
		case errors.Is(err, fs.ErrNotExist):
			return nil // another process removed it
		case err != nil && did:
			if _, open := os.Lstat(name); open == nil {
				return c.s.refused(err)
			}
		}
	}
	if !did {
		c.KeptBlobs++
		c.Kept += used.disk
		return nil
	}
	c.Blobs++
	c.gone(used, "")
	return nil
}

// goBuild removes the whole build cache of Go, which Go will create again.
func (c *clearing) goBuild() error {
	dir := c.s.path("go-build")
	if _, err := os.Lstat(dir); err != nil || c.s.lastUse("use-go-build", dir).After(c.before) {
		return nil
	}
	used, grave := usage(dir), ""
	did, err := c.exclusively(func() (err error) {
		if !c.dry {
			grave, err = c.s.toGrave(dir)
		}
		return err
	}, "use-go-build")
	if did && err == nil {
		c.gone(used, grave)
	}
	return err
}

// gone deletes the grave and counts the space that this frees.
func (c *clearing) gone(used space, grave string) {
	if grave != "" {
		remove(grave)
		left := usage(grave) // such as a program that Windows does not let us delete
		used.disk, used.size = used.disk-left.disk, used.size-left.size
	}
	c.Freed += used.disk
	c.Size += used.size
}

// derived removes the files of a folder that belong to trees which no longer
// exist: launchers and records. They are written under the lock of their tree,
// so they are removed under it. Form finds the trees in a file's content.
func (c *clearing) derived(folder string, form *regexp.Regexp) {
	filepath.WalkDir(c.s.path(folder), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		for _, m := range form.FindAllSubmatch(text, -1) {
			tree := string(m[1])
			missing := func() bool {
				_, err := os.Lstat(c.s.path("trees", tree))
				return errors.Is(err, fs.ErrNotExist) || c.dry && c.went[tree]
			}
			if !missing() {
				continue
			}
			used := usage(name)
			gone, err := c.exclusively(func() error {
				if !missing() {
					return errBusy
				}
				if c.dry {
					return nil
				}
				return os.Remove(name)
			}, "use-"+tree)
			if gone && err == nil {
				c.gone(used, "")
				return nil
			}
		}
		return nil
	})
}

// documents removes those that were not used since before.
func (c *clearing) documents() {
	entries, _ := os.ReadDir(c.s.path("documents")) // missing: nothing to clear
	for _, e := range entries {
		name := c.s.path("documents", e.Name())
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(c.before) {
			continue
		}
		used := usage(name)
		if c.dry || os.Remove(name) == nil {
			c.gone(used, "")
		}
	}
}

// leavings removes what dead processes left in tmp.
func (c *clearing) leavings() error {
	entries, err := os.ReadDir(c.s.path("tmp"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		name := c.s.path("tmp", e.Name())
		if info, err := e.Info(); err != nil || time.Since(info.ModTime()) <= staleAfter {
			continue
		}
		used := usage(name)
		if c.dry {
			c.gone(used, "")
		} else {
			c.gone(used, name)
		}
	}
	return err
}

// bury removes a tree from the store, its records first, and returns the folder
// in tmp that it was moved to, or "" if there was none.
func (s *Store) bury(tree string) (grave string, err error) {
	s.Doubt(tree)
	remove(s.path("trees", tree+".ok"))
	final := s.path("trees", tree)
	if _, err := os.Lstat(final); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return s.toGrave(final)
}

// toGrave moves a folder of the store into a new folder in tmp.
func (s *Store) toGrave(dir string) (grave string, err error) {
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return "", err
	}
	grave, err = os.MkdirTemp(tmp, "grave-*")
	if err == nil {
		err = os.Rename(dir, filepath.Join(grave, filepath.Base(dir)))
	}
	if err != nil {
		return "", s.refused(err)
	}
	return grave, nil
}

// treeNames lists the trees in the store, sorted.
func (s *Store) treeNames() ([]string, error) {
	entries, err := os.ReadDir(s.path("trees"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Machine, "make "+s.dir+" readable", "%w", err)
	}
	var names []string
	for _, e := range entries {
		// A list without its folder is not a tree.
		if syntax.CheckSHA256("tree", e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// blobNames lists the blobs in the store, sorted.
func (s *Store) blobNames() ([]string, error) {
	folders, err := os.ReadDir(s.path("blobs", "sha256"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Machine, "make "+s.dir+" readable", "%w", err)
	}
	var names []string
	for _, f := range folders {
		entries, err := os.ReadDir(s.path("blobs", "sha256", f.Name()))
		if err != nil && f.IsDir() {
			return nil, fault.Errorf(fault.Machine, "make "+s.dir+" readable", "%w", err)
		}
		for _, e := range entries {
			if syntax.CheckSHA256("blob", e.Name()) == nil && e.Name()[:2] == f.Name() {
				names = append(names, e.Name())
			}
		}
	}
	return names, nil
}

// space is what files take up.
type space struct{ disk, size int64 } // bytes

// usage returns the space that files and folders take up; missing ones take
// none.
func usage(names ...string) (total space) {
	for _, name := range names {
		filepath.WalkDir(name, func(_ string, d fs.DirEntry, err error) error {
			if d == nil {
				return nil
			}
			if info, err := d.Info(); err == nil {
				total.disk += disk.Freed(info)
				if info.Mode().IsRegular() {
					total.size += info.Size()
				}
			}
			return nil
		})
	}
	return total
}

// busyTrees finds the trees below dir that a running program was started from
// or has on its command line, on systems with /proc: a program that was given
// the path of a launcher long ago holds none of our locks.
func busyTrees(dir string) map[string]bool {
	busy := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		said, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		exe, _ := os.Readlink(filepath.Join(p, "exe"))
		for _, part := range strings.Split(string(said)+"\x00"+exe, dir+string(filepath.Separator))[1:] {
			if len(part) >= 64 && syntax.CheckSHA256("tree", part[:64]) == nil {
				busy[part[:64]] = true
			}
		}
	}
	return busy
}
