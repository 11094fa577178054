// Package pip runs the pip of this machine as a resolver. pip sees an index of
// ours that only has what may be locked, and it builds and starts nothing. Of
// the user's pip configuration, only what is needed to reach the index is used.
package pip

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pep440"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

const noPip = "install Python with pip 23.0 or later, or set [registries] pip in plugins.toml"

// A Client is a Python with pip. It is safe for concurrent use.
type Client struct {
	python  []string // the program and its first arguments
	version string   // of pip
	known   *options // its settings, where they do not depend on a folder; nil if it did not tell

	ran atomic.Int64 // how often pip resolved
}

// Find returns the pip of the first Python on PATH (python3, python, the
// launcher py) that has one. If there is none, or only one older than 23.0, the
// error is of class [fault.Machine] and says what was found; if there is no
// Python, it also matches [fs.ErrNotExist].
func Find(ctx context.Context) (_ *Client, err error) {
	defer proc.AboutManagers(&err)
	var tried []string
	var old error
	for _, name := range pythons {
		found, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		p := &Client{python: []string{found, "-I"}}
		out, err := p.command(found+" -m pip", "", fault.Machine, []string{"-c", pipOptions}).Run(ctx)
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		if err != nil {
			tried = append(tried, err.Error())
			continue
		}
		said := parseAnswer(out)
		// The program on PATH may be the shim of a version manager, which needs
		// the user's environment.
		if p.version = said.Version; filepath.IsAbs(said.Program) {
			p.python[0] = said.Program
		}
		if file := os.Getenv("PIP_CONFIG_FILE"); file == "" || filepath.IsAbs(file) {
			p.known = said.Settings
		}
		switch yes, ok := proc.Serves("pip", p.version); {
		case !ok:
			tried = append(tried, fmt.Sprintf("%s reports the pip version %q", found, redact.Line(p.version)))
		case !yes:
			old = cmp.Or(old, fault.Errorf(fault.Machine, noPip, "pip of %s has version %s; %s or later is needed",
				found, redact.Line(p.version), proc.LeastOf("pip")))
		default:
			return p, nil
		}
	}
	switch {
	case old != nil:
		return nil, old
	case len(tried) > 0:
		return nil, fault.Errorf(fault.Machine, noPip, "no python on PATH has a working pip: %s", strings.Join(tried, "; "))
	}
	return nil, fault.Missingf(fault.Machine, noPip, "none of python3, python and py is on PATH")
}

// pythons are the names of Python to look for, in order.
var pythons = []string{"python3", "python", "py"}

// Version returns the version of pip.
func (p *Client) Version() string { return p.version }

// command returns a run of Python with the user's environment that ignores
// files in the working directory (-I). Variables of pip that do not count are left
// out: PIP_PYTHON would start another Python, PIP_LOG write a file, and one value that
// pip does not understand keeps it from answering.
func (p *Client) command(name, dir string, class fault.Class, args []string) proc.Command {
	return proc.Command{
		Name: name, Path: p.python[0], Args: append(slices.Clone(p.python[1:]), args...), Dir: dir,
		Env: proc.UserEnv(func(key string) bool {
			return strings.HasPrefix(key, "pip_") && !slices.Contains(counting, strings.ToUpper(key))
		}), Timeout: 5 * time.Minute, Class: class, Hint: noPip,
	}
}

// options has the settings of the user's pip for reaching an index.
type options struct {
	Index   string `json:"index_url"`
	NoIndex bool   `json:"no_index"`
	Cert    string `json:"cert"`
	Client  string `json:"client_cert"`
	Proxy   string `json:"proxy"`
	Keyring string `json:"keyring_provider"`
}

//go:embed options.py
var pipOptions string

// answer is what options.py prints.
type answer struct {
	Version  string   `json:"version"`
	Program  string   `json:"program"`
	Settings *options `json:"settings"`
}

// parseAnswer reads what options.py printed. Settings without an index are none. What is
// something else is taken for a version, which no pip has.
func parseAnswer(out []byte) (a answer) {
	if json.Unmarshal(out, &a) != nil {
		return answer{Version: strings.TrimSpace(string(out))}
	}
	if o := a.Settings; o != nil && o.Index == "" && !o.NoIndex {
		a.Settings = nil
	}
	return a
}

