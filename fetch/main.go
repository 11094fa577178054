// Command fetch turns one locked plugin into one folder, from verified bytes
// only.
//
// It reads plugins.lock.toml, which lockgen wrote, and never picks a version.
// Run "fetch --help" for the commands and the exit statuses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

const usage = `fetch installs locked protobuf plugins from verified bytes.

Usage:
  fetch get NAME[@VERSION]              install if needed, print the path of its executable
  fetch run NAME[@VERSION] -- ARGS...   install if needed, then run it
  fetch install --entry FILE --out DIR  install one lock entry into a new folder (what a Buck2 action calls)
  fetch bundle NAME [--from PLACE]      install every plugin of a bundle, print a PATH line for each
  fetch env [NAME...]                   install plugins, print the line that puts them on PATH
  fetch cache verify [--repair]         read the whole cache again and say what is damaged
  fetch cache clear [--older-than AGE]  free the space of what was not used lately
  fetch stats [--reset]                 where plugins came from, over all runs

Examples:
  fetch get ts-proto
  protoc --plugin=protoc-gen-ts_proto="$(fetch get ts-proto@2.7.2)" --ts_proto_out=. api.proto
  fetch run protoc -- --version
  eval "$(fetch bundle typescript --from oci://registry.example.com/plugins)"

Flags:
%s
Environment:
  BUCK2_PROTOBUF_CACHE_DIR                 where verified bytes and installed plugins are kept
  BUCK2_PROTOBUF_NODE_MANAGER              npm, pnpm, yarn, bun or none: what builds the folder of an npm plugin
                                           (default: the locked npm, else the first of them that is found)
  BUCK2_PROTOBUF_WHEEL_MANAGER             pip, uv or none (the default): what builds the folder of a pip plugin
  BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS  1 runs no package manager; npm and pip plugins are unpacked by fetch itself
  BUCK2_PROTOBUF_PYTHON                    the Python that runs plugins, a path or a name on PATH

Exit status:
  0 ok, 1 a fault of fetch, 2 usage or plugins.toml, 3 plugins.lock.toml, 4 network or registry,
  5 wrong bytes, 6 refused by policy, 7 this machine (disk, permission, missing tool), 130 interrupted
`

// options are the flags of all commands.
type options struct {
	lock, manifest string
	platform       string
	entry, out     string
	files          []string
	registries     string
	mirrors        string
	from           string
	cacheDir       string
	nodeManager    string
	wheelManager   string
	noManagers     bool
	python         string
	offline        bool
	timeout        time.Duration
	json           bool
	quiet, verbose bool
	version        bool
	reset          bool
	repair, dryRun bool
	bundle, shell  string
	olderThan      string
}

func flags(o *options, env func(string) string) *pflag.FlagSet {
	f := pflag.NewFlagSet("fetch", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVar(&o.lock, "lock", "", "the lock (default: plugins.lock.toml here or above)")
	f.StringVar(&o.manifest, "manifest", "", "the manifest, for its [registries], [[mirror]], [bundles] and node-manager (default: plugins.toml beside the lock)")
	f.Var((*single)(&o.platform), "platform", "platform to install for (default: this machine's)")
	f.StringVar(&o.entry, "entry", "", "install: the lock entry, as JSON")
	f.StringVar(&o.out, "out", "", "install: the folder to make")
	f.StringArrayVar(&o.files, "file", nil, "install: KEY=PATH of a file that is here already; repeatable")
	f.StringVar(&o.registries, "registries", "", "install: the [registries] of the manifest, as JSON")
	f.StringVar(&o.mirrors, "mirrors", "", "install: the mirrors of the manifest, as JSON")
	f.StringVar(&o.from, "from", "", "look there first for everything: oci://HOST/REPO or oci-layout:DIR, see lockgen mirror")
	f.StringVar(&o.cacheDir, "cache-dir", env("BUCK2_PROTOBUF_CACHE_DIR"), "where verified bytes are kept")
	f.StringVar(&o.nodeManager, "node-manager", env("BUCK2_PROTOBUF_NODE_MANAGER"), "npm, pnpm, yarn, bun or none")
	f.StringVar(&o.wheelManager, "wheel-manager", env("BUCK2_PROTOBUF_WHEEL_MANAGER"), "pip, uv or none")
	f.BoolVar(&o.noManagers, "disable-package-managers", truth(env("BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS")), "run no package manager")
	f.StringVar(&o.bundle, "bundle", "", "env: the plugins of this bundle of plugins.toml")
	f.StringVar(&o.shell, "shell", "", "env, bundle: sh, fish, powershell or cmd (default: this machine's)")
	f.StringVar(&o.python, "python", env("BUCK2_PROTOBUF_PYTHON"), "the Python that runs plugins (default: one on PATH that is locked for)")
	f.BoolVar(&o.repair, "repair", false, "cache verify: remove what is damaged; its next use fetches it again")
	f.StringVar(&o.olderThan, "older-than", "1h", "cache clear: remove what was not used for that long: 12h, 30d, 2w")
	f.BoolVar(&o.dryRun, "dry-run", false, "cache clear: only say what would be removed")
	f.BoolVar(&o.reset, "reset", false, "stats: begin to count anew")
	f.BoolVar(&o.offline, "offline", false, "make no connection")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "time for the whole command, not for what run runs; 0 for no end")
	f.BoolVar(&o.json, "json", false, "print the result, or the error, as JSON")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress, no talk")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say more")
	f.BoolVar(&o.version, "version", false, "print the version of fetch")
	return f
}

