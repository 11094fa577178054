package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/migrate"
)

// planMigration plans a plugins.toml with what --from finds. It keeps existing entries.
func (i *initial) planMigration(ctx context.Context) error {
	l, _, err := lock.Read(i.lockName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		i.notes = append(i.notes, "cannot compare digests with the lock: "+err.Error())
	}
	if err != nil {
		l = nil
	}
	var ask func(string) (string, error)
	if i.runs {
		ask = func(path string) (string, error) { return migrate.Ask(ctx, path) }
	}
	if i.migration, err = migrate.From(i.from, l, ask); err != nil {
		return err
	}
	i.wanted = i.migration.Wanted(func(a, b string) bool {
		c, _ := proc.CompareToolVersions(a, b)
		return c > 0
	})
	for _, name := range i.migration.Protos {
		i.wanted = append(i.wanted, lock.ProtosPrefix+name)
	}
	before, err := input.File(i.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := before
	if i.created {
		before, text = nil, []byte(edit.Head(edit.Platforms)+"[plugins]\n")
		if !slices.ContainsFunc(i.wanted, func(spec string) bool { return strings.HasPrefix(spec, "protoc@") }) {
			i.wanted = append([]string{"protoc@" + edit.StarterProtoc}, i.wanted...)
		}
	}
	old, err := manifest.Parse(i.name, text)
	if err != nil {
		return err
	}
	var wanted []string
	for _, spec := range i.wanted {
		name, version, given := strings.Cut(spec, "@")
		if p := old.Plugins[name]; p != nil && !slices.Contains(p.Versions, version) {
			if given {
				i.notes = append(i.notes, old.At("plugins", name)+": it asks for "+name+" "+strings.Join(p.Versions, " and ")+", and "+i.from+" uses "+version+
					"; left it unchanged. To lock both, run: lockgen add "+spec)
			}
			continue
		}
		wanted = append(wanted, spec)
		if !given {
			continue // lockgen add finds the newest version
		}
		if text, err = edit.AddVersion(i.name, text, name, version); err != nil {
			return err
		}
	}
	i.wanted = wanted
	for _, o := range i.migration.Owns {
		if old.Plugins[o.Name] == nil {
			text = append([]byte(strings.TrimRight(string(text), "\n")+"\n\n"), o.TOML()...)
		}
		i.wanted = append(i.wanted, o.Name+"@"+o.Version)
	}
	if _, err := manifest.Parse(i.name, text); err != nil {
		return err
	}
	if string(text) != string(before) {
		i.writes = append(i.writes, files.Write{Name: i.name, Before: before, After: text})
		if !i.created {
			i.edits, i.asks = true, true
		}
	}
	return nil
}

// equivalents prints what --from found: the lines of a BUCK file, and what has no
// equivalent.
func (i *initial) equivalents() {
	if targets := i.migration.Targets(i.cell); targets != "" {
		i.ui.Say("in a BUCK file, beside an api.proto:\n%s", targets)
	}
	if len(i.migration.Lacks) > 0 {
		var lines []string
		for _, l := range i.migration.Lacks {
			lines = append(lines, l.String())
		}
		i.ui.Say("without an equivalent, or left to you:\n%s", strings.Join(lines, "\n"))
	}
}

// nextOf prints what follows after --from.
func (i *initial) nextOf() {
	i.equivalents()
	if len(i.wanted) > 0 {
		i.ui.Say("next: lockgen add %s", strings.Join(i.wanted, " "))
	}
}
