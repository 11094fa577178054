package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// runCheck reads two files and writes none.
func runCheck(_ context.Context, p *program) error {
	if err := p.locate(); err != nil {
		return err
	}
	m, _, err := lock.ReadManifest(p.manifest)
	if err != nil {
		return err
	}
	if _, err := resolve.Plan(m, nil); err != nil { // the manifest's faults before the lock's
		return err
	}
	l, data, err := lock.Read(p.lock)
	if err != nil {
		return err
	}
	wants, err := resolve.Plan(m, l)
	if err != nil {
		return err
	}
	if err := lock.Canonical(p.lock, data, l); err != nil {
		return err
	}
	diffs := resolve.Differences(m, wants, l)
	if len(diffs) == 0 {
		if err := resolve.CheckPolicy(m, l); err != nil {
			return err
		}
		if p.ui.JSON {
			return p.ui.Data(map[string]any{"ok": true, "lock": p.lock, "plugins": plugins(l), "differences": []any{}})
		}
		p.ui.Say("%s fits %s (%s)", p.lock, p.manifest, count(plugins(l), "plugin"))
		return nil
	}
	var b strings.Builder
	for _, d := range diffs {
		b.WriteString("\n" + d.String())
	}
	err = fault.Errorf(fault.Lock, "run: lockgen update", "%s does not fit %s: %s%s", p.lock, p.manifest, count(len(diffs), "difference"), b.String())
	if !p.ui.JSON {
		return err
	}
	if err := p.ui.Data(map[string]any{
		"ok": false, "lock": p.lock, "plugins": plugins(l), "differences": diffs,
		"error": map[string]any{"class": fault.Lock.String(), "exit": int(fault.Lock), "message": err.Error(), "mend": fault.Mend(err)},
	}); err != nil {
		return err
	}
	return &toldError{err}
}

// A locked is one line of lockgen list.
type locked struct {
	Name      string               `json:"name"`
	Version   string               `json:"version"`
	Source    string               `json:"source"`
	Package   string               `json:"package,omitempty"`
	Runtime   string               `json:"runtime,omitempty"`
	Trust     string               `json:"trust"`
	Files     int                  `json:"files"`
	Platforms map[string]lock.Cell `json:"-"`
	Cells     map[string]string    `json:"platforms"`
}

func runList(_ context.Context, p *program) error {
	if err := p.locateLock(); err != nil {
		return err
	}
	l, _, err := lock.Read(p.lock)
	if err != nil {
		return err
	}
	rows := []locked{}
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			v := l.Plugins[name][version]
			row := locked{Name: name, Version: version, Source: v.Source, Package: v.Package, Runtime: v.Runtime, Trust: v.Trust, Files: len(v.Files), Cells: map[string]string{}}
			for platform, c := range v.Platforms {
				switch {
				case c.Locked():
					row.Cells[platform] = "locked"
				case c.Emulate != "":
					row.Cells[platform] = "emulates " + c.Emulate
				default:
					row.Cells[platform] = "unavailable: " + c.Unavailable
				}
			}
			rows = append(rows, row)
		}
	}
	if p.ui.JSON {
		return p.ui.Data(rows)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVERSION\tSOURCE\tFILES\tPLATFORMS")
	for _, r := range rows {
		source := r.Source
		if r.Package != "" {
			source += ":" + r.Package
		}
		var have []string
		for _, platform := range lock.PlatformNames() {
			switch state := r.Cells[platform]; {
			case state == "locked":
				have = append(have, platform)
			case strings.HasPrefix(state, "emulates"):
				have = append(have, platform+"*")
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", r.Name, r.Version, source, r.Files, strings.Join(have, " "))
	}
	_ = w.Flush()
	text := strings.TrimRight(b.String(), "\n")
	if strings.Contains(text, "*") {
		text += "\n* by emulation"
	}
	p.ui.Result("%s", text)
	return nil
}

// starter is what lockgen init writes.
const starter = `# The protoc plugins of this repository. After an edit run: lockgen update
# What it locks is in plugins.lock.toml; commit both.

# Every plugin must exist for each of these.
platforms = ["linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64", "windows-x86_64"]

[plugins]
protoc = "30.2"

# TypeScript: a plugin from npm, and the node that runs it.
# node = "24.19.0"
# ts-proto = "2.7.2"

# A plugin that lockgen does not know by name:
# [plugins.acme-lint]
# version = "1.4.0"
# source = "https://example.com/v{version}/lint-{os}-{arch}.tar.gz"    # or npm:NAME, pip:NAME, cargo:NAME
# binary = "lint"

# One from the releases of a repository of GitHub, and one from a registry of OCI:
# [plugins.acme-docs]
# version = "2.0.1"
# source = "github:acme/docs"
# asset = "docs-{version}-{os}-{arch}.tar.gz"
# os = { macos = "darwin" }                 # the publisher's words, where they differ
# checksums = "checksums.txt"               # if it publishes such a file
# binary = "docs"
#
# [plugins.acme-go]
# version = "0.9.0"
# source = "oci://registry.example.com/acme/go:v{version}"
# binary = "protoc-gen-acme-go"
`

func runInit(_ context.Context, p *program) error {
	name := p.manifestGiven
	if name == "" {
		name = lock.ManifestName
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fault.Errorf(fault.Usage, "edit it, or run: lockgen add NAME@VERSION", "%s is there already; it was not touched", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(starter)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if p.ui.JSON {
		return p.ui.Data(map[string]string{"created": name})
	}
	p.ui.Say("wrote %s; edit it, then run: lockgen update", name)
	return nil
}
