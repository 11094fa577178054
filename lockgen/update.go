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

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
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

var updateVerb = &cli.Verb[program]{
	Name: "update", Args: "[NAME[@VERSION]…]", Short: "make plugins.lock.toml fit plugins.toml",
	Long: `Locks what the manifest asks for and the lock lacks, and drops what it does not
ask for. What is locked already is neither resolved nor downloaded again; with
nothing to do the file stays as it is, byte for byte, and nobody is asked. So a
range such as "^2.7" keeps the version that is locked for it as long as that
fits. With names, those plugins are resolved again, ranges take the newest
version that they and [policy] allow, and no other entry is touched; --all does
so with every plugin. NAME@VERSION takes that version, out of a range too.

All or nothing: when any plugin cannot be locked for any of the platforms, all
of them are listed with the reason, and nothing is written. A version whose
bytes differ from those that were locked under it is an alarm, never an update.

What is new is tried before the lock is written, where it has a cell for this
machine: protoc generates code of a small file with it, without a network.`,
	Example: `lockgen update
lockgen update ts-proto
lockgen update ts-proto@2.7.2
lockgen update --all           take the newest versions allowed
lockgen update --verify        download everything again and compare`,
	JSON: true, Run: runUpdate,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.all, "all", false, "resolve every plugin again")
		f.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		f.BoolVar(&p.verify, "verify", false, "resolve and download everything again and compare")
	},
}

func runUpdate(ctx context.Context, p *program, args []string) error {
	if p.all && len(args) > 0 {
		return fault.Errorf(fault.Usage, "run: lockgen update --all, or: lockgen update "+args[0], "--all and the names of plugins")
	}
	return p.change(ctx, change{names: args})
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
			err = fault.Errorf(fault.Machine, fault.MachineMend(err), "writing %s: %w", name, err)
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
