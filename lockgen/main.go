// Lockgen pins what plugins.toml asks for in plugins.lock.toml: every protoc
// plugin, for every platform, down to the last transitive package. Run
// "lockgen help" for its manual.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// memory is what the garbage collector aims to stay below, in bytes: lockgen
// reads files of any size in small pieces, and its peak is to stay below 64 MiB.
const memory = 40 << 20

func main() {
	debug.SetMemoryLimit(memory)
	ctx, stop := ui.Context()
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// A command is one verb of lockgen.
type command struct {
	name string
	args string // after the name, in the usage line
	run  func(ctx context.Context, p *program) error
	// flags adds the command's own flags, nil for none.
	flags func(fs *pflag.FlagSet, p *program)
	help  string
}

// commands lists the verbs in the order of the manual.
func commands() []command {
	return []command{
		{name: "init", run: runInit, help: helpInit},
		{name: "update", args: " [NAME[@VERSION]…]", run: runUpdate, help: helpUpdate, flags: func(fs *pflag.FlagSet, p *program) {
			fs.BoolVar(&p.all, "all", false, "resolve every plugin again")
			fs.BoolVar(&p.verify, "verify", false, "resolve and download everything again and compare")
			fs.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		}},
		{name: "add", args: " NAME[@VERSION]…", run: runAdd, help: helpAdd, flags: func(fs *pflag.FlagSet, p *program) {
			fs.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		}},
		{name: "remove", args: " NAME[@VERSION]…", run: runRemove, help: helpRemove},
		{name: "check", run: runCheck, help: helpCheck, flags: func(fs *pflag.FlagSet, p *program) {
			fs.BoolVar(&p.upstream, "upstream", false, "ask every source again")
			fs.BoolVar(&p.verify, "verify", false, "with --upstream: download what has no digest upstream")
		}},
		{name: "list", run: runList, help: helpList},
		{name: "explain", args: " NAME[@VERSION]", run: runExplain, help: helpExplain, flags: func(fs *pflag.FlagSet, p *program) {
			fs.BoolVar(&p.upstream, "upstream", false, "ask every source whether it could serve")
			fs.StringVar(&p.why, "why", "", "why this package is in the closure")
		}},
		{name: "outdated", run: runOutdated, help: helpOutdated},
		{name: "diff", args: " [REV|FILE]", run: runDiff, help: helpDiff},
		{name: "mirror", args: " [NAME[@VERSION]…]", run: runMirror, help: helpMirror, flags: func(fs *pflag.FlagSet, p *program) {
			fs.StringVar(&p.to, "to", "", "where to push")
			fs.BoolVar(&p.trees, "trees", false, "push ready folders as well")
			fs.StringArrayVar(&p.platforms, "platform", nil, "only for this platform")
			fs.StringArrayVar(&p.bundles, "bundle", nil, "only this bundle")
		}},
		{name: "doctor", run: runDoctor, help: helpDoctor, flags: func(fs *pflag.FlagSet, p *program) {
			fs.StringVar(&p.manager, "manager", "", "look at this tool alone")
			fs.StringVar(&p.minVersion, "min-version", "", "with --manager: the oldest version that will do")
		}},
		{name: "merge-driver", args: " BASE OURS THEIRS", run: runMergeDriver, help: helpMergeDriver},
	}
}

// A program is one run of lockgen.
type program struct {
	ui   *ui.UI
	env  func(string) string
	args []string // behind the command

	manifest, lock           string // paths; found where not given
	manifestGiven, lockGiven string
	offline, verify, all     bool
	noSmoke                  bool   // update, add
	upstream                 bool   // check, explain: ask the sources
	why                      string // explain: a package
	manager, minVersion      string // doctor

	to                 string   // mirror
	trees              bool     // likewise
	platforms, bundles []string // likewise

	// Tests set them; the zero values are good.
	timeouts    remote.Timeouts
	maxArtifact int64
	now         time.Time
}

// run is the whole program: arguments without its name, the environment, and
// where results and talk go. It returns the exit status.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	return newProgram(env, stdout, stderr).run(ctx, args)
}

func newProgram(env func(string) string, stdout, stderr io.Writer) *program {
	return &program{ui: ui.New("lockgen", stdout, stderr), env: env}
}

func (p *program) run(ctx context.Context, args []string) int {
	// Known before the flags are parsed, so that their errors are JSON as well.
	p.ui.JSON = slices.Contains(args, "--json")
	err := p.main(ctx, args)
	var told *toldError
	if errors.As(err, &told) {
		return int(fault.Of(told.err))
	}
	return p.ui.Fail(err)
}

// A toldError is an error that was already printed, as part of a result.
type toldError struct{ err error }