// single is a flag that is given once, with a value.
type single string

// String is pflag.Value's.
func (s *single) String() string { return string(*s) }

// Type is pflag.Value's.
func (s *single) Type() string { return "string" }

// Set is pflag.Value's.
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

// owners are the commands of the flags that are not for all.
var owners = map[string][]string{
	"entry": {"install"}, "out": {"install"}, "file": {"install"}, "registries": {"install"}, "mirrors": {"install"},
	"bundle": {"env"}, "shell": {"env", "bundle"},
	"repair": {"cache verify"}, "older-than": {"cache clear"}, "dry-run": {"cache clear"},
	"reset": {"stats"},
}

// misplaced is the error for a flag that belongs to other commands.
func misplaced(f *pflag.FlagSet) (err error) {
	f.Visit(func(g *pflag.Flag) {
		of, ok := owners[g.Name]
		command := strings.Join(f.Args(), " ") + " "
		if ok && err == nil && !slices.ContainsFunc(of, func(name string) bool { return strings.HasPrefix(command, name+" ") }) {
			err = fault.Errorf(fault.Usage, "leave it out, or see: fetch --help", "--%s is a flag of fetch %s", g.Name, strings.Join(of, " and fetch "))
		}
	})
	return err
}

// truth reads a switch of the environment.
func truth(s string) bool { return s != "" && s != "0" && s != "false" }

// commands maps each name to what it does with the arguments after it.
var commands = map[string]func(context.Context, *app, []string) error{
	"bundle":  runBundle,
	"cache":   runCache,
	"env":     runEnv,
	"get":     get,
	"install": runInstall,
	"run":     runPlugin,
	"stats":   runStats,
}

func main() {
	ctx, stop := ui.Context()
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	var o options
	f := flags(&o, env)
	u := ui.New("fetch", stdout, stderr)
	// What follows -- belongs to the plugin, flags and all.
	own, rest := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		own, rest = args[:i], args[i+1:]
	}
	err := f.Parse(own)
	u.JSON, u.Quiet, u.Verbose = o.json, o.quiet, o.verbose
	switch {
	case errors.Is(err, pflag.ErrHelp):
		u.Result("%s", strings.TrimRight(fmt.Sprintf(usage, f.FlagUsages()), "\n"))
		return u.Fail(nil)
	case err != nil:
		return u.Fail(fault.Errorf(fault.Usage, "run: fetch --help", "%w", err))
	case o.version:
		u.Result("%s", version())
		return u.Fail(nil)
	case f.NArg() == 0:
		return u.Fail(fault.Errorf(fault.Usage, "run: fetch --help", "no command"))
	}
	name := f.Arg(0)
	command, ok := commands[name]
	if !ok {
		names := slices.Sorted(maps.Keys(commands))
		mend := lock.DidYouMean(name, names, "commands are "+strings.Join(names, ", "))
		return u.Fail(fault.Errorf(fault.Usage, mend, "unknown command %q", name))
	}
	if err := misplaced(f); err != nil {
		return u.Fail(err)
	}
	a := &app{ui: u, opts: o, rest: rest, loginShell: filepath.Base(env("SHELL"))}
	err = a.timed(ctx, func(ctx context.Context) error { return command(ctx, a, f.Args()[1:]) })
	a.close()
	if a.store != nil {
		a.store.Release()
	}
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if err != nil && ctx.Err() != nil {
		err = fault.Errorf(fault.Interrupted, "", "%w", err)
	}
	return u.Fail(err)
}

// timed runs a command for as long as --timeout says. What was going on when that
// was over decides the class: Upstream for a download, else Machine, such as for
// a child that hangs and was ended with all that it had started.
func (a *app) timed(ctx context.Context, command func(context.Context) error) error {
	if a.opts.timeout < 0 {
		return fault.Errorf(fault.Usage, "write a duration such as 90s, 10m or 2h, or 0 for no end", "--timeout %s is negative", a.opts.timeout)
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

// version is the module version that Go recorded in the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "fetch (unknown version)"
	}
	return "fetch " + info.Main.Version
}
