package pkgmgr

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// The oldest pip whose installation report has its stable form.
const pipMajor, pipMinor = 23, 0

const noPip = "install Python with pip 23.0 or later, or set [registries] pip in plugins.toml"

// A Pip is a python with pip in it. It is safe for use by several goroutines.
type Pip struct {
	python  []string // the program and the arguments that come first
	version string   // of pip

	mu    sync.Mutex
	reach *options // what Report asked for, once
}

// FindPip returns the pip of the first python on PATH (python3, python, the
// launcher py) that has one. None, or only one older than 23.0, is an error of
// class Machine that says what was found; none at all is an [fs.ErrNotExist].
func FindPip(ctx context.Context) (_ *Pip, err error) {
	defer aboutManagers(&err)
	var tried []string
	var old error
	for _, name := range []string{"python3", "python", "py"} {
		found, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		p := &Pip{python: []string{found, "-I"}}
		out, err := p.command(found+" -m pip", "", fault.Machine, []string{"-c", "import pip; print(pip.__version__)"}).run(ctx)
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		if err != nil {
			tried = append(tried, err.Error())
			continue
		}
		p.version = strings.TrimSpace(string(out))
		switch yes, ok := atLeast(p.version, pipMajor, pipMinor); {
		case !ok:
			tried = append(tried, fmt.Sprintf("%s says that the version of pip is %q", found, clean(p.version)))
		case !yes:
			old = cmp.Or(old, fault.Errorf(fault.Machine, noPip, "pip of %s has version %s, needed is %d.%d or later",
				found, clean(p.version), pipMajor, pipMinor))
		default:
			return p, nil
		}
	}
	switch {
	case old != nil:
		return nil, old
	case len(tried) > 0:
		return nil, fault.Errorf(fault.Machine, noPip, "no python on PATH has a pip that works: %s", strings.Join(tried, "; "))
	}
	return nil, fault.Errorf(fault.Machine, noPip, "neither python3 nor python nor py is on PATH: %w", fs.ErrNotExist)
}

// Version returns pip's own version.
func (p *Pip) Version() string { return p.version }

// command is a run of python, apart from the folder it runs in (-I), with the
// user's environment.
func (p *Pip) command(name, dir string, class fault.Class, args []string) command {
	return command{
		name: name, path: p.python[0], args: append(slices.Clone(p.python[1:]), args...), dir: dir,
		env: userEnv(nil), timeout: 5 * time.Minute, class: class, mend: noPip,
	}
}

// options is what the user's configuration of pip says of reaching an index.
type options struct {
	Index   string `json:"index_url"`
	NoIndex bool   `json:"no_index"`
	Cert    string `json:"cert"`
	Client  string `json:"client_cert"`
	Proxy   string `json:"proxy"`
	Keyring string `json:"keyring_provider"`
	Timeout any    `json:"timeout"`
	Retries any    `json:"retries"`
	Trusted any    `json:"trusted_hosts"`
}

//go:embed pip_options.py
var pipOptions string

// options asks pip what it is configured with, where it is run in dir: files,
// PIP_ variables and pip's own defaults together. That is not a public
// interface of pip; should it change, `pip config list` answers, which says
// nothing of defaults.
func (p *Pip) options(ctx context.Context, dir string) (options, error) {
	var o options
	out, err := p.command("asking pip for its index", dir, fault.Machine, []string{"-c", pipOptions}).run(ctx)
	if err != nil && !isExit(err) {
		return o, err
	}
	if err == nil && json.Unmarshal(out, &o) == nil && (o.Index != "" || o.NoIndex) {
		return o, nil
	}
	out, err = p.command("pip config list", dir, fault.Machine, []string{"-m", "pip", "config", "list"}).run(ctx)
	if err != nil {
		return o, err
	}
	return parseConfigList(string(out)), nil
}

// reachOptions are the options, asked for once: a lock needs many reports.
func (p *Pip) reachOptions(ctx context.Context) (options, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reach == nil {
		o, err := p.options(ctx, "")
		if err != nil {
			return o, err
		}
		p.reach = &o
	}
	return *p.reach, nil
}

// parseConfigList reads lines of the form section.key='value'. What comes from
// the environment goes before what is for the command, and that before what is
// for all.
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
		NoIndex: slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(said["no-index"])),
	}
}

