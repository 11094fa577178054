package main

import (
	"context"
	_ "embed"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
	"github.com/birbparty/buck2-protobuf/lockgen/report"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var reportVerb = &cli.Verb[program]{
	Name: "report", Short: "write a page about what is locked",
	Long: `One HTML file that loads nothing from elsewhere. It shows the plugins by
platform, the evidence that they are locked on, sizes, bundles, and the closures
as trees. It can be searched, also by keyboard, and has a dark and a light
theme. With --outdated, it asks the sources how old the locked versions are, and
for newer ones. With --since, it shows the difference to a git revision or
another lock. The same files and answers give the same bytes.`,
	Example: `lockgen report --html report.html
lockgen report --html report.html --outdated --since main`,
	Run: runReport,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringVar(&p.output, "html", "", "write `FILE`; - is standard output")
		dryOutputFlag(f, p)
		f.BoolVar(&p.outdated, "outdated", false, "ask the sources for ages and newer versions")
		f.StringVar(&p.since, "since", "", "show what changed since `REV`, or against another lock")
	},
}

func runReport(ctx context.Context, p *program, _ []string) error {
	if p.output == "" {
		return fault.Errorf(fault.Usage, "write: lockgen report --html FILE", "lockgen report needs --html")
	}
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	l, data, err := p.readLock()
	if err != nil {
		return err
	}
	r, err := report.New(m, l, data)
	if err != nil {
		return err
	}
	if p.since != "" {
		old, err := p.oldVersion(ctx, p.since)
		if err != nil {
			return err
		}
		r.Since, r.Changes = p.since, diff.Locks(old, l)
	}
	var late error
	if p.outdated {
		o, err := p.options(l)
		if err != nil {
			return err
		}
		ages, err := resolve.Outdated(ctx, m, o)
		if ages == nil && err != nil {
			return err
		}
		r.Aged(ages)
		late = err
	}
	text, err := r.HTML()
	if err != nil {
		return err
	}
	if err := p.deliver(text); err != nil {
		return err
	}
	if late != nil {
		return fault.Errorf(fault.Of(late), fault.Hint(late), "not every source could be asked, as the page says: %w", late)
	}
	return nil
}
