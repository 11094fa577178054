// Package change edits plugins.toml, makes the matching lock, and writes both
// files or neither. The verbs update, add, remove and upgrade use it.
package change

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// A Run changes a manifest and its lock.
type Run struct {
	UI             *ui.UI
	Manifest, Lock string // paths
	DryRun         bool   // show the differences and write nothing
	AllowScripts   bool   // allow code of crates to run
	// Options returns the options for resolving, given the old lock or nil.
	Options func(old *lock.Lock) (resolve.Options, error)

	saidAges bool // already explained how to reject publishers' times
}

// change is one edit of the manifest and of the lock.
type change struct {
	// edit returns the new text of the manifest, and may change names. It may be
	// nil.
	edit    func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error)
	verb    string // for hints, the verb that takes NAME@VERSION; "" is update
	names   []string
	removed []string
	said    []string // what edit did, printed when it is written
	// fresh is the initial text if there is no manifest; "" requires one.
	fresh string
	// verified is true if everything was downloaded again.
	verified bool
	// verify checks the lock before it is written. It may be nil.
	verify func(out *resolve.Outcome) error
	// after runs when both files are written.
	after func(out *resolve.Outcome) error
}

// Tries limits how often a change is repeated because others edit the files at
// the same time.
const Tries = 3

// change edits the manifest, makes the matching lock, and writes both files or
// neither. If somebody else edits one of them at the same time, it starts again
// with the new text; what it has downloaded is in the store.
func (r *Run) change(ctx context.Context, c change) error {
	if !r.DryRun {
		unlock, err := files.Exclusive(ctx, r.UI, r.Manifest, r.Lock)
		if err != nil {
			return err
		}
		defer unlock()
	}
	for try := 1; ; try++ {
		err := r.changeOnce(ctx, c)
		if try == Tries || !errors.Is(err, files.ErrEdited) {
			return err
		}
		r.UI.Say("%v; trying again with the new text", err)
	}
}

// warn tells what is odd in a changed manifest. A bundle that cannot be is an error.
func (r *Run) warn(m *manifest.Manifest, old *lock.Lock, c change) error {
	warnings := plan.Unknown(m, old)
	if wants, err := plan.Wants(m, old); err == nil {
		var added []string
		for _, spec := range c.names {
			if name, _, _ := lock.CutSpec(spec); c.verb == "add" {
				added = append(added, name)
			}
		}
		if err := plan.CheckBundles(m, wants); err != nil && len(c.removed) == 0 { // remove may fix it
			return err
		}
		warnings = append(warnings, plan.Clashes(wants, added)...)
	}
	for _, w := range warnings {
		r.UI.Warn("%s", w)
	}
	return nil
}

func (r *Run) changeOnce(ctx context.Context, c change) error {
	o, err := r.Options(nil)
	if err != nil {
		return err
	}
	m, before, err := manifest.Read(r.Manifest)
	text := before
	fresh := c.fresh != "" && errors.Is(err, fs.ErrNotExist)
	if fresh {
		before, text = nil, []byte(c.fresh)
		m, err = manifest.Parse(r.Manifest, text)
	}
	if err != nil {
		return err
	}
	old, oldText, err := project.OldLock(r.UI, r.Lock)
	if err != nil {
		return err
	}
	if fresh && old != nil {
		return fault.Errorf(fault.Usage, "restore the manifest, for example with: git checkout -- "+r.Manifest+"; or delete the lock to start again",
			"%s exists, but its manifest %s does not", r.Lock, r.Manifest)
	}
	o.Old, c.verified = old, o.Verify
	after, was := text, m
	if c.edit != nil {
		if after, err = c.edit(ctx, &c, text, o); err != nil {
			return err
		}
		if !bytes.Equal(after, text) {
			if m, err = manifest.Parse(r.Manifest, after); err != nil {
				return err
			}
		}
	}
	if err := r.warn(m, old, c); err != nil {
		return err
	}
	o.Names, o.Removed, o.Verb, o.Was = c.names, c.removed, c.verb, was
	out, after, err := r.resolve(ctx, m, after, o)
	if err != nil {
		return err
	}
	if c.verify != nil {
		if err := c.verify(out); err != nil {
			return err
		}
	}
	text = lock.Print(out.Lock)
	if !bytes.Equal(text, oldText) {
		if _, err := lock.Parse(r.Lock, text); err != nil {
			return fault.Errorf(fault.Internal, "", "made a lock that does not parse: %w", err)
		}
	}
	locked := files.Write{Name: r.Lock, Before: oldText, After: text}
	writes := []files.Write{{Name: r.Manifest, Before: before, After: after}, locked}
	created := []string{}
	if fresh {
		created = append(created, r.Manifest)
		w, missing, err := project.Attribute(r.Lock)
		if err != nil {
			return err
		}
		if missing {
			writes, created = append(writes, w), append(created, w.Name)
		}
	}
	if err := files.Put(r.UI, r.DryRun, writes...); err != nil {
		return r.unwritten(locked, text, err)
	}
	return r.made(c, out, locked.Changes(), created, writes)
}

