package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// change is one edit of the manifest and what follows from it for the lock.
type change struct {
	// edit makes the new text of the manifest and may change names; nil for none.
	edit    func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error)
	names   []string
	removed []string
}

func runUpdate(ctx context.Context, p *program) error {
	if p.all && len(p.args) > 0 {
		return fault.Errorf(fault.Usage, "write either", "--all and the names of plugins")
	}
	return p.change(ctx, change{names: p.args})
}

func runAdd(ctx context.Context, p *program) error {
	if len(p.args) == 0 {
		return fault.Errorf(fault.Usage, "write: lockgen add ts-proto@2.18.0", "lockgen add needs the name of a plugin")
	}
	return p.change(ctx, change{edit: func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
		for _, spec := range p.args {
			name, version, given := strings.Cut(spec, "@")
			m, err := lock.ParseManifest(p.manifest, data)
			if err != nil {
				return nil, err
			}
			if m.Plugins[name] == nil {
				if err := lock.CheckName(name); err != nil {
					return nil, fault.Errorf(fault.Usage, "write: lockgen add NAME@VERSION", "%w", err)
				}
				if err := catalog.Builtin().Unknown(name); err != nil {
					return nil, err
				}
			}
			if !given {
				if version, err = p.newest(ctx, data, name, o); err != nil {
					return nil, err
				}
			}
			if err := lock.CheckWanted(version); err != nil {
				return nil, err
			}
			if data, err = lock.AddVersion(p.manifest, data, name, version); err != nil {
				return nil, err
			}
			c.names = append(c.names, name+"@"+version)
		}
		return data, nil
	}})
}

// newest is the version that an entry "latest" would get now.
func (p *program) newest(ctx context.Context, data []byte, name string, o resolve.Options) (string, error) {
	data, err := lock.AddVersion(p.manifest, data, name, lock.Latest)
	if err != nil {
		return "", err
	}
	m, err := lock.ParseManifest(p.manifest, data)
	if err != nil {
		return "", err
	}
	version, err := resolve.Newest(ctx, m, name, lock.Latest, o)
	if fault.Of(err) == fault.Usage {
		return "", fault.Errorf(fault.Usage, whichVersion(name), "lockgen add %s: which version? %w", name, err)
	}
	if err != nil {
		return "", fmt.Errorf("lockgen add %s: %w", name, err)
	}
	p.ui.Say("the newest version of %s that may be locked is %s", name, version)
	return version, nil
}

// whichVersion says how to find out which versions there are.
func whichVersion(name string) string {
	example := "write: lockgen add " + name + "@1.2.3"
	r, ok := catalog.Builtin().Lookup(name)
	if !ok {
		return example
	}
	switch from := r.Sources[0].From; from.Kind {
	case lock.NPM:
		return example + "; the newest one is told by: npm view " + from.Name + " version"
	case lock.Cargo:
		return example + "; the newest one is told by: cargo search --limit 1 " + from.Name
	case lock.Pip:
		return example + "; which there are is told by: pip index versions " + from.Name
	case lock.Go:
		if from.Name == lock.GoToolchain {
			return "write: lockgen add " + name + "@" + resolve.GoHint
		}
		return example + "; which there are is told by: go list -m -versions " + from.Name
	}
	return example
}

func runRemove(ctx context.Context, p *program) error {
	if len(p.args) == 0 {
		return fault.Errorf(fault.Usage, "write: lockgen remove NAME", "lockgen remove needs the name of a plugin")
	}
	return p.change(ctx, change{removed: p.args, edit: func(_ context.Context, _ *change, data []byte, _ resolve.Options) ([]byte, error) {
		for _, spec := range p.args {
			name, version, exact := strings.Cut(spec, "@")
			if exact && version == "" {
				return nil, fault.Errorf(fault.Usage, "write: lockgen remove "+name, "%q has no version behind the @", spec)
			}
			var err error
			if data, err = lock.RemoveVersion(p.manifest, data, name, version); err != nil {
				return nil, err
			}
		}
		return data, nil
	}})
}

// options are those of every command that asks sources; old is the lock there
// is, nil for none. The flags that a command does not have are zero.
func (p *program) options(old *lock.Lock) (resolve.Options, error) {
	s, err := store.Open(p.env(store.EnvDir))
	return resolve.Options{
		Old: old, All: p.all, Verify: p.verify, Offline: p.offline, NoSmoke: p.noSmoke,
		Dir: filepath.Dir(p.manifest), Env: p.env, Store: s, UI: p.ui,
		Timeouts: p.timeouts, MaxArtifact: p.maxArtifact, Now: p.now,
	}, err
}