// options asks pip for its configuration in dir: files, PIP_ variables and
// pip's defaults together. That is not a public interface of pip; if it fails,
// `pip config list` answers, without defaults.
func (p *Client) options(ctx context.Context, dir string) (options, error) {
	if p.known != nil {
		return *p.known, nil
	}
	ask := p.command("asking pip for its index", dir, fault.Machine, []string{"-c", pipOptions})
	ask.Timeout = time.Minute // a file of settings may be a pipe
	out, err := ask.Run(ctx)
	if err != nil && !proc.Exited(err) {
		return options{}, err
	}
	if said := parseAnswer(out); err == nil && said.Settings != nil {
		return *said.Settings, nil
	}
	out, err = p.command("pip config list", dir, fault.Machine, []string{"-m", "pip", "config", "list"}).Run(ctx)
	if err != nil {
		return options{}, err
	}
	return parseConfigList(string(out)), nil
}

// parseConfigList parses lines of the form section.key='value'. The environment
// takes precedence over the command's section, and that over the global one.
func parseConfigList(text string) options {
	rank := map[string]int{"global": 1, "install": 2, ":env:": 3}
	best := map[string]int{}
	said := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		section, option, ok := strings.Cut(key, ".")
		if ok && rank[section] > best[option] {
			best[option], said[option] = rank[section], strings.Trim(value, `'"`)
		}
	}
	return options{
		Index: said["index-url"], Cert: said["cert"], Client: said["client-cert"], Proxy: said["proxy"],
		Keyring: said["keyring-provider"],
		NoIndex: slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(said["no-index"])),
	}
}

// index returns the index that the user's pip is configured with. Additional
// indexes (extra-index-url) are ignored: with them, anyone could take over a
// name.
func (p *Client) index(o options) (string, error) {
	const hint = "set [registries] pip in plugins.toml"
	if o.NoIndex {
		return "", fault.Errorf(fault.Machine, hint, "pip is configured to use no index (no-index)")
	}
	if u, err := url.Parse(o.Index); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", fault.Errorf(fault.Machine, hint, "pip %s is configured with the index %q, which is not a URL", p.version, redact.Line(o.Index))
	}
	return o.Index, nil
}

// A Requirement is a package for some targets.
type Requirement struct {
	Package  string // or PACKAGE[EXTRA,…]
	Version  string // exact
	Targets  []Target
	With     []string       // NAME==VERSION of what is wanted beside it
	Within   []string       // NAME==VERSION of what must not be there in another version
	Cooldown *cooldown.Rule // nil for none
}

// A Target is what a wheel must suit.
type Target struct {
	Platform lock.Platform
	Python   string // of CPython, "3.12" for all its patch releases

	patch int // the patch release to resolve for
}

// full returns the release of Python to resolve for.
func (t Target) full() string { return t.Python + "." + strconv.Itoa(t.patch) }

// A Closure has the wheels that a package needs on one [Target], sorted by name
// and including its own, or else an error.
type Closure struct {
	Wheels []Wheel
	Err    error
	// Not lists releases of the Python, such as "3.11.0", that a wheel
	// excludes, with its Requires-Python.
	Not []string
}

// A Wheel is one wheel of a closure.
type Wheel struct {
	Name     string // of the package, normalised as in PEP 503
	Version  string
	Filename string
	URL      string // with the index's credential if the origin is the same: not for the lock
	SHA256   string // according to the index
	Size     int64  // according to the index; 0 if unknown
	Yanked   bool   // withdrawn by its publisher
	Python   string // Requires-Python
	// Released is the upload time by the index's clock; zero if unknown or
	// without a [cooldown.Rule].
	Released time.Time
}

//go:embed report.py
var pipReport string