// made reports a change that was made, and runs after.
func (r *Run) made(c change, out *resolve.Outcome, locked bool, created []string, writes []files.Write) error {
	for _, line := range c.said {
		r.UI.Say("%s", line)
	}
	if r.UI.JSON {
		return r.data(out, locked, created, writes)
	}
	r.tell(c, out, locked, created)
	if c.after == nil || r.DryRun {
		return nil
	}
	return c.after(out)
}

// resolve makes the lock for a manifest and its text, and asks for consent if
// code of packages would have to run. It returns the text with the answers.
func (r *Run) resolve(ctx context.Context, m *manifest.Manifest, text []byte, o resolve.Options) (*resolve.Outcome, []byte, error) {
	out, err := resolve.Update(ctx, m, o)
	for ask := new(resolve.ConsentError); errors.As(err, &ask); {
		if text, err = r.consent(ctx, text, ask); err != nil {
			return nil, nil, err
		}
		if m, err = manifest.Parse(r.Manifest, text); err != nil {
			return nil, nil, err
		}
		out, err = resolve.Update(ctx, m, o)
	}
	return out, text, err
}

// unwritten prints a lock that could not be written, because it may have taken
// long.
func (r *Run) unwritten(locked files.Write, text []byte, err error) error {
	if locked.Changes() && !errors.Is(err, files.ErrEdited) && !r.UI.JSON && !r.DryRun {
		r.UI.Say("the lock could not be written; it follows on stdout")
		r.UI.Result("%s", strings.TrimRight(string(text), "\n"))
	}
	return err
}

// tell reports an update. created lists new files other than the lock.
func (r *Run) tell(c change, out *resolve.Outcome, written bool, created []string) {
	for _, n := range out.Notes {
		r.UI.Warn("%s", n)
	}
	wrote, locked, dropped := "wrote", "locked", "dropped"
	if r.DryRun {
		wrote, locked, dropped = "would write", "would lock", "would drop"
	}
	if len(created) > 0 {
		r.UI.Say("%s %s; commit them with the lock", wrote, strings.Join(created, " and "))
	}
	for _, c := range out.Changed {
		r.UI.Say("%s %s", locked, c)
	}
	for _, d := range out.Dropped {
		r.UI.Say("%s %s", dropped, d)
	}
	switch {
	case written:
		r.UI.Say("%s %s (%s)", wrote, r.Lock, plain.Count(Plugins(out.Lock), "plugin"))
	case c.verified:
		r.UI.Say("%s matches upstream (%s downloaded again)", r.Lock, plain.Count(int(out.Downloaded), "file"))
	default:
		r.UI.Say("%s is up to date; nothing was downloaded", r.Lock)
	}
	if r.DryRun {
		r.UI.Say("nothing was written")
	}
}

// data reports an update as JSON.
func (r *Run) data(out *resolve.Outcome, written bool, created []string, writes []files.Write) error {
	for _, n := range out.Notes {
		r.UI.Warn("%s", n)
	}
	result := map[string]any{
		"lock": r.Lock, "written": written && !r.DryRun, "downloaded": out.Downloaded,
		"changed": orNone(out.Changed), "dropped": orNone(out.Dropped), "notes": orNone(out.Notes), "created": created,
	}
	if r.DryRun {
		result["dry_run"], result["files"] = true, files.Changes(writes)
	}
	return r.UI.Data(result)
}

// consent adds plugins to build-scripts of [policy], if a person allows their
// crates to run code, with the flag or on a terminal.
func (r *Run) consent(ctx context.Context, text []byte, ask *resolve.ConsentError) ([]byte, error) {
	var names, lines []string
	for _, a := range ask.Asks {
		names = append(names, a.Plugin)
		lines = append(lines, fmt.Sprintf("compiling %s runs code of %s, here and wherever it is compiled:", a.Plugin, plain.Count(len(a.Crates), "crate")))
		for _, c := range a.Crates {
			lines = append(lines, "  "+c.String())
		}
	}
	if !r.AllowScripts {
		yes, asked, err := r.UI.Confirm(ctx, strings.Join(lines, "\n")+"\nallow this, and record it in [policy]?")
		switch {
		case err != nil:
			return nil, err
		case !asked:
			return nil, ask
		case !yes:
			return nil, fault.Errorf(fault.Policy, "choose another plugin, or one that is published in compiled form", "no consent to run code of %s; nothing was written", strings.Join(names, ", "))
		}
	}
	text, err := edit.Consent(r.Manifest, text, names)
	if err == nil && r.AllowScripts {
		r.UI.Say("%s", strings.Join(lines, "\n"))
	}
	if err == nil {
		r.UI.Say("added %s to build-scripts of [policy]", strings.Join(names, ", "))
	}
	return text, err
}

// orNone returns a list that JSON prints as [] if it is empty.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Plugins counts the locked versions.
func Plugins(l *lock.Lock) int {
	n := 0
	for _, versions := range l.Plugins {
		n += len(versions)
	}
	return n
}