// Index returns the simple-repository index that the user's own pip is
// configured with, run in dir. Additional indexes (extra-index-url) are not
// looked at: with them anyone can take over a name. The URL may hold
// credentials: redact it before it is printed.
func (p *Pip) Index(ctx context.Context, dir string) (string, error) {
	o, err := p.options(ctx, dir)
	if err != nil {
		return "", err
	}
	const mend = "set [registries] pip in plugins.toml"
	if o.NoIndex {
		return "", fault.Errorf(fault.Machine, mend, "pip is configured to use no index (no-index)")
	}
	if u, err := url.Parse(o.Index); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", fault.Errorf(fault.Machine, mend, "pip %s does not say which index it uses but %q", p.version, clean(o.Index))
	}
	return o.Index, nil
}

// A Requirement is one package for some platforms and interpreters.
type Requirement struct {
	Package string
	Version string // exact
	Targets []Target
	Gate    *Gate // nil for none
}

// A Target is what a wheel may be for.
type Target struct {
	Platform lock.Platform
	Python   string // of CPython, "3.12"
}

// A Closure is what a package needs on one [Target]: its wheels sorted by name,
// itself included, or why there is none.
type Closure struct {
	Wheels []Wheel
	Err    error
}

// A Wheel is one file of a closure.
type Wheel struct {
	Name     string // of the package, normalised as PEP 503 says
	Version  string
	Filename string
	URL      string // without credentials
	SHA256   string // as the index has it
	Yanked   bool   // withdrawn by its publisher
	// Released is when the file was uploaded, by the index's clock; zero without
	// a [Gate] or where the index has none.
	Released time.Time
}

//go:embed pip_report.py
var pipReport string

// Report lets pip find the wheels that a package needs on each of its targets,
// in their order, all in one process. Only wheels count, only those for the
// platform's own tags (glibc, never musl), and environment markers are those of
// the platform, not of this machine. Nothing is installed. Of the user's
// configuration, proxy, certificates and credentials apply; no other index, no
// other option.
//
// Where the index does not have the package, the version or a wheel for a
// target, its Err is an [fs.ErrNotExist] of class Upstream, like every refusal of
// the index. After another failure the index is not asked any more, and the
// targets that are left fail with it.
func (p *Pip) Report(ctx context.Context, index string, req Requirement) ([]Closure, error) {
	scratch, err := os.MkdirTemp("", "buck2-protobuf-pip-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	o, err := p.reachOptions(ctx)
	if err != nil {
		return nil, err
	}
	type run struct {
		Markers   map[string]string `json:"markers"`
		Arguments []string          `json:"arguments"`
		Said      string            `json:"said"`
		report    string
	}
	var runs []run
	for i, t := range req.Targets {
		markers, err := markerEnv(t.Platform, t.Python)
		if err != nil {
			return nil, fault.Errorf(fault.Usage, "correct platforms, or python of the entry, in plugins.toml", "pip package %s: %w", req.what(t), err)
		}
		name := filepath.Join(scratch, strconv.Itoa(i))
		args := []string{
			"install", "--isolated", "--dry-run", "--ignore-installed", "--report", name + ".json",
			"--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--no-color",
			"--only-binary=:all:", "--implementation", "cp", "--python-version", t.Python,
			"--target", name, // pip demands one with --platform
		}
		for _, tag := range t.Platform.PipTags {
			args = append(args, "--platform", tag)
		}
		args = append(args, o.flags()...)
		runs = append(runs, run{markers, append(args, req.Package+"=="+req.Version), name + ".txt", name + ".json"})
	}
	data, err := json.Marshal(runs)
	if err != nil {
		return nil, err
	}
	jobs := filepath.Join(scratch, "runs.json")
	if err := os.WriteFile(jobs, data, 0o600); err != nil {
		return nil, err
	}
	title := "pip install --dry-run " + req.Package + "==" + req.Version
	all := p.command(title, scratch, fault.Upstream, []string{"-c", pipReport, jobs})
	all.mend = ""
	all.timeout = 5*time.Minute + time.Duration(len(runs))*time.Minute
	// No PIP_ variable but these, and no configuration file at all: --isolated
	// alone still reads the global one. The index is in a variable, for other
	// users see arguments.
	all.env = userEnv(func(key string) bool {
		return strings.HasPrefix(key, "pip_") || strings.HasPrefix(key, "python") || key == "tmpdir" || key == "temp" || key == "tmp"
	}, "PIP_CONFIG_FILE="+os.DevNull, "BUCK2_PROTOBUF_PIP_INDEX="+index, "TMPDIR="+scratch, "TEMP="+scratch, "TMP="+scratch)
	record := ""
	if req.Gate != nil {
		var rule string
		if rule, record, err = req.Gate.file(scratch); err != nil {
			return nil, err
		}
		all.env = append(all.env, "BUCK2_PROTOBUF_GATE="+rule)
	}
	out, err := all.run(ctx)
	if err != nil {
		return nil, err
	}
	var codes []int
	if err := json.Unmarshal(out, &codes); err != nil || len(codes) > len(runs) || len(codes) == 0 && len(runs) > 0 {
		return nil, fault.Errorf(fault.Machine, noPip, "%s ended %q times of %d", title, clean(string(out)), len(runs))
	}
	var times map[string]time.Time
	if req.Gate != nil {
		if times, err = readRecord(record); err != nil {
			return nil, err
		}
	}
	closures := make([]Closure, len(runs))
	for i, run := range runs {
		if i >= len(codes) {
			closures[i] = Closure{Err: closures[len(codes)-1].Err}
			continue
		}
		wheels, err := req.closure(req.Targets[i], title, codes[i], run.Said, run.report)
		for j := range wheels {
			wheels[j].Released = times[wheels[j].Filename]
		}
		closures[i] = Closure{wheels, err}
	}
	return closures, nil
}

// what is a requirement on one of its targets, for messages.
func (r Requirement) what(t Target) string {
	return fmt.Sprintf("%s==%s for %s and Python %s", r.Package, r.Version, t.Platform.Name, t.Python)
}

// closure reads what a run of pip left: its exit code, what it said, its report.
func (r Requirement) closure(t Target, title string, code int, said, report string) ([]Wheel, error) {
	what := r.what(t)
	if code != 0 {
		data, err := os.ReadFile(said)
		if err != nil {
			return nil, err
		}
		text := tailOf(data, 16<<10)
		exit := &exitError{name: title, status: "exit status " + strconv.Itoa(code), tail: text.lines(), raw: string(text.Bytes())}
		return nil, explainPip(fault.Errorf(fault.Upstream, "run it by hand for its full words: pip download "+r.Package+"=="+r.Version, "%w", exit), exit, r, t)
	}
	data, err := os.ReadFile(report)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noPip, "pip wrote no report: %w", err)
	}
	wheels, err := parseReport(data, t.Platform)
	if err != nil {
		return nil, fault.Errorf(fault.Upstream, "ask the operator of the index, or use another: [registries] pip of plugins.toml", "pip package %s: %w", what, err)
	}
	return wheels, nil
}

