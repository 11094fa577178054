// Command fetch installs locked plugins from verified bytes only.
//
// It reads plugins.lock.toml, which lockgen wrote, and never chooses a version.
// Run "fetch help" for the commands and the exit statuses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// table is the command line of fetch.
var table = cli.Program[app]{
	Name:  "fetch",
	Short: "install locked protoc plugins from verified files",
	Long: `fetch installs locked protobuf plugins from verified bytes: exactly those in
plugins.lock.toml. It never chooses a version.`,
	Example: `fetch get ts-proto             print the path of its executable
fetch run protoc --version     run it
fetch env                      print a line that puts plugins on PATH`,
	Verbs:  []*cli.Verb[app]{getVerb, runVerb, installVerb, envVerb, bundleVerb, protosVerb, cacheVerifyVerb, cacheClearVerb, statsVerb},
	Flags:  flags,
	Values: values,
	Others: [][2]string{
		{"exec", "fetch run NAME"}, {"which", "fetch get NAME"}, {"path", "fetch get NAME"}, {"list", "lockgen list"}, {"ls", "lockgen list"},
		{"init", "lockgen init"}, {"add", "lockgen add NAME"}, {"remove", "lockgen remove NAME"}, {"update", "lockgen update"}, {"upgrade", "lockgen upgrade"},
		{"check", "lockgen check"}, {"search", "lockgen search WORD"}, {"outdated", "lockgen outdated"}, {"doctor", "lockgen doctor"},
	},
	Notes: `environment:
  BUCK2_PROTOBUF_CACHE_DIR                 as --cache-dir
  BUCK2_PROTOBUF_NODE_MANAGER              as --node-manager
  BUCK2_PROTOBUF_WHEEL_MANAGER             as --wheel-manager
  BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS  1 is --disable-package-managers
  BUCK2_PROTOBUF_PYTHON                    as --python
  NO_COLOR                                 any value is --color never
  CLICOLOR_FORCE                           any value but 0 is --color always

The manual is in the other program: lockgen help TOPIC`,
}

// options are the flags of all verbs.
type options struct {
	lock, manifest string
	platform       string
	from           string
	cacheDir       string
	nodeManager    string
	wheelManager   string
	noManagers     bool
	python         string
	offline        bool
	timeout        time.Duration

	entry, out     string   // install
	files          []string // likewise
	registries     string   // likewise
	library        string   // likewise
	with           []string // likewise
	mirrors        string   // likewise
	bundle         string   // env
	shell          string   // env, bundle
	repair, dryRun bool     // cache verify; cache clear, protos
	olderThan      string   // cache clear
	reset          bool     // stats
}

// flags adds the flags that every verb accepts. Those that only some verbs use are
// hidden; see [cli.Verb.Uses].
func flags(f *pflag.FlagSet, a *app) {
	o := &a.opts
	f.StringVar(&o.lock, "lock", "", "the lock `FILE` (default: plugins.lock.toml here or in a folder above)")
	f.StringVar(&o.manifest, "manifest", "", "the manifest `FILE`, for [registries], [[mirror]], [bundles] and node-manager (default: plugins.toml beside the lock)")
	f.Var((*single)(&o.platform), "platform", "the platform `NAME` to install for (default: this machine's)")
	f.StringVar(&o.from, "from", "", "look for files in this `PLACE` first: oci://HOST/REPO or oci-layout:DIR, see lockgen mirror")
	f.StringVar(&o.nodeManager, "node-manager", a.env("BUCK2_PROTOBUF_NODE_MANAGER"), "what installs npm plugins; `TOOL` is npm, pnpm, yarn, bun or none (default: the locked npm, or the first that is found)")
	f.StringVar(&o.wheelManager, "wheel-manager", a.env("BUCK2_PROTOBUF_WHEEL_MANAGER"), "what installs pip plugins; `TOOL` is pip, uv or none (default: none)")
	f.BoolVar(&o.noManagers, "disable-package-managers", truth(a.env("BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS")), "run no package manager: fetch unpacks npm and pip plugins itself")
	f.StringVar(&o.python, "python", a.env("BUCK2_PROTOBUF_PYTHON"), "what runs Python plugins; `PYTHON` is a path or a name on PATH (default: one on PATH whose version is locked)")
	f.BoolVar(&o.offline, "offline", false, "do not use the network")
	for _, name := range installs {
		f.Lookup(name).Hidden = true
	}
	f.StringVar(&o.cacheDir, "cache-dir", a.env("BUCK2_PROTOBUF_CACHE_DIR"), "store downloads and installed plugins in this `DIR`")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "the `TIME` limit for the command, without the program that run starts (default: 30m); 0 for no limit")
}

// installs lists the flags of the verbs that install plugins of a lock.
var installs = []string{"lock", "manifest", "platform", "from", "node-manager", "wheel-manager", "disable-package-managers", "python", "offline"}

// single is a flag that may be given only once, with a value.
type single string

// String implements [pflag.Value].
func (s *single) String() string { return string(*s) }

// Type implements [pflag.Value].
func (s *single) Type() string { return "string" }

// Set implements [pflag.Value].
func (s *single) Set(value string) error {
	switch {
	case value == "":
		return errors.New("it is empty")
	case *s != "":
		return fmt.Errorf("it was %s before", *s)
	}
	*s = single(value)
	return nil
}

// truth parses a boolean environment variable.
func truth(s string) bool { return s != "" && s != "0" && s != "false" }

func main() {
	ctx, stop := ui.Context()
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run runs the program and returns its exit status.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	a := &app{ui: ui.New("fetch", stdout, stderr), env: env, loginShell: filepath.Base(env("SHELL"))}
	command, err := table.Parse(a.ui, a, args)
	if err != nil {
		return a.ui.Fail(err)
	}
	err = a.timed(ctx, command)
	a.close()
	if a.store != nil {
		a.store.Settle(err)
		a.store.Release()
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if err != nil && ctx.Err() != nil {
		err = fault.Errorf(fault.Interrupted, "", "%w", err)
	}
	return a.ui.Fail(err)
}

// timed runs a command with the limit of --timeout. If the time is over during a
// download, the error is of class [fault.Upstream]; otherwise, such as for a child
// process that hangs, it is of class [fault.Machine].
func (a *app) timed(ctx context.Context, command func(context.Context) error) error {
	if a.opts.timeout < 0 {
		return fault.Errorf(fault.Usage, "write a duration such as 90s, 10m or 2h, or 0 for no limit", "--timeout %s is negative", a.opts.timeout)
	}
	if a.opts.timeout == 0 {
		return command(ctx)
	}
	over := errors.New("out of time")
	timed, stop := context.WithTimeoutCause(ctx, a.opts.timeout, over)
	defer stop()
	err := command(timed)
	if err == nil || context.Cause(timed) != over {
		return err
	}
	class := fault.Machine
	if fault.Of(err) == fault.Upstream {
		class = fault.Upstream
	}
	return fault.About(fault.AboutTime, fault.Errorf(class, "see whether what it names hangs, or give it more time, such as --timeout "+(2*a.opts.timeout).String(),
		"not done within %s: %w", a.opts.timeout, err))
}