// Report has pip find the wheels that a package needs on each of its targets
// and returns them in the same order. It is one process of pip. Only wheels
// with the platform's own tags count (glibc, never musl), and environment
// markers are evaluated for the platform, not for this machine. Nothing is
// installed, and only pip's code runs: pip sees an index of ours and none of
// the user's settings, and can reach no other server and start no program (see
// [pipIndex] and report.py).
//
// A target stands for all patch releases of its Python. If metadata distinguish
// between them, pip runs for each: the closure has the wheels that any of them
// needs, and Not has those that a wheel excludes. If they need two versions of
// one package, or a wheel excludes all of them, that is an error.
//
// If the index does not have the package, the version or a wheel for a target,
// its Err matches [fs.ErrNotExist]; it is of class [fault.Upstream], or
// [fault.Policy] if there is only a source distribution. For a wheel with a
// direct reference, Err is of class [fault.Policy]. After an error of the
// index, the remaining targets fail with the same error.
func (p *Client) Report(ctx context.Context, index Index, req Requirement) ([]Closure, error) {
	first, turns, err := p.report(ctx, index, req, req.Targets)
	if err != nil {
		return nil, err
	}
	var more []Target
	var of []int // index of the target
	for i, t := range req.Targets {
		for _, n := range turns[i] {
			if first[i].Err == nil || errors.Is(first[i].Err, errPython) {
				t.patch = n
				more, of = append(more, t), append(of, i)
			}
		}
	}
	if len(more) == 0 {
		return first, nil
	}
	second, _, err := p.report(ctx, index, req, more)
	if err != nil {
		return nil, err
	}
	for i, t := range req.Targets {
		var asked []Target
		var closures []Closure
		for j := range more {
			if of[j] == i {
				asked, closures = append(asked, more[j]), append(closures, second[j])
			}
		}
		if len(asked) > 0 {
			first[i] = req.series(t, asked, closures)
		}
	}
	return first, nil
}