func (e *toldError) Error() string { return e.err.Error() }

func (p *program) main(ctx context.Context, args []string) error {
	var help, version bool
	global := func(fs *pflag.FlagSet) {
		fs.StringVar(&p.manifestGiven, "manifest", p.manifestGiven, "")
		fs.StringVar(&p.lockGiven, "lock", p.lockGiven, "")
		fs.BoolVar(&p.offline, "offline", p.offline, "")
		fs.BoolVar(&p.ui.JSON, "json", p.ui.JSON, "")
		fs.BoolVarP(&p.ui.Quiet, "quiet", "q", p.ui.Quiet, "")
		fs.BoolVarP(&p.ui.Verbose, "verbose", "v", p.ui.Verbose, "")
		fs.BoolVarP(&help, "help", "h", help, "")
		fs.BoolVar(&version, "version", version, "")
	}
	before := pflag.NewFlagSet("lockgen", pflag.ContinueOnError)
	before.SetInterspersed(false)
	global(before)
	if err := parse(before, args, "lockgen help"); err != nil {
		return err
	}
	rest := before.Args()
	if version {
		return p.printVersion()
	}
	if len(rest) > 0 && rest[0] == "help" {
		help, rest = true, rest[1:]
	}
	if len(rest) == 0 {
		if help {
			p.ui.Result("%s", strings.TrimRight(manual(), "\n"))
			return nil
		}
		return fault.Errorf(fault.Usage, "run: lockgen help", "no command given")
	}
	c, err := find(rest[0])
	if err != nil {
		return err
	}
	own := pflag.NewFlagSet("lockgen "+c.name, pflag.ContinueOnError)
	global(own)
	if c.flags != nil {
		c.flags(own, p)
	}
	if err := parse(own, rest[1:], "lockgen help "+c.name); err != nil {
		return err
	}
	p.args = own.Args()
	if help {
		p.ui.Result("%s", strings.TrimRight(c.manual(), "\n"))
		return nil
	}
	if version {
		return p.printVersion()
	}
	if c.args == "" && len(p.args) > 0 {
		return fault.Errorf(fault.Usage, "run: lockgen help "+c.name, "lockgen %s takes no argument, got %q", c.name, p.args[0])
	}
	if own.Changed("manifest") && p.manifestGiven == "" || own.Changed("lock") && p.lockGiven == "" {
		return fault.Errorf(fault.Usage, "give the path of a file", "an empty path")
	}
	return c.run(ctx, p)
}

func find(name string) (command, error) {
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	mend := lock.DidYouMean(name, names, "commands are "+strings.Join(names, ", "))
	return command{}, fault.Errorf(fault.Usage, mend, "unknown command %q", name)
}

// parse parses flags; an unknown one is told with the nearest known one.
func parse(fs *pflag.FlagSet, args []string, help string) error {
	fs.SortFlags = true
	fs.Usage = func() {}
	fs.SetOutput(io.Discard)
	err := fs.Parse(args)
	if err == nil {
		return nil
	}
	mend := "run: " + help
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var known []string
		fs.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := lock.Nearest(unknown.GetSpecifiedName(), known); near != "" {
			mend = "did you mean --" + near + "? otherwise " + mend
		}
	}
	return fault.Errorf(fault.Usage, mend, "%w", err)
}

func (p *program) printVersion() error {
	v := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v = info.Main.Version
	}
	if p.ui.JSON {
		return p.ui.Data(map[string]any{"version": v, "schema": lock.Schema})
	}
	p.ui.Result("lockgen %s (lock schema %d)", v, lock.Schema)
	return nil
}

// locate finds the manifest and the lock: the manifest here or above, the lock
// beside it, unless given.
func (p *program) locate() error {
	p.manifest, p.lock = p.manifestGiven, p.lockGiven
	if p.manifest == "" {
		name, err := lock.FindManifest(".")
		if err != nil {
			return err
		}
		p.manifest = name
	}
	if p.lock == "" {
		p.lock = filepath.Join(filepath.Dir(p.manifest), lock.FileName)
	}
	if filepath.Ext(p.lock) != ".toml" {
		return fault.Errorf(fault.Usage, "name it "+lock.FileName, "lock %s does not end in .toml, which Buck2 demands", p.lock)
	}
	return nil
}

// locateLock finds the lock alone, for what needs no manifest.
func (p *program) locateLock() error {
	if p.lockGiven == "" && p.manifestGiven == "" {
		name, err := lock.FindLock(".")
		if err != nil {
			return err
		}
		p.lock = name
		return nil
	}
	if err := p.locate(); err != nil && p.lockGiven == "" {
		return err
	}
	return nil
}

// count is "1 plugin" or "2 plugins".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
