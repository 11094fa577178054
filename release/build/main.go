// Build makes the files of a release from a clean checkout of its tag:
//
//	go run ./release/build --version v0.1.0 --out dist
//
// For every platform of a lock it makes an archive of both programs, with their
// completions and manual pages, and the program fetch alone, which Buck2 takes
// by hash. Beside them lie SHA256SUMS and a bill of materials of the programs
// (CycloneDX 1.6, JSON).
//
// The same commit makes the same bytes on every machine: the version of Go is
// fixed, cgo is off, paths are trimmed, and files in archives are sorted and have
// the time of the commit. Go itself writes tag and commit into the programs
// (-buildvcs=true), and build reads them back before it packs anything.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// toolchain is the Go that makes releases: another one makes other bytes.
const toolchain = "go1.26.8"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, ".", os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build: error:", err)
		os.Exit(1)
	}
}

// A release is what one run makes.
type release struct {
	root      string // of the checkout
	version   string // v1.2.3
	commit    string
	time      time.Time // of the commit
	platforms []lock.Platform
	log       io.Writer
}

// run makes the release of the checkout around dir.
func run(ctx context.Context, dir string, args []string, log io.Writer) error {
	f := pflag.NewFlagSet("build", pflag.ContinueOnError)
	version := f.String("version", "", "the `TAG`, such as v0.1.0; it is that of the checked-out commit")
	out := f.String("out", "", "the `DIR` to make")
	names := f.StringSlice("platform", lock.PlatformNames(), "make it for these platforms only, to try it")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	if *version == "" || *out == "" || f.NArg() > 0 {
		return errors.New("usage: go run ./release/build --version v0.1.0 --out DIR")
	}
	if got := runtime.Version(); got != toolchain {
		return fmt.Errorf("this is %s, and a release is made by %s; run: GOTOOLCHAIN=%[2]s go run ./release/build --version %s --out %s", got, toolchain, *version, *out)
	}
	r := &release{root: dir, version: *version, log: log}
	for _, name := range *names {
		p, ok := lock.LookupPlatform(name)
		if !ok {
			return fmt.Errorf("unknown platform %s; expected one of %s", name, strings.Join(lock.PlatformNames(), ", "))
		}
		r.platforms = append(r.platforms, p)
	}
	if err := r.checkout(ctx); err != nil {
		return err
	}
	return r.make(ctx, *out)
}

// checkout finds the checkout around the working directory, and refuses one that
// is not exactly the commit of the tag.
func (r *release) checkout(ctx context.Context) error {
	if semver.Canonical(r.version) != r.version {
		return fmt.Errorf("version %q is not of the form v1.2.3 or v1.2.3-rc.1 (https://semver.org)", r.version)
	}
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = r.root
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("git %s: %s", strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
		}
		return strings.TrimSpace(string(out)), err
	}
	var err error
	if r.root, err = git("rev-parse", "--show-toplevel"); err != nil {
		return err
	}
	r.root = filepath.FromSlash(r.root)
	changes, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	if err := checkChangelog(string(changes), r.version); err != nil {
		return err
	}
	if r.commit, err = git("rev-parse", "HEAD"); err != nil {
		return err
	}
	tags, err := git("tag", "--points-at", "HEAD")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(tags), r.version) {
		return fmt.Errorf("commit %s has not the tag %s; run: git tag %[2]s, or check the tag out", r.commit, r.version)
	}
	if changed, err := git("status", "--porcelain"); err != nil {
		return err
	} else if changed != "" {
		return fmt.Errorf("the checkout is not that of the tag:\n%s\ncommit this, or take a fresh clone", changed)
	}
	seconds, err := git("log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	r.time = time.Unix(n, 0).UTC()
	return nil
}

var heading = regexp.MustCompile(`(?m)^## .*$`)

// checkChangelog demands a section for a version, with its date and some text,
// below a section of what is unreleased.
func checkChangelog(text, version string) error {
	at := heading.FindAllStringIndex(text, -1)
	if len(at) == 0 || text[at[0][0]:at[0][1]] != "## Unreleased" {
		return errors.New(`CHANGELOG.md: the first section is not "## Unreleased"`)
	}
	number := strings.TrimPrefix(version, "v")
	form := regexp.MustCompile(`^## ` + regexp.QuoteMeta(number) + ` - \d{4}-\d\d-\d\d$`)
	for i, a := range at {
		if !form.MatchString(text[a[0]:a[1]]) {
			continue
		}
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		if !strings.Contains(text[a[1]:end], "\n- ") {
			return fmt.Errorf("CHANGELOG.md says nothing about %s", number)
		}
		return nil
	}
	return fmt.Errorf("CHANGELOG.md has no %s; move what is unreleased below a heading: ## %s - %s", number, number, time.Now().UTC().Format(time.DateOnly))
}

// make builds, packs and sums up. Out is complete or absent.
func (r *release) make(ctx context.Context, out string) error {
	if _, err := os.Lstat(out); err == nil {
		return fmt.Errorf("%s is there already; remove it, or name another folder", out)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	papers, err := r.papers(ctx, work)
	if err != nil {
		return err
	}
	var bill bill
	for _, p := range r.platforms {
		fmt.Fprintf(r.log, "build: %s\n", p.Name)
		if err := r.platform(ctx, work, dir, p, papers, &bill); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if err := bill.write(filepath.Join(dir, r.name("cdx.json")), r); err != nil {
		return err
	}
	if err := sums(dir); err != nil {
		return err
	}
	return os.Rename(dir, out)
}

// name is the name of a file of the release.
func (r *release) name(end string) string {
	return "buck2-protobuf-" + strings.TrimPrefix(r.version, "v") + "." + end
}