// series combines the closures of some patch releases of a Python, in their
// order, into one. The newest decides. A release that a wheel of the closure
// excludes is in Not, so fetch refuses to start the plugin with it; wheels that
// only other releases need are in the closure as well.
func (r Requirement) series(t Target, asked []Target, closures []Closure) Closure {
	var all Closure
	var refused error
	byName := map[string]Wheel{}
	var accepted []Target
	wants := func(t Target) (Wheel, bool) {
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			if yes, err := pep440.AllowsPython(byName[name].Python, t.full()); err != nil || !yes {
				return byName[name], false
			}
		}
		return Wheel{}, true
	}
	for i, c := range slices.Backward(closures) {
		if errors.Is(c.Err, errPython) {
			refused = cmp.Or(refused, c.Err)
			all.Not = append(all.Not, asked[i].full())
			continue
		}
		if c.Err != nil {
			return c
		}
		if _, ok := wants(asked[i]); !ok {
			all.Not = append(all.Not, asked[i].full())
			continue
		}
		accepted = append(accepted, asked[i])
		for _, w := range c.Wheels {
			if newer, ok := byName[w.Name]; ok && newer.Filename != w.Filename {
				return Closure{Err: fault.Errorf(fault.Usage, fmt.Sprintf("remove %s from python in plugins.toml, the interpreters that wheels are locked for, or use another version", t.Python),
					"%s: its patch releases need different wheels, %s for %s and %s for later ones, but a lock covers all of them", r.what(t), w.Filename, asked[i].full(), newer.Filename)}
			}
			byName[w.Name] = w
		}
	}
	if len(accepted) == 0 {
		return Closure{Err: refused}
	}
	for _, t := range accepted { // wheels that only another release needs may exclude it
		if w, ok := wants(t); !ok {
			return Closure{Err: r.needsPython(w.Name+" "+w.Version+", which other patch releases need,", w.Python, t)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all.Wheels = append(all.Wheels, byName[name])
	}
	return all
}

// report resolves for each of the targets. Turns has, for each target, the
// patch releases at which the result may differ.
func (p *Client) report(ctx context.Context, index Index, req Requirement, targets []Target) (closures []Closure, turns [][]int, err error) {
	project, _ := syntax.Extras(req.Package)
	if !projectForm().MatchString(project) || lock.KindOf(lock.Pip).CheckPackage(req.Package) != nil || !versionForm().MatchString(req.Version) {
		return nil, nil, fault.Errorf(fault.Usage, "correct source and version of the entry in plugins.toml", "%q %q is not a name and version of a Python package", redact.Line(req.Package), redact.Line(req.Version))
	}
	scratch, err := os.MkdirTemp("", "buck2-protobuf-pip-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(scratch)
	if scratch, err = filepath.EvalSymlinks(scratch); err != nil {
		return nil, nil, err
	}
	if err := os.Mkdir(filepath.Join(scratch, "empty"), 0o700); err != nil {
		return nil, nil, err
	}
	s, err := p.serve(ctx, index, req, targets)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	title := "pip install --dry-run " + req.Package + "==" + req.Version
	wanted := append([]string{req.Package + "==" + req.Version}, req.With...)
	if len(req.Within) > 0 {
		within := filepath.Join(scratch, "within.txt")
		if err := os.WriteFile(within, []byte(strings.Join(req.Within, "\n")+"\n"), 0o600); err != nil {
			return nil, nil, err
		}
		wanted = append(wanted, "--constraint", within)
	}
	var runs []pipRun
	for i, t := range targets {
		run, err := newPipRun(scratch, i, t, s.url(i), wanted)
		if err != nil {
			return nil, nil, fault.Errorf(fault.Usage, "correct platforms, or python of the entry, in plugins.toml", "pip package %s: %w", req.what(t), err)
		}
		runs = append(runs, run)
	}
	answer, err := p.ask(ctx, title, scratch, s.Loopback, runs)
	s.mu.Lock() // a request may still be running after pip has ended
	defer s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil:
		return nil, nil, cmp.Or(s.err, err)
	case s.err == nil && len(answer.Refused) > 0:
		return nil, nil, fault.Errorf(fault.Policy, "use another version, and report this as a bug", "%s tried to %s, which was refused", title, redact.Line(answer.Refused[0]))
	}
	for i, run := range runs {
		c := Closure{}
		switch {
		case s.err != nil && i >= s.at:
			c.Err = s.err
		case answer.Runs[i].Code != 0:
			c.Err = s.failed(i, title, answer.Runs[i].Code, answer.Runs[i].Causes, run.Said)
		case answer.Runs[i].Same != nil:
			if n := *answer.Runs[i].Same; n >= 0 && n < i && closures[n].Err == nil {
				c.Wheels, c.Err = s.alike(closures[n].Wheels, n, i)
				break
			}
			return nil, nil, fault.Errorf(fault.Machine, noPip, "%s left out run %d for one that is none", title, i)
		default:
			p.ran.Add(1)
			data, err := os.ReadFile(run.report)
			if err != nil {
				return nil, nil, fault.Errorf(fault.Machine, noPip, "pip wrote no report: %w", err)
			}
			c.Wheels, c.Err = s.report(data, req.what(targets[i]))
		}
		closures = append(closures, c)
		turns = append(turns, pep440.Turns(targets[i].Python, slices.Collect(maps.Keys(s.heard[i]))...))
	}
	return closures, turns, nil
}

// A pipRun is one run of pip in the input of report.py.
type pipRun struct {
	Markers   map[string]string `json:"markers"`
	Arguments []string          `json:"arguments"`
	Said      string            `json:"said"`
	report    string
}

func newPipRun(scratch string, n int, t Target, index string, wanted []string) (pipRun, error) {
	markers, err := markerEnv(t)
	name := filepath.Join(scratch, strconv.Itoa(n))
	args := []string{
		"install", "--isolated", "--dry-run", "--ignore-installed", "--report", name + ".json",
		"--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--no-color",
		"--only-binary=:all:", "--no-build-isolation", "--implementation", "cp", "--python-version", t.full(),
		"--target", name, // pip requires it with --platform
		"--index-url", index, "--retries", "0", "--timeout", strconv.Itoa(int(pipTime.Seconds())),
	}
	for _, tag := range t.Platform.PipTags {
		args = append(args, "--platform", tag)
	}
	return pipRun{markers, append(args, wanted...), name + ".txt", name + ".json"}, err
}

// A pipAnswer is the output of report.py.
type pipAnswer struct {
	Runs []struct {
		Code   int
		Causes []pipCause
		Same   *int // the run that this one was left out for; nil for none
	}
	Refused []string // what pip tried to start or to reach
}

// ask has pip do its runs, with none of the user's settings (--isolated would
// still read the global configuration) and with no other server than s.
func (p *Client) ask(ctx context.Context, title, scratch string, s *proc.Loopback, runs []pipRun) (*pipAnswer, error) {
	data, err := json.Marshal(map[string]any{"port": s.Port, "index": s.Base, "runs": runs})
	if err != nil {
		return nil, err
	}
	job := filepath.Join(scratch, "job.json")
	if err := os.WriteFile(job, data, 0o600); err != nil {
		return nil, err
	}
	all := p.command(title, scratch, fault.Upstream, []string{"-c", pipReport, job})
	all.Hint = ""
	all.Timeout = pipTime + time.Duration(len(runs))*time.Minute
	all.Env = append(proc.PrivateEnv(scratch), "PIP_CONFIG_FILE="+os.DevNull, "NO_PROXY=127.0.0.1")
	all.Offline, all.Serve = true, s
	out, err := all.Run(ctx)
	if err != nil {
		return nil, err
	}
	var answer pipAnswer
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Runs) != len(runs) {
		return nil, fault.Errorf(fault.Machine, noPip, "%s ended after %q of %d runs", title, redact.Line(string(out)), len(runs))
	}
	return &answer, nil
}