// flags are the options that reach the index as the user's own pip would.
func (o options) flags() []string {
	var flags []string
	add := func(name string, value any) {
		if s := fmt.Sprint(value); value != nil && s != "" {
			flags = append(flags, name, s)
		}
	}
	add("--cert", o.Cert)
	add("--client-cert", o.Client)
	add("--proxy", o.Proxy)
	add("--timeout", o.Timeout)
	add("--retries", o.Retries)
	if o.Keyring != "auto" { // the default, which older ones do not know
		add("--keyring-provider", o.Keyring)
	}
	if hosts, ok := o.Trusted.([]any); ok {
		for _, host := range hosts {
			add("--trusted-host", host)
		}
	}
	return flags
}

// markerEnv is what PEP 508 markers see on a platform.
func markerEnv(p lock.Platform, python string) (map[string]string, error) {
	if _, ok := atLeast(python, 0, 0); !ok || len(p.PipTags) == 0 {
		return nil, fmt.Errorf("unknown platform, or %q is not the version of a Python", python)
	}
	env := map[string]string{
		"python_version": python, "python_full_version": python + ".0", "implementation_version": python + ".0",
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

var fromVersions = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\(from versions: ([^)]*)\)`) })

var (
	skippedPython = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`Ignored the following versions that require a different python version: ([^\n]*)`)
	})
	noMatch = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`No matching distribution found for ([0-9A-Za-z._-]+)`)
	})
	otherPython = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`ERROR: Package '([^']*)' requires a different Python: \S+ not in '([^']*)'|'([^']*)' \(required by ([^)]*)\)`)
	})
)

// pythonConflict is what pip says of a package that does not admit the
// interpreter (Requires-Python), nil for nothing.
func pythonConflict(raw string, req Requirement, t Target) error {
	name, wants := "", ""
	if m, of := skippedPython().FindStringSubmatch(raw), noMatch().FindStringSubmatch(raw); m != nil && of != nil {
		own := normaliseName(of[1]) == normaliseName(req.Package)
		for skipped := range strings.SplitSeq(m[1], ";") { // "1.0 Requires-Python >=3.13", of whichever package
			if version, requires, ok := strings.Cut(strings.TrimSpace(skipped), " Requires-Python "); ok && (!own || version == req.Version) {
				name, wants = of[1]+" "+version, requires
			}
		}
	}
	if m := otherPython().FindStringSubmatch(raw); m != nil {
		name, wants = m[1]+m[4], m[2]+m[3]
	}
	if wants == "" {
		return nil
	}
	return fault.Errorf(fault.Usage, fmt.Sprintf("take %s out of python in plugins.toml, the interpreters that wheels are locked for, or take another version", t.Python),
		"%s: %s requires Python %s", req.what(t), clean(name), clean(wants))
}

