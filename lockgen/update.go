package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
)

// change is one edit of the manifest and what follows from it for the lock.
type change struct {
	// edit makes the new text of the manifest and may change names; nil for none.
	edit    func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error)
	verb    string // that takes NAME@VERSION, for hints; "" is update
	names   []string
	removed []string
	said    []string // what edit did, for when that is written
	// fresh is the text to begin with where there is no manifest, "" to demand one.
	fresh string
	// verify looks at what is about to be written, nil for nothing.
	verify func(out *resolve.Outcome) error
	// after is called when both files are written.
	after func(out *resolve.Outcome) error
}

var updateVerb = &cli.Verb[program]{
	Name: "update", Args: "[NAME[@VERSION]…]", Short: "make plugins.lock.toml fit plugins.toml",
	Long: `Locks what the manifest asks for and the lock lacks, and drops what it does not
ask for. What is locked already is neither resolved nor downloaded again; with
nothing to do the file stays as it is, byte for byte, and nobody is asked. So a
range such as "^2.7" keeps the version that is locked for it as long as that
fits. With names, those plugins are resolved again, ranges take the newest
version that they and [policy] allow, and no other entry is touched; --all does
so with every plugin. NAME@VERSION takes that version: out of a range, or in the
place of the exact one in plugins.toml, where that asks for one alone. To have
both side by side there is lockgen add.

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
		scriptsFlag(f, p)
		dryRunFlag(f, p)
		f.BoolVar(&p.verify, "verify", false, "resolve and download everything again and compare")
	},
}

func runUpdate(ctx context.Context, p *program, args []string) error {
	if p.all && len(args) > 0 {
		return fault.Errorf(fault.Usage, "run: lockgen update --all, or: lockgen update "+args[0], "--all and the names of plugins")
	}
	return p.change(ctx, change{names: args, edit: p.movePins})
}

// movePins writes each NAME@VERSION that is asked for in place of the exact version
// that the manifest has, unless an entry allows it as it is.
func (p *program) movePins(_ context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
	for _, spec := range c.names {
		name, version, given := strings.Cut(spec, "@")
		m, err := manifest.Parse(p.manifest, data)
		if err != nil {
			return nil, err
		}
		entry := m.Plugins[name]
		if !given || entry == nil {
			continue // resolve says what is wrong with it
		}
		wants, err := plan.Wants(m, o.Old)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(wants, func(w *plan.Want) bool {
			return w.Name == name && (w.Asked == version || w.Version == version || w.Ranged && w.Allows(version))
		}) {
			continue
		}
		if err := manifest.CheckWanted(version); err != nil {
			return nil, err
		}
		if len(entry.Versions) > 1 {
			return nil, fault.Errorf(fault.Usage, "run: lockgen add "+spec+", and then for the one that goes: lockgen remove "+name+"@"+entry.Versions[0],
				"%s asks for %s %s: which of them is to become %s?", m.At("plugins", name), name, strings.Join(entry.Versions, " and "), version)
		}
		if old := entry.Versions[0]; !manifest.IsRange(old) {
			if data, err = edit.SetVersion(p.manifest, data, name, old, version); err != nil {
				return nil, err
			}
			c.said = append(c.said, fmt.Sprintf("%s: %s moves from %s to %s", m.At("plugins", name), name, old, version))
		}
	}
	return data, nil
}

// options are those of every command that asks sources; old is the lock there
// is, nil for none. The flags that a command does not have are zero.
func (p *program) options(old *lock.Lock) (resolve.Options, error) {
	s, err := store.Open(p.env(store.EnvDir))
	return resolve.Options{
		Settings: session.Settings{Offline: p.offline, Now: p.now, Env: p.env, Dir: filepath.Dir(p.manifest), Store: s, UI: p.ui, Timeouts: p.timeouts},
		Old:      old, All: p.all, Verify: p.verify, NoSmoke: p.noSmoke, MaxArtifact: p.maxArtifact,
	}, err
}

// tries is how often a change is made of files that others edit meanwhile.
const tries = 3

// change edits the manifest, makes the lock that fits it, and writes both, or
// neither. Where somebody else has edited one of them meanwhile, it is made once
// more of the new text: what was downloaded is in the store.
func (p *program) change(ctx context.Context, c change) error {
	if err := p.locateOrNew(c.fresh != ""); err != nil {
		return err
	}
	if !p.dryRun {
		unlock, err := files.Exclusive(ctx, p.ui, p.manifest, p.lock)
		if err != nil {
			return err
		}
		defer unlock()
	}
	for try := 1; ; try++ {
		err := p.changeOnce(ctx, c)
		if try == tries || !errors.Is(err, files.ErrEdited) {
			return err
		}
		p.ui.Say("%v; once more, with its new text", err)
	}
}

func (p *program) changeOnce(ctx context.Context, c change) error {
	o, err := p.options(nil)
	if err != nil {
		return err
	}
	m, before, err := manifest.Read(p.manifest)
	text := before
	fresh := c.fresh != "" && errors.Is(err, fs.ErrNotExist)
	if fresh {
		before, text = nil, []byte(c.fresh)
		m, err = manifest.Parse(p.manifest, text)
	}
	if err != nil {
		return err
	}
	old, oldText, err := p.oldLock()
	if err != nil {
		return err
	}
	if fresh && old != nil {
		return fault.Errorf(fault.Usage, "restore the manifest, such as by: git checkout -- "+p.manifest+"; or delete the lock to begin anew",
			"%s is there, and %s, which it was made of, is not", p.lock, p.manifest)
	}
	o.Old = old
	after, was := text, m
	if c.edit != nil {
		if after, err = c.edit(ctx, &c, text, o); err != nil {
			return err
		}
		if m, err = manifest.Parse(p.manifest, after); err != nil {
			return err
		}
	}
	warnings := plan.Unknown(m)
	if wants, err := plan.Wants(m, old); err == nil {
		var added []string
		for _, spec := range c.names {
			if name, _, _ := strings.Cut(spec, "@"); c.verb == "add" {
				added = append(added, name)
			}
		}
		if err := plan.CheckBundles(m, wants); err != nil && len(c.removed) == 0 { // removing may be the remedy
			return err
		}
		warnings = append(warnings, plan.Clashes(wants, added)...)
	}
	for _, w := range warnings {
		p.ui.Warn("%s", w)
	}
	o.Names, o.Removed, o.Verb, o.Was = c.names, c.removed, c.verb, was
	out, after, err := p.resolve(ctx, m, after, o)
	if err != nil {
		return err
	}
	if c.verify != nil {
		if err := c.verify(out); err != nil {
			return err
		}
	}
	text = lock.Print(out.Lock)
	if _, err := lock.Parse(p.lock, text); err != nil {
		return fault.Errorf(fault.Internal, "", "made a lock that does not parse: %w", err)
	}
	locked := files.Write{Name: p.lock, Before: oldText, After: text}
	writes := []files.Write{{Name: p.manifest, Before: before, After: after}, locked}
	created := []string{}
	if fresh {
		created = append(created, p.manifest)
		w, missing, err := project.Attribute(p.lock)
		if err != nil {
			return err
		}
		if missing {
			writes, created = append(writes, w), append(created, w.Name)
		}
	}
	if err := p.replace(writes...); err != nil {
		return p.unwritten(locked, text, err)
	}
	return p.made(c, out, locked.Changes(), created, writes)
}

// made tells of a change that was made, and does what comes after it.
func (p *program) made(c change, out *resolve.Outcome, locked bool, created []string, writes []files.Write) error {
	for _, line := range c.said {
		p.ui.Say("%s", line)
	}
	if p.ui.JSON {
		return p.data(out, locked, created, writes)
	}
	p.tell(out, locked, created)
	if c.after == nil || p.dryRun {
		return nil
	}
	return c.after(out)
}

// resolve makes the lock of a manifest, of which text is the text, and asks where
// code of packages would have to run. It returns the text with the answers.
func (p *program) resolve(ctx context.Context, m *manifest.Manifest, text []byte, o resolve.Options) (*resolve.Outcome, []byte, error) {
	out, err := resolve.Update(ctx, m, o)
	for ask := new(resolve.ConsentError); errors.As(err, &ask); {
		if text, err = p.consent(ctx, text, ask); err != nil {
			return nil, nil, err
		}
		if m, err = manifest.Parse(p.manifest, text); err != nil {
			return nil, nil, err
		}
		out, err = resolve.Update(ctx, m, o)
	}
	return out, text, err
}

// unwritten prints a lock that could not be written: it may have taken long.
func (p *program) unwritten(locked files.Write, text []byte, err error) error {
	if locked.Changes() && !errors.Is(err, files.ErrEdited) && !p.ui.JSON && !p.dryRun {
		p.ui.Say("the lock could not be written; it follows on stdout")
		p.ui.Result("%s", strings.TrimRight(string(text), "\n"))
	}
	return err
}

// tell reports an update. Created are files that were not there before, besides
// the lock.
func (p *program) tell(out *resolve.Outcome, written bool, created []string) {
	for _, n := range out.Notes {
		p.ui.Warn("%s", n)
	}
	wrote, locked, dropped := "wrote", "locked", "dropped"
	if p.dryRun {
		wrote, locked, dropped = "would write", "would lock", "would drop"
	}
	if len(created) > 0 {
		p.ui.Say("%s %s; commit them with the lock", wrote, strings.Join(created, " and "))
	}
	for _, c := range out.Changed {
		p.ui.Say("%s %s", locked, c)
	}
	for _, d := range out.Dropped {
		p.ui.Say("%s %s", dropped, d)
	}
	switch {
	case written:
		p.ui.Say("%s %s (%s)", wrote, p.lock, plain.Count(plugins(out.Lock), "plugin"))
	case p.verify:
		p.ui.Say("%s is what upstream has (%s downloaded again)", p.lock, plain.Count(int(out.Downloaded), "file"))
	default:
		p.ui.Say("%s fits already; nothing was downloaded", p.lock)
	}
	if p.dryRun {
		p.ui.Say("nothing was written")
	}
}

// data is tell as JSON.
func (p *program) data(out *resolve.Outcome, written bool, created []string, writes []files.Write) error {
	for _, n := range out.Notes {
		p.ui.Warn("%s", n)
	}
	result := map[string]any{
		"lock": p.lock, "written": written && !p.dryRun, "downloaded": out.Downloaded,
		"changed": list(out.Changed), "dropped": list(out.Dropped), "notes": list(out.Notes), "created": created,
	}
	if p.dryRun {
		result["dry_run"], result["files"] = true, files.Changes(writes)
	}
	return p.ui.Data(result)
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
	l, data, err := p.readLock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	return l, data, err
}
