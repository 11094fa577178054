package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/change"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var checkVerb = &cli.Verb[program]{
	Name: "check", Short: "check that plugins.lock.toml matches plugins.toml",
	Long: `Reads only the two files: it uses no network and no cache, and writes nothing.
The lock must be well formed, in canonical form, and match the manifest exactly.
Otherwise every difference is printed and the exit status is 3. The exit status
is 6 for plugins that allow or min-trust of [policy] reject. Only the source
knows whether a digest belongs to the file beside it: fetch asks the source for
every new pair, and --upstream asks too.

With --upstream, it also asks the sources whether every locked file still exists
with the locked digest, without downloading it. The exit status is 5 for changed
bytes, and 4 for files that were deleted or cannot be reached. Versions that are
yanked, retracted or deprecated can still be downloaded and cause a warning. So
do files by URL, whose existence and size are all that can be checked; --verify
downloads and compares them.`,
	Example: `lockgen check
lockgen check --json
lockgen check --upstream`,
	JSON: true, Run: runCheck,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.upstream, "upstream", false, "ask every source again for what is locked")
		f.BoolVar(&p.verify, "verify", false, "with --upstream: download what has no digest upstream")
	},
}

// runCheck compares the lock with the manifest. With --upstream it also asks
// the sources.
func runCheck(ctx context.Context, p *program, _ []string) error {
	if err := p.locate(); err != nil {
		return err
	}
	if p.verify && !p.upstream {
		return fault.Errorf(fault.Usage, "run: lockgen check --upstream --verify", "--verify needs --upstream")
	}
	m, _, err := manifest.Read(p.manifest)
	if err != nil {
		return err
	}
	if _, err := plan.Wants(m, nil); err != nil { // report errors of the manifest before those of the lock
		return err
	}
	l, data, err := lock.Read(p.lock)
	if err != nil {
		return err
	}
	wants, err := plan.Wants(m, l)
	if err != nil {
		return err
	}
	if lock.CRLF(data, l) {
		return project.CRLF(p.lock)
	}
	if err := lock.Canonical(p.lock, data, l); err != nil {
		return err
	}
	if err := l.Consistent(p.lock); err != nil {
		return err
	}
	result := map[string]any{"ok": true, "lock": p.lock, "plugins": change.Plugins(l), "differences": []any{}}
	diffs := plan.Differences(m, wants, l)
	if len(diffs) > 0 {
		var b strings.Builder
		for _, d := range diffs {
			b.WriteString("\n" + d.String())
		}
		result["differences"] = diffs
		return p.refuse(result, fault.Errorf(fault.Lock, "run: lockgen update", "%s does not match %s: %s%s", p.lock, p.manifest, plain.Count(len(diffs), "difference"), b.String()))
	}
	if err := plan.CheckPolicy(m, l); err != nil {
		return err
	}
	if p.upstream {
		return p.checkUpstream(ctx, m, l, result)
	}
	if p.ui.JSON {
		return p.ui.Data(result)
	}
	if unsigned := plan.Unsigned(m, l); unsigned != "" {
		p.ui.Warn("%s", unsigned)
	}
	p.ui.Say("%s matches %s (%s)", p.lock, p.manifest, plain.Count(change.Plugins(l), "plugin"))
	return nil
}

// refuse ends a check with an error, which is part of the result in JSON.
func (p *program) refuse(result map[string]any, err error) error {
	if !p.ui.JSON {
		return err
	}
	result["ok"] = false
	result["error"] = ui.FailureOf(err)
	if err := p.ui.Data(result); err != nil {
		return err
	}
	return &toldError{err}
}

// checkUpstream asks every source for what is locked. The worst finding
// determines the status: changed bytes, then missing files.
func (p *program) checkUpstream(ctx context.Context, m *manifest.Manifest, l *lock.Lock, result map[string]any) error {
	o, err := p.options(l)
	if err != nil {
		return err
	}
	findings, asked, err := resolve.Upstream(ctx, m, o)
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
	result["asked"], result["unable"], result["upstream"] = asked, []string{}, findings
	if class != fault.OK {
		hint := "a mirror may still have it; otherwise choose another version: lockgen add NAME@VERSION"
		if class == fault.Integrity {
			hint = "do not accept the new bytes before their publisher explains them; caches and mirrors still have the locked ones"
		}
		return p.refuse(result, fault.Errorf(class, hint, "upstream no longer has what is locked: %s%s", plain.Count(bad, "finding"), b.String()))
	}
	if p.ui.JSON {
		return p.ui.Data(result)
	}
	p.ui.Say("%s matches %s and upstream (%s checked)", p.lock, p.manifest, plain.Count(asked, "file"))
	return nil
}