// explainPip recognises what pip says when there is nothing to install.
func explainPip(err error, exit *exitError, req Requirement, t Target) error {
	what := req.what(t)
	if conflict := pythonConflict(exit.raw, req, t); conflict != nil {
		return conflict
	}
	if !strings.Contains(exit.tail, "No matching distribution found") {
		return err
	}
	why := exit.tail
	// A line of pip_report.py. Nothing can be said of what there is.
	if _, refused, ok := strings.Cut(exit.raw, "the index refuses: "); ok {
		refused, _, _ = strings.Cut(refused, "\n")
		return fault.Errorf(fault.Upstream, "run: pip config list; is the index the right one, and may you read this package?", "no wheel of %s: the index refuses: %s", what, clean(strings.TrimSpace(refused)))
	}
	if m := fromVersions().FindStringSubmatch(exit.raw); m != nil {
		versions := strings.Split(m[1], ", ")
		switch {
		case m[1] == "none":
			why = "the index has no such package, or no wheel of any version for this platform"
		case len(versions) > 5:
			versions = versions[len(versions)-5:]
			fallthrough
		default:
			why = "the index has wheels of " + clean(strings.Join(versions, ", "))
		}
	}
	return fault.Errorf(fault.Upstream, "only wheels are taken: look which files the index has, or take another source",
		"no wheel of %s: %s: %w", what, why, fs.ErrNotExist)
}

// parseReport reads pip's installation report of version 1.
func parseReport(data []byte, platform lock.Platform) ([]Wheel, error) {
	var report struct {
		Version string
		Install []struct {
			Yanked   bool `json:"is_yanked"`
			Metadata struct{ Name, Version string }
			Download struct {
				URL     string
				Archive struct {
					Hashes map[string]string
				} `json:"archive_info"`
			} `json:"download_info"`
		}
		Environment map[string]string
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, fmt.Errorf("report of pip: %w", err)
	}
	if report.Version != "1" || len(report.Install) == 0 {
		return nil, fmt.Errorf("report of pip has version %q and %d wheels, expected version 1", report.Version, len(report.Install))
	}
	var wheels []Wheel
	for _, in := range report.Install {
		u, err := url.Parse(in.Download.URL)
		if err != nil {
			return nil, fmt.Errorf("report of pip: url %q", clean(in.Download.URL))
		}
		u.User, u.Fragment = nil, ""
		w := Wheel{
			Name: normaliseName(in.Metadata.Name), Version: in.Metadata.Version, Filename: path.Base(u.Path),
			URL: u.String(), SHA256: in.Download.Archive.Hashes["sha256"], Yanked: in.Yanked,
		}
		if err := lock.CheckSHA256("sha256", w.SHA256); err != nil {
			return nil, fmt.Errorf("%s: the index gives no sha256: %w", clean(w.Filename), err)
		}
		if err := checkTags(w.Filename, platform); err != nil {
			return nil, err
		}
		wheels = append(wheels, w)
	}
	slices.SortFunc(wheels, func(a, b Wheel) int { return cmp.Compare(a.Name, b.Name) })
	return wheels, nil
}

// checkTags makes sure that a wheel's file name (PEP 427) has a platform tag
// of the platform's own kind, or "any". Pip has matched the versions in it, and
// knows more older ones of macOS than it was given.
func checkTags(file string, platform lock.Platform) error {
	parts := strings.Split(strings.TrimSuffix(file, ".whl"), "-")
	if !strings.HasSuffix(file, ".whl") || len(parts) < 5 || lock.CheckPath(file) != nil {
		return fmt.Errorf("%q is not the name of a wheel", clean(file))
	}
	for tag := range strings.SplitSeq(parts[len(parts)-1], ".") {
		switch {
		case tag == "any", slices.Contains(platform.PipTags, tag):
			return nil
		case platform.OS == "linux" && strings.HasPrefix(tag, "manylinux") && strings.HasSuffix(tag, "_"+platform.Arch):
			return nil
		case platform.OS == "macos" && strings.HasPrefix(tag, "macosx_"):
			return nil
		}
	}
	return fmt.Errorf("%s is not for %s", file, platform.Name)
}

// normaliseName is the form of a project's name that indexes use (PEP 503).
func normaliseName(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_.", r) })
	return strings.Join(words, "-")
}
