// Package files writes the files of a project: all of them or none, and only
// one lockgen at a time.
package files

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// lockName is a file that exists while lockgen works on the files of a folder.
// It is in that folder and not in the cache, so that it excludes all others,
// whatever cache or path they use.
const lockName = ".lockgen.lock"

// tempName is that of files that are not yet what they will replace.
const tempName = ".lockgen-*.tmp"

// Exclusive waits until no other lockgen works in the folders of the files. It
// follows links. It does not wait for folders that are not writable, because
// nothing can change in them.
func Exclusive(ctx context.Context, u *ui.UI, files ...string) (unlock func(), err error) {
	var dirs []string
	for _, name := range files {
		dir, err := filepath.Abs(filepath.Dir(Followed(name)))
		if err != nil {
			return nil, err
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	var unlocks []func()
	unlock = func() {
		for _, u := range unlocks {
			u()
		}
	}
	for _, dir := range slices.Compact(dirs) {
		u, err := exclusiveIn(ctx, u, dir)
		if err != nil {
			unlock()
			return nil, err
		}
		unlocks = append(unlocks, u)
	}
	return unlock, nil
}

func exclusiveIn(ctx context.Context, u *ui.UI, dir string) (unlock func(), err error) {
	slow := time.AfterFunc(time.Second, func() { u.Say("waiting for another lockgen to finish in %s", dir) })
	defer slow.Stop()
	unlock, err = LockFolder(ctx, dir)
	switch {
	case err == nil:
		sweep(dir)
		return unlock, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), fault.IsMachine(err):
		return func() {}, nil // a later write will report the error
	}
	u.Warn("cannot wait for another lockgen in this folder: %v", err)
	return func() {}, nil
}

// sweep removes what a lockgen left in a folder that ended between [beside] and the
// renaming: whoever has the lock of the folder is the only one there.
func sweep(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if left, _ := path.Match(tempName, e.Name()); left {
			_ = os.Remove(filepath.Join(dir, e.Name())) // what cannot be removed harms nobody
		}
	}
}

// LockFolder creates and locks the file of [lockName]. Unlocking removes it, so
// a lock is valid only for the file that still has the name.
func LockFolder(ctx context.Context, dir string) (unlock func(), err error) {
	name := filepath.Join(dir, lockName)
	for {
		f, err := store.Lock(ctx, name)
		if err != nil {
			return nil, err
		}
		ours, err1 := f.Stat()
		named, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(ours, named) {
			return func() {
				if runtime.GOOS == "windows" { // an open file stays
					f.Close()
					os.Remove(name)
					return
				}
				os.Remove(name)
				f.Close()
			}, nil
		}
		f.Close()
	}
}