// change edits the manifest, makes the lock that fits it, and writes both, or
// neither.
func (p *program) change(ctx context.Context, c change) error {
	if err := p.locate(); err != nil {
		return err
	}
	o, err := p.options(nil) // the lock is read when nobody else writes it
	if err != nil {
		return err
	}
	unlock, err := p.exclusive(ctx, o.Store)
	if err != nil {
		return err
	}
	defer unlock()

	m, before, err := lock.ReadManifest(p.manifest)
	if err != nil {
		return err
	}
	old, oldText, err := p.oldLock()
	if err != nil {
		return err
	}
	o.Old = old
	after := before
	if c.edit != nil {
		if after, err = c.edit(ctx, &c, before, o); err != nil {
			return err
		}
		if m, err = lock.ParseManifest(p.manifest, after); err != nil {
			return err
		}
	}
	for _, w := range resolve.Unknown(m) {
		p.ui.Warn("%s", w)
	}
	o.Names, o.Removed = c.names, c.removed
	out, err := resolve.Update(ctx, m, o)
	if err != nil {
		return err
	}
	text := lock.Print(out.Lock)
	if _, err := lock.Parse(p.lock, text); err != nil {
		return fault.Errorf(fault.Internal, "", "made a lock that does not parse: %w", err)
	}
	if !bytes.Equal(after, before) {
		if err := replace(p.manifest, after); err != nil {
			return err
		}
	}
	written := !bytes.Equal(text, oldText)
	if written {
		if err := replace(p.lock, text); err != nil {
			if !bytes.Equal(after, before) {
				err = errors.Join(err, replace(p.manifest, before))
			}
			if !p.ui.JSON {
				p.ui.Say("the lock could not be written; it follows on stdout")
				p.ui.Result("%s", strings.TrimRight(string(text), "\n"))
			}
			return err
		}
	}
	return p.tell(out, written)
}

func (p *program) tell(out *resolve.Outcome, written bool) error {
	for _, n := range out.Notes {
		p.ui.Warn("%s", n)
	}
	if p.ui.JSON {
		return p.ui.Data(map[string]any{
			"lock": p.lock, "written": written, "downloaded": out.Downloaded,
			"changed": list(out.Changed), "dropped": list(out.Dropped), "notes": list(out.Notes),
		})
	}
	for _, c := range out.Changed {
		p.ui.Say("locked %s", c)
	}
	for _, d := range out.Dropped {
		p.ui.Say("dropped %s", d)
	}
	switch {
	case written:
		p.ui.Say("wrote %s (%s)", p.lock, count(plugins(out.Lock), "plugin"))
	case p.verify:
		p.ui.Say("%s is what upstream has (%s downloaded again)", p.lock, count(int(out.Downloaded), "file"))
	default:
		p.ui.Say("%s fits already; nothing was downloaded", p.lock)
	}
	return nil
}

// list is a list that JSON prints as [] when it is empty.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// plugins counts the locked versions.
func plugins(l *lock.Lock) int {
	n := 0
	for _, versions := range l.Plugins {
		n += len(versions)
	}
	return n
}

// oldLock reads the lock there is, nil where there is none. One that cannot be
// read is not replaced in silence: it is what a replaced artifact is noticed by.
func (p *program) oldLock() (*lock.Lock, []byte, error) {
	l, data, err := lock.Read(p.lock)
	switch {
	case err == nil:
		return l, data, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case fault.Of(err) == fault.Lock && fault.Mend(err) == "run: lockgen update":
		return nil, nil, fault.Errorf(fault.Lock, "restore the file, such as by: git checkout -- "+p.lock+"; or delete it to lock everything anew", "%w", err)
	}
	return nil, nil, err
}

// exclusive waits until no other lockgen works on the same lock.
func (p *program) exclusive(ctx context.Context, s *store.Store) (unlock func(), err error) {
	full, err := filepath.Abs(p.lock)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir(), "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Errorf(fault.Machine, "set BUCK2_PROTOBUF_CACHE_DIR to a folder that can be written", "%w", err)
	}
	mutex := lockedfile.MutexAt(filepath.Join(dir, fmt.Sprintf("lockgen-%x.lock", sha256.Sum256([]byte(full)))[:40]))
	type result struct {
		unlock func()
		err    error
	}
	got := make(chan result, 1)
	go func() {
		unlock, err := mutex.Lock()
		got <- result{unlock, err}
	}()
	select {
	case r := <-got:
		return r.unlock, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// replace writes a file whole or not at all: beside it, then renamed. A link is
// followed, and a file that is read-only stays as it is.
func replace(name string, data []byte) (err error) {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		if mode = info.Mode().Perm(); mode&0o200 == 0 {
			return fault.Errorf(fault.Machine, "make it writable: chmod u+w "+name, "%s is read-only: %w", name, fs.ErrPermission)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".lockgen-*.tmp")
	if err != nil {
		return fault.Errorf(fault.Machine, "make the folder writable", "writing %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fault.Errorf(fault.Machine, "", "writing %s: %w", name, err)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
