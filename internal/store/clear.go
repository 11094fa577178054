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
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// tagName marks a folder as a cache, for us and for programs that make backups
// (https://bford.info/cachedir/).
const tagName = "CACHEDIR.TAG"

const (
	tagSignature = "Signature: 8a477f597d28d172789f06886806bc55\n"
	tagOurs      = "# cache of buck2-protobuf"
	tagText      = tagSignature + tagOurs + ": verified downloads and what was installed from them.\n# It may be removed at any time.\n"
)

// layout are the names at the top of a cache without a tag that is ours all the
// same: one of before there were tags, or one that is just begun.
var layout = []string{"blobs", "bound", "compiled", "documents", "go-build", "launchers", "locks", "stats.json", "tmp", "trees", "warm", tagName}

// ours reports whether the folder of the store is a cache of ours; what is
// foreign in it is named.
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

// mark writes the tag where it is missing in a folder that is ours, and reports
// whether the folder is.
func (s *Store) mark() bool {
	if tag, err := os.Lstat(s.path(tagName)); err == nil && tag.Size() == int64(len(tagText)) {
		return true
	}
	yes, _ := s.ours()
	if yes {
		_ = os.WriteFile(s.path(tagName), []byte(tagText), 0o644) // read-only: the next one will
	}
	return yes
}

// mustBeOurs refuses a folder that holds anything else than a cache. A folder
// that does not exist is an empty cache.
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
		"%s is not a cache of buck2-protobuf: it has no %s and holds %q; nothing in it was touched", s.dir, tagName, foreign)
}

// grace is the time for which whatever was used is never cleared away: who was
// told a path has that long to use it.
const grace = time.Hour

// Cleared is what [Store.Clear] removed, or would remove.
type Cleared struct {
	Blobs int `json:"blobs"`
	Trees int `json:"trees"`
	// Freed is the number of bytes on the disk, as du counts them: whole blocks,
	// folders too, a file with other hard links not at all. Blocks that a copy
	// shares (reflink) are counted, and become free when the copy goes.
	Freed int64 `json:"freed_bytes"`
	// Size is the sum of the sizes of the files.
	Size int64 `json:"size_bytes"`

	KeptBlobs int   `json:"kept_blobs"` // used lately, or in use
	KeptTrees int   `json:"kept_trees"`
	Kept      int64 `json:"kept_bytes"` // of both, on the disk
	InUse     int   `json:"in_use"`     // of these, old ones that a process uses now
}

// Clear removes the blobs and trees that were not used for that long, at least
// [Grace], with what only they needed, and what dead processes left in tmp. It
// may run beside any other process: nothing that one holds is removed, and what
// is removed goes under its lock and in one step, so that a crash leaves a
// usable cache. With dry it only counts. Errors are of class [fault.Usage], for
// a folder that is no cache of ours, or [fault.Machine].
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
	before time.Time // what was used later stays
	dry    bool
	busy   map[string]bool // trees that running programs lie in
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

// lastUse is the time of the lock that users of a folder hold, or of the first
// of names that is there: a cache of before has no such lock.
func (s *Store) lastUse(use string, names ...string) time.Time {
	for _, name := range append([]string{s.path("locks", use)}, names...) {
		if info, err := os.Lstat(name); err == nil {
			return info.ModTime()
		}
	}
	return time.Now() // going, or coming: young
}

// exclusively runs remove while nobody uses or builds what the locks stand for, and
// reports whether it did. In a dry run it only finds out.
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
			return errBusy // since we looked
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
			return nil // another clearing was faster
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

// goBuild removes Go's build cache as a whole; Go makes it anew.
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

// gone removes what is in the grave and counts what that freed.
func (c *clearing) gone(used space, grave string) {
	if grave != "" {
		remove(grave)
		left := usage(grave) // such as a program that Windows does not let go
		used.disk, used.size = used.disk-left.disk, used.size-left.size
	}
	c.Freed += used.disk
	c.Size += used.size
}

// derived removes the files of a folder that speak of trees which are not there:
// launchers, and what was remembered of them. They are written by who holds
// the tree, so they go under the lock of a tree that is missing. Form finds the
// trees in them.
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

// documents removes those not used since then.
func (c *clearing) documents() {
	entries, _ := os.ReadDir(c.s.path("documents")) // absent: nothing to clear
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

// bury takes a tree out of the store, what is known of it first, and returns the folder in
// tmp that it then lies in, "" when there was none.
func (s *Store) bury(tree string) (grave string, err error) {
	s.Doubt(tree)
	remove(s.path("trees", tree+".ok"))
	final := s.path("trees", tree)
	if _, err := os.Lstat(final); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return s.toGrave(final)
}

// toGrave moves a folder of the store into a new one in tmp.
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

// treeNames lists the trees that are there, sorted.
func (s *Store) treeNames() ([]string, error) {
	entries, err := os.ReadDir(s.path("trees"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Machine, "make "+s.dir+" readable", "%w", err)
	}
	var names []string
	for _, e := range entries {
		// One whose folder is gone has a list only, and is nothing.
		if lock.CheckSHA256("tree", e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// blobNames lists the blobs that are there, sorted.
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
			if lock.CheckSHA256("blob", e.Name()) == nil && e.Name()[:2] == f.Name() {
				names = append(names, e.Name())
			}
		}
	}
	return names, nil
}

// space is what files cost.
type space struct{ disk, size int64 } // bytes

// usage is what files and folders cost; what is missing costs nothing.
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

// busyTrees finds the trees below dir that a running program was started from,
// or has on its command line, where /proc tells: who was told the path of a
// launcher long ago holds no lock of ours.
func busyTrees(dir string) map[string]bool {
	busy := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		said, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		exe, _ := os.Readlink(filepath.Join(p, "exe"))
		for _, part := range strings.Split(string(said)+"\x00"+exe, dir+string(filepath.Separator))[1:] {
			if len(part) >= 64 && lock.CheckSHA256("tree", part[:64]) == nil {
				busy[part[:64]] = true
			}
		}
	}
	return busy
}
