// Lockgen pins the protoc plugins of plugins.toml in plugins.lock.toml, for
// every platform and including all transitive packages. Run "lockgen help" for
// the manual.
package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/docs"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// memory is the limit for the garbage collector, in bytes. lockgen reads files
// of any size in small pieces, and must stay below 64 MiB.
const memory = 40 << 20

func main() {
	debug.SetMemoryLimit(memory)
	ctx, stop := ui.Context()
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// table is the command line of lockgen.
var table = cli.Program[program]{
	Name:  "lockgen",
	Short: "pin protoc plugins for every platform",
	Long: `lockgen pins the protoc plugins of plugins.toml in plugins.lock.toml: exact
bytes, for every platform, including all transitive packages.`,
	Example: `lockgen init                   make a repository ready
lockgen add ts-proto@2.18.0    ask for a plugin and lock it
lockgen check                  does the lock fit? (for CI; no network)
lockgen help policy            read a page of the manual`,
	Verbs: []*cli.Verb[program]{initVerb, updateVerb, upgradeVerb, addVerb, removeVerb, searchVerb, checkVerb, listVerb, treeVerb, whyVerb, explainVerb, outdatedVerb, buckifyVerb, sbomVerb, reportVerb,
		diffVerb, mirrorVerb, doctorVerb, mergeDriverVerb, textconvVerb},
	Values: values,
	Topics: docs.Pages,
	Others: [][2]string{
		{"install", "lockgen add NAME"}, {"i", "lockgen add NAME"}, {"new", "lockgen init"},
		{"rm", "lockgen remove NAME"}, {"uninstall", "lockgen remove NAME"}, {"delete", "lockgen remove NAME"},
		{"ls", "lockgen list"}, {"show", "lockgen explain NAME"}, {"info", "lockgen explain NAME"}, {"view", "lockgen explain NAME"},
		{"lock", "lockgen update"}, {"sync", "lockgen update"}, {"verify", "lockgen check"}, {"audit", "lockgen check --upstream"},
		{"run", "fetch run NAME"}, {"get", "fetch get NAME"}, {"env", "fetch env"}, {"bundle", "fetch bundle NAME"},
	},
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringVar(&p.manifestGiven, "manifest", "", "read `FILE` instead of plugins.toml here or in a folder above")
		f.StringVar(&p.lockGiven, "lock", "", "use `FILE` instead of plugins.lock.toml beside the manifest")
		f.BoolVar(&p.offline, "offline", false, "do not use the network")
	},
	Notes: `environment:
  BUCK2_PROTOBUF_CACHE_DIR    where downloaded bytes are kept
  NO_COLOR                    any value is --color never
  CLICOLOR_FORCE              any value but 0 is --color always`,
}

// A program is one run of lockgen.
type program struct {
	ui      *ui.UI
	env     func(string) string
	clients clients.Set // of this machine

	manifest, lock           string // paths; found where not given
	manifestGiven, lockGiven string
	offline, verify, all     bool
	noSmoke                  bool     // update, upgrade, add
	catalogue                bool     // outdated
	latest                   bool     // upgrade: out of ranges too
	optional                 bool     // add: platforms may lack it
	binary                   string   // add: the executable of a package
	trial                    []string // add: options for its smoke run
	allowScripts             bool     // update, upgrade, add: code of crates may run
	dryRun                   bool     // of what writes
	check, regroup           bool     // buckify
	upstream                 bool     // check, explain: ask the sources
	why                      string   // explain: a package
	format, output           string   // sbom, report
	outdated                 bool     // report
	since                    string   // report
	markdown                 bool     // diff
	manager, minVersion      string   // doctor

	yes, here, noBuck2 bool   // init
	commit, origin     string // likewise
	from               string // likewise
	runs               bool   // likewise

	to                 string   // mirror
	trees              bool     // likewise
	platforms, bundles []string // likewise

	store *store.Store // of a command that asks sources

	// Tests set them; the zero values are good.
	timeouts    remote.Timeouts
	maxArtifact int64
	now         time.Time
}

// run runs the program with arguments, an environment, and writers for results
// and messages. It returns the exit status.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	return newProgram(env, stdout, stderr).run(ctx, args)
}

func newProgram(env func(string) string, stdout, stderr io.Writer) *program {
	return &program{ui: ui.New("lockgen", stdout, stderr), env: env}
}

func (p *program) run(ctx context.Context, args []string) int {
	command, err := table.Parse(p.ui, p, args)
	if err == nil {
		err = command(ctx)
	}
	if p.store != nil {
		p.store.Settle(err)
	}
	var told *toldError
	if errors.As(err, &told) {
		return int(fault.Of(told.err))
	}
	return p.ui.Fail(err)
}

// A toldError is an error that was already printed as part of a result.
type toldError struct{ err error }

func (e *toldError) Error() string { return e.err.Error() }
func (e *toldError) Unwrap() error { return e.err }

// locate finds the manifest here or above, and the lock beside it, unless they
// are given.
func (p *program) locate() error {
	p.manifest, p.lock = p.manifestGiven, p.lockGiven
	if p.manifest == "" {
		name, err := manifest.Find(".")
		if err != nil {
			return err
		}
		p.manifest = name
	}
	if p.lock == "" {
		p.lock = filepath.Join(filepath.Dir(p.manifest), lock.FileName)
	}
	if filepath.Ext(p.lock) != ".toml" {
		return fault.Errorf(fault.Usage, "name it "+lock.FileName, "the name of the lock %s must end with .toml, for Buck2", p.lock)
	}
	return nil
}

// readManifest reads the manifest.
func (p *program) readManifest() (*manifest.Manifest, error) {
	if err := p.locate(); err != nil {
		return nil, err
	}
	m, _, err := manifest.Read(p.manifest)
	return m, err
}

// locateOrNew is locate; with create set, the manifest may be missing, and is
// then in the working directory unless it is given.
func (p *program) locateOrNew(create bool) error {
	err := p.locate()
	if !create || p.manifestGiven != "" || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.manifestGiven = manifest.FileName
	return p.locate()
}

// locateLock finds only the lock, for commands that need no manifest.
func (p *program) locateLock() error {
	if p.lockGiven == "" && p.manifestGiven == "" {
		name, err := lock.Find(".")
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

// readLock reads the lock.
func (p *program) readLock() (*lock.Lock, []byte, error) { return project.ReadLock(p.ui, p.lock) }

// oldLock reads the lock, or returns nil if there is none.
func (p *program) oldLock() (*lock.Lock, []byte, error) { return project.OldLock(p.ui, p.lock) }