// pipTime limits the time for one answer of our index, which may wait for a
// download.
const pipTime = 10 * time.Minute

var (
	// https://packaging.python.org/en/latest/specifications/name-normalization/
	projectForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$`) })
	versionForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z.!+_-]+$`) })
)

// failed returns the error for a failed run of pip.
func (s *pipIndex) failed(run int, title string, code int, causes []pipCause, said string) error {
	if err := s.explain(run, causes); err != nil {
		return err
	}
	data, err := os.ReadFile(said)
	if err != nil {
		return err
	}
	text := proc.TailOf(data, 16<<10)
	return fault.Errorf(fault.Upstream, "run it yourself to see its full output: pip download "+s.req.Package+"=="+s.req.Version, "%w",
		&proc.ExitError{Name: title, Status: "exit status " + strconv.Itoa(code), Tail: text.Lines(), Raw: string(text.Bytes())})
}

// what describes a requirement on a target, for messages.
func (r Requirement) what(t Target) string {
	return fmt.Sprintf("%s==%s for %s and Python %s", r.Package, r.Version, t.Platform.Name, t.Python)
}

// markerEnv returns the environment for PEP 508 markers on a platform.
func markerEnv(t Target) (map[string]string, error) {
	p, python := t.Platform, t.Python
	if _, ok := proc.AtLeast(python, 0, 0); !ok || len(p.PipTags) == 0 {
		return nil, fmt.Errorf("unknown platform, or %q is not the version of a Python", python)
	}
	env := map[string]string{
		"python_version": python, "python_full_version": t.full(), "implementation_version": t.full(),
		"implementation_name": "cpython", "platform_python_implementation": "CPython",
		"platform_release": "", "platform_version": "",
	}
	machine := p.Arch
	switch p.OS {
	case "windows":
		env["os_name"], env["sys_platform"], env["platform_system"] = "nt", "win32", "Windows"
		machine = map[string]string{"x86_64": "AMD64", "aarch64": "ARM64"}[p.Arch]
	case "macos":
		env["os_name"], env["sys_platform"], env["platform_system"] = "posix", "darwin", "Darwin"
		machine = map[string]string{"x86_64": "x86_64", "aarch64": "arm64"}[p.Arch]
	default:
		env["os_name"], env["sys_platform"], env["platform_system"] = "posix", "linux", "Linux"
	}
	env["platform_machine"] = machine
	return env, nil
}

// macFormats are the ends of tags of macOS that a processor runs, as in PyPA's packaging
// library, and the first is its own.
var macFormats = map[string][]string{"aarch64": {"arm64", "universal2"}, "x86_64": {"x86_64", "intel", "fat64", "fat32", "universal2", "universal"}}

// macTag reports whether pip takes a tag of macOS for a platform: of a version that the
// lock's has, for its processor or for several.
func macTag(tag string, platform lock.Platform) bool {
	formats := macFormats[platform.Arch]
	for _, format := range formats {
		version, ok := strings.CutSuffix(tag, "_"+format)
		// A file for both is one for Apple silicon whatever older system it names.
		older := format == "universal2" && strings.HasPrefix(version, "macosx_10_")
		if ok && (older || slices.Contains(platform.PipTags, version+"_"+formats[0])) {
			return true
		}
	}
	return false
}

// checkTags verifies that the name of a wheel (PEP 427) has a tag of the
// platform, or "any". It is exact, for a wheel that pip would not take for a platform
// must not decide what is taken: neither one of a newer system, nor of another processor.
func checkTags(file string, platform lock.Platform) error {
	name, err := wheel.ParseName(file)
	if err != nil {
		return errors.New(redact.Line(err.Error()))
	}
	for _, tag := range name.Systems {
		switch {
		case tag == "any", slices.Contains(platform.PipTags, tag):
			return nil
		case platform.OS == "macos" && macTag(tag, platform):
			return nil
		}
	}
	return fmt.Errorf("%s is not for %s", file, platform.Name)
}
