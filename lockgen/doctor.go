package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/doctor"
	"github.com/spf13/pflag"
)

var doctorVerb = &cli.Verb[program]{
	Name: "doctor", Short: "show which tools this machine has and lacks",
	Long: `Finds package managers, compilers, Buck2 and git, compares their versions with
the oldest ones that work, and lists the plugins that need them. It also checks
the cache, and shows proxies (without passwords), the registries that clients
are configured with, and the Buck2 settings that our rules depend on. It changes
nothing. It asks registries only for their certificates, to detect proxies that
intercept TLS; with --offline it does not ask them. If the machine lacks
something that the lock needs, the exit status is 7, with a hint how to fix it.`,
	Example: `lockgen doctor
lockgen doctor --json
lockgen doctor --manager cargo --min-version 1.70.0`,
	JSON: true, Run: runDoctor,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringVar(&p.manager, "manager", "", "check only the tool `NAME`")
		f.StringVar(&p.minVersion, "min-version", "", "with --manager: the oldest `VERSION` to accept")
	},
}

// runDoctor checks the machine.
func runDoctor(ctx context.Context, p *program, _ []string) error {
	if p.manager != "" {
		return p.oneManager(ctx)
	}
	if p.minVersion != "" {
		return fault.Errorf(fault.Usage, "write: lockgen doctor --manager cargo --min-version "+p.minVersion, "--min-version needs --manager")
	}
	o := doctor.Options{Env: p.env, Offline: p.offline}
	var err error
	if o.Lock, o.LockName, o.Manifest, err = p.whatIsAsked(); err != nil {
		return err
	}
	if o.Dir, err = filepath.Abs(filepath.Dir(p.manifest)); err != nil {
		return err
	}
	d, err := doctor.Look(ctx, o)
	if err != nil {
		return err
	}
	return p.diagnosed(d, d.Err(), d.String)
}

// diagnosed prints the diagnosis, and returns the error for bad findings.
func (p *program) diagnosed(found any, bad error, text func() string) error {
	if p.ui.JSON {
		if err := p.ui.Data(found); err != nil || bad == nil {
			return err
		}
		return &toldError{bad}
	}
	if t := text(); t != "" {
		p.ui.Result("%s", t)
	}
	return bad
}

// oneManager checks only one tool.
func (p *program) oneManager(ctx context.Context) error {
	f, err := doctor.Tool(ctx, p.manager, p.minVersion)
	if err != nil {
		return err
	}
	return p.diagnosed(f, f.Err(), func() string {
		if f.Err() != nil {
			return ""
		}
		return f.Name + " " + f.Version + " " + f.Path
	})
}

// whatIsAsked reads the lock and the manifest, if they exist; without them
// nothing is needed. The name is that of the lock, "" for none.
func (p *program) whatIsAsked() (l *lock.Lock, name string, m *manifest.Manifest, err error) {
	m = &manifest.Manifest{}
	switch err := p.locate(); {
	case err == nil:
		if m, _, err = manifest.Read(p.manifest); err != nil {
			return nil, "", nil, err
		}
	case p.manifestGiven != "" || !errors.Is(err, fs.ErrNotExist):
		return nil, "", nil, err
	case p.lock == "":
		found, err := lock.Find(".")
		if err != nil {
			return &lock.Lock{}, "", m, nil
		}
		p.lock = found
	}
	l, _, err = lock.Read(p.lock)
	switch {
	case err == nil:
		return l, p.lock, m, nil
	case errors.Is(err, fs.ErrNotExist) && p.lockGiven == "":
		return &lock.Lock{}, "", m, nil
	}
	return nil, "", nil, err
}
