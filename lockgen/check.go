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

// runCheck reads two files and writes none; with --upstream it asks the sources
// as well.
func runCheck(ctx context.Context, p *program) error {
	if err := p.locate(); err != nil {
		return err
	}
	if p.verify && !p.upstream {
		return fault.Errorf(fault.Usage, "run: lockgen check --upstream --verify", "--verify needs --upstream")
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
	result := map[string]any{"ok": true, "lock": p.lock, "plugins": plugins(l), "differences": []any{}}
	diffs := resolve.Differences(m, wants, l)
	if len(diffs) > 0 {
		var b strings.Builder
		for _, d := range diffs {
			b.WriteString("\n" + d.String())
		}
		result["differences"] = diffs
		return p.refuse(result, fault.Errorf(fault.Lock, "run: lockgen update", "%s does not fit %s: %s%s", p.lock, p.manifest, count(len(diffs), "difference"), b.String()))
	}
	if err := resolve.CheckPolicy(m, l); err != nil {
		return err
	}
	if p.upstream {
		return p.checkUpstream(ctx, m, l, result)
	}
	if p.ui.JSON {
		return p.ui.Data(result)
	}
	p.ui.Say("%s fits %s (%s)", p.lock, p.manifest, count(plugins(l), "plugin"))
	return nil
}

// refuse ends a check with an error, with JSON as part of its result.
func (p *program) refuse(result map[string]any, err error) error {
	if !p.ui.JSON {
		return err
	}
	class := fault.Of(err)
	result["ok"] = false
	result["error"] = map[string]any{"class": class.String(), "exit": int(class), "message": err.Error(), "mend": fault.Mend(err)}
	if err := p.ui.Data(result); err != nil {
		return err
	}
	return &toldError{err}
}

// checkUpstream asks every source for what is locked. The worst finding decides
// the status: replaced bytes, then what cannot be had any more.
func (p *program) checkUpstream(ctx context.Context, m *lock.Manifest, l *lock.Lock, result map[string]any) error {
	o, err := p.options(l)
	if err != nil {
		return err
	}
	findings, asked, unable, err := resolve.Still(ctx, m, o)
	if err != nil {
		return err
	}
	class, bad := fault.OK, 0
	var b strings.Builder
	for _, f := range findings {
		switch c := f.Class(); {
		case c == fault.OK:
			if !p.ui.JSON {
				p.ui.Warn("%s", f)
			}
			continue
		case class != fault.Integrity && (class == fault.OK || c == fault.Integrity):
			class = c
		}
		bad++
		b.WriteString("\n" + f.String())
	}
	if findings == nil {
		findings = []resolve.Finding{}
	}
	result["asked"], result["unable"], result["upstream"] = asked, list(unable), findings
	if class != fault.OK {
		mend := "a mirror may still have it; otherwise take another version: lockgen add NAME@VERSION"
		if class == fault.Integrity {
			mend = "do not take other bytes before their publisher explains them; what is in caches and mirrors is still what was locked"
		}
		return p.refuse(result, fault.Errorf(class, mend, "upstream does not have what is locked any more: %s%s", count(bad, "finding"), b.String()))
	}
	if p.ui.JSON {
		return p.ui.Data(result)
	}
	for _, u := range unable {
		p.ui.Warn("%s: its source cannot be asked by this version of lockgen", u)
	}
	p.ui.Say("%s fits %s, and upstream still has it (%s asked)", p.lock, p.manifest, count(asked, "file"))
	return nil
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