// Followed returns the target of a link.
func Followed(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// ErrEdited matches the error for a file that was changed by somebody else
// since it was read.
var ErrEdited = errors.New("it was changed by somebody else during the run")

// A Write is a file and its new text. Before is the text that it replaces, nil
// for a new file. After is nil for a file to remove.
type Write struct {
	Name          string
	Before, After []byte
}

func (w Write) Removes() bool { return w.Before != nil && w.After == nil }

func (w Write) Changes() bool {
	return w.Before == nil || w.Removes() || !bytes.Equal(w.Before, w.After)
}

// Replace writes files, all of them or none. It writes each new file beside the
// old one, then checks all files again, including those that do not change. If
// one differs from Before, the error matches [ErrEdited]. Otherwise it renames
// the new files. It follows links, and refuses to replace read-only files.
func Replace(files ...Write) (err error) {
	temps := make([]string, len(files))
	defer func() {
		for _, t := range temps {
			if t != "" {
				os.Remove(t)
			}
		}
	}()
	var g errgroup.Group // the file system flushes several files in one wait
	g.SetLimit(16)
	for i, w := range files {
		if w.Changes() && !w.Removes() {
			g.Go(func() (err error) {
				temps[i], err = beside(Followed(w.Name), w.After)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, w := range files {
		if now, err := os.ReadFile(w.Name); err != nil && !(errors.Is(err, fs.ErrNotExist) && w.Before == nil) ||
			err == nil && (w.Before == nil || !bytes.Equal(now, w.Before)) {
			return edited(w.Name)
		}
	}
	for i, w := range files {
		if !w.Changes() {
			continue
		}
		move := func() error { return os.Rename(temps[i], Followed(w.Name)) }
		if w.Removes() {
			move = func() error { return os.Remove(w.Name) }
		}
		if err := move(); err != nil {
			err = fault.Errorf(fault.Machine, fault.MachineHint(err), "writing %s: %w", w.Name, err)
			for _, done := range files[:i] {
				switch {
				case done.Removes():
					err = errors.Join(err, Replace(Write{Name: done.Name, After: done.Before}))
				case done.Changes():
					err = errors.Join(err, Replace(Write{Name: done.Name, Before: done.After, After: done.Before}))
				}
			}
			return err
		}
		temps[i] = ""
	}
	return nil
}

// Put is [Replace]; in a dry run it shows what Replace would write, and reports
// the errors that can be foreseen.
func Put(u *ui.UI, dry bool, writes ...Write) error {
	if !dry {
		return Replace(writes...)
	}
	writes = slices.DeleteFunc(slices.Clone(writes), func(w Write) bool { return !w.Changes() })
	if err := Writable(writes...); err != nil {
		return err
	}
	for _, w := range writes {
		if !u.JSON {
			u.Result("%s", strings.TrimRight(Diff(w), "\n"))
		}
	}
	return nil
}

// Writable reports the errors of [Replace] that can be foreseen.
func Writable(files ...Write) error {
	for _, w := range files {
		if info, err := os.Stat(Followed(w.Name)); err == nil && info.Mode().Perm()&0o200 == 0 {
			return readOnly(Followed(w.Name))
		}
	}
	return nil
}

// Diff formats a write as a unified diff.
func Diff(w Write) string {
	old, name := w.Name, w.Name
	if rel, err := filepath.Rel(Absolute("."), Absolute(w.Name)); err == nil && filepath.IsLocal(rel) {
		old, name = filepath.ToSlash(rel), filepath.ToSlash(rel)
	}
	if w.Before == nil {
		old = os.DevNull
	}
	if w.Removes() {
		name = os.DevNull
	}
	text := diff.Diff(old, w.Before, name, w.After)
	_, text, _ = bytes.Cut(text, []byte("\n")) // a line "diff OLD NEW"
	return string(text)
}

// A Change is the change of a file, for JSON.
type Change struct {
	Name string `json:"name"`
	New  bool   `json:"new"` // it did not exist
	Diff string `json:"diff"`
}

// Changes returns the writes that change something.
func Changes(writes []Write) []Change {
	list := []Change{}
	for _, w := range writes {
		if w.Changes() {
			list = append(list, Change{Name: w.Name, New: w.Before == nil, Diff: Diff(w)})
		}
	}
	return list
}

func edited(name string) error {
	return fault.Errorf(fault.Lock, "run the same command again when nobody else edits the file", "%s: %w; nothing was written", name, ErrEdited)
}

func readOnly(name string) error {
	return fault.Errorf(fault.Machine, "make it writable: chmod u+w "+name, "%s is read-only: %w", name, fs.ErrPermission)
}

// beside writes a text into a new file beside the one that it will replace.
func beside(name string, text []byte) (temp string, err error) {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		if mode = info.Mode().Perm(); mode&0o200 == 0 {
			return "", readOnly(name)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), tempName)
	if err != nil {
		hint := "make the folder writable"
		if errors.Is(err, fs.ErrNotExist) {
			hint = "make the folder " + filepath.Dir(name)
		}
		return "", fault.Errorf(fault.Machine, hint, "writing %s: %w", name, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fault.Errorf(fault.Machine, fault.MachineHint(err), "writing %s: %w", name, err)
	}
	return f.Name(), nil
}

// Absolute returns filepath.Abs of a name, or the name itself if there is no
// working directory.
func Absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}
