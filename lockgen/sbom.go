package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/sbom"
)

var sbomVerb = &cli.Verb[program]{
	Name: "sbom", Short: "write a software bill of materials",
	Long: `Lists every locked plugin and its files with their package URL (purl), SHA-256,
upstream digest, platforms, and the plugins that they are locked for, as
CycloneDX 1.6 or SPDX 2.3 in JSON. The same files give the same bytes:
identifiers are derived from the digest of the lock. SPDX requires a time, which
is SOURCE_DATE_EPOCH, or the beginning of 1970.`,
	Example: `lockgen sbom --output plugins.cdx.json
lockgen sbom --format spdx --output plugins.spdx.json`,
	Run: runSBOM,
	Flags: func(f *pflag.FlagSet, p *program) {
		cli.Choice(f, &p.format, "format", "cyclonedx", "`FORMAT` is cyclonedx (the default) or spdx", "cyclonedx", "spdx")
		f.StringVar(&p.output, "output", "", "write `FILE` instead of standard output")
		dryOutputFlag(f, p)
	},
}

func runSBOM(_ context.Context, p *program, _ []string) error {
	if _, err := p.readManifest(); err != nil {
		return err
	}
	l, data, err := p.readLock()
	if err != nil {
		return err
	}
	b, err := sbom.New(l, data)
	if err != nil {
		return err
	}
	created, err := sourceDate(p.env)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if p.format == "spdx" {
		err = b.SPDX(&text, created)
	} else {
		err = b.CycloneDX(&text)
	}
	if err != nil {
		return err
	}
	return p.deliver(plain.JSON(text.Bytes()))
}

// sourceDate returns the time in SOURCE_DATE_EPOCH, or the beginning of 1970
// (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate(env func(string) string) (time.Time, error) {
	s := env("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<36 {
		return time.Time{}, fault.Errorf(fault.Usage, "set it to the seconds since 1970, for example: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or unset it",
			"SOURCE_DATE_EPOCH is %q, expected a number of seconds", s)
	}
	return time.Unix(n, 0).UTC(), nil
}

// deliver writes a result to --output, or prints it: without a file, and for "-".
func (p *program) deliver(text []byte) error {
	if p.output == "" || p.output == "-" {
		p.ui.Result("%s", bytes.TrimRight(text, "\n"))
		return nil
	}
	if info, err := os.Stat(p.output); err == nil && !info.Mode().IsRegular() {
		return fault.Errorf(fault.Machine, "give the path of a file", "%s is not a regular file", p.output)
	}
	before, err := os.ReadFile(p.output)
	switch {
	case err == nil && before == nil:
		before = []byte{}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fault.Errorf(fault.Machine, "give the path of a file that can be written", "reading %s: %w", p.output, err)
	}
	for _, name := range []string{p.manifest, p.lock} {
		if a, err := filepath.Abs(files.Followed(name)); err == nil && name != "" {
			if b, err := filepath.Abs(files.Followed(p.output)); err == nil && a == b {
				return fault.Errorf(fault.Usage, "choose another file", "the output %s would replace %s", p.output, name)
			}
		}
	}
	w := files.Write{Name: p.output, Before: before, After: text}
	if p.dryRun {
		if err := files.Writable(w); err != nil {
			return err
		}
	}
	switch {
	case p.dryRun && !w.Changes():
		p.ui.Say("%s is up to date; nothing was written", p.output)
		return nil
	case p.dryRun && before == nil:
		p.ui.Say("would create %s (%s); nothing was written", p.output, plain.Bytes(int64(len(text))))
		return nil
	case p.dryRun:
		p.ui.Say("would replace %s (%s); nothing was written", p.output, plain.Bytes(int64(len(text))))
		return nil
	}
	if err := files.Replace(w); err != nil {
		return err
	}
	p.ui.Say("wrote %s", p.output)
	return nil
}

// dryOutputFlag adds --dry-run to commands that write a single result file,
// whose differences nobody reads.
func dryOutputFlag(f *pflag.FlagSet, p *program) {
	f.BoolVar(&p.dryRun, "dry-run", false, "report whether the file would change, and write nothing")
}
