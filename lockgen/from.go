package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/lockgen/adopt"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// starterProtoc is what a new plugins.toml begins with.
const starterProtoc = "36.2"

// adopt plans a plugins.toml that asks for what --from leads to. What is asked for
// there already stays as it is.
func (i *initial) adopt(ctx context.Context) error {
	l, _, err := lock.Read(i.lockName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		i.notes = append(i.notes, "no digest of the lock is compared: "+err.Error())
	}
	if err != nil {
		l = nil
	}
	var ask func(string) (string, error)
	if i.runs {
		ask = func(path string) (string, error) { return askVersion(ctx, path) }
	}
	if i.adopted, err = adopt.From(i.from, l, ask); err != nil {
		return err
	}
	i.wanted = i.adopted.Wanted(func(a, b string) bool {
		c, _ := proc.CompareToolVersions(a, b)
		return c > 0
	})
	before, err := os.ReadFile(i.name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := before
	if i.created {
		before, text = nil, []byte(head(startPlatforms)+"[plugins]\n")
		if !slices.ContainsFunc(i.wanted, func(spec string) bool { return strings.HasPrefix(spec, "protoc@") }) {
			i.wanted = append([]string{"protoc@" + starterProtoc}, i.wanted...)
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
					"; that stays as it is. To have both: lockgen add "+spec)
			}
			continue
		}
		wanted = append(wanted, spec)
		if !given {
			continue // lockgen add finds the newest
		}
		if text, err = edit.AddVersion(i.name, text, name, version); err != nil {
			return err
		}
	}
	i.wanted = wanted
	for _, o := range i.adopted.Owns {
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

// askVersion runs a program, which gets nothing of the user's and no network, and
// reads what version it says it has.
func askVersion(ctx context.Context, path string) (string, error) {
	home, err := os.MkdirTemp("", "lockgen-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(home)
	out, err := proc.Sandbox{Name: filepath.Base(path), Path: files.Absolute(path), Args: []string{"--version"}, Dir: home, Home: home}.Run(ctx)
	if err != nil {
		return "", err
	}
	version := proc.SaidVersion(string(out))
	if version == "" {
		return "", errors.New("it printed no version")
	}
	// Releases of protoc from 21 on are called without the 3 that it prints.
	if rest, ok := strings.CutPrefix(version, "3."); ok && strings.HasPrefix(string(out), "libprotoc ") {
		if c, _ := proc.CompareToolVersions(rest, "21"); c >= 0 {
			version = rest
		}
	}
	return version, nil
}

// nextOf is next after --from: what to lock, the lines of a BUCK file, and what
// has no equivalent.
func (i *initial) nextOf() {
	if targets := i.adopted.Targets(i.cell); targets != "" {
		i.ui.Say("in a BUCK file, beside an api.proto:\n%s", targets)
	}
	if len(i.adopted.Lacks) > 0 {
		var lines []string
		for _, l := range i.adopted.Lacks {
			lines = append(lines, l.String())
		}
		i.ui.Say("has no equivalent, or is for you to do:\n%s", strings.Join(lines, "\n"))
	}
	if len(i.wanted) > 0 {
		i.ui.Say("next: lockgen add %s", strings.Join(i.wanted, " "))
	}
}
