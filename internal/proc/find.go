package proc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Tool is a foreign program on this machine that works and reports its version.
type Tool struct {
	Name    string   // "pnpm", see [Tools]
	Path    string   // the program on PATH, absolute
	Args    []string // before all other arguments: pip is `python3 -I -m pip`
	Version string   // as the tool reports it, "11.19.1", or a commit for builds without a number
}

// AtLeast reports whether a tool has that version or a later one; ok is false
// if either is not a version, such as a commit.
func (t Tool) AtLeast(version string) (yes, ok bool) {
	c, ok := CompareToolVersions(t.Version, version)
	return c >= 0, ok
}

// A recipe says how to find a tool, ask for its version and install it.
type recipe struct {
	name     string
	programs []string // names on PATH; the first that works is taken
	args     []string // before all other arguments
	ask      []string // arguments that print the version
	least    string   // the oldest version that works, "" for any
	why      string   // what older versions lack
	install  map[string]string
	renew    string // how to update an old version, the same everywhere
}

// recipes returns the recipe of every tool. The installers are tried in the order
// apt-get, dnf, apk, brew, winget; "" is for machines with none of them.
func recipes() []recipe {
	const npmGlobal = "npm install --global "
	version := []string{"--version"}
	python := []string{"python3", "python", "py"}
	return []recipe{
		{name: "cargo", programs: []string{"cargo"}, ask: version, least: "1.78", why: "which reads a Cargo.lock of version 4",
			install: map[string]string{"apt-get": "apt-get install rustup && rustup default stable", "dnf": "dnf install cargo", "apk": "apk add cargo",
				"brew": "brew install rust", "winget": "winget install Rustlang.Rustup", "": "install rustup (rustup.rs), then run: rustup default stable"},
			renew: "rustup update stable"},
		{name: "rustc", programs: []string{"rustc"}, ask: version, least: "1.78", why: "the compiler of cargo",
			install: map[string]string{"": "install rustup (rustup.rs), then run: rustup default stable"}, renew: "rustup update stable"},
		{name: "npm", programs: []string{"npm"}, ask: version, least: "11.10", why: "which can refuse git dependencies",
			install: map[string]string{"brew": "brew install node", "winget": "winget install OpenJS.NodeJS", "": "lock node, which includes npm: lockgen add node"},
			renew:   npmGlobal + "npm@11"},
		{name: "yarn", programs: []string{"yarn"}, ask: version, least: "1.22", why: "which works without the user's configuration", install: map[string]string{"": npmGlobal + "yarn"}, renew: npmGlobal + "yarn"},
		{name: "pnpm", programs: []string{"pnpm"}, ask: version, least: "9.0", why: "which installs without links", install: map[string]string{"": npmGlobal + "pnpm"}, renew: npmGlobal + "pnpm"},
		{name: "bun", programs: []string{"bun"}, ask: version, least: "1.3", why: "which knows the age of packages", install: map[string]string{"": npmGlobal + "bun"}, renew: npmGlobal + "bun"},
		{name: "pip", programs: python, args: []string{"-I", "-m", "pip"}, ask: version, least: "23.0", why: "whose installation report has its stable form",
			install: map[string]string{"apt-get": "apt-get install python3-pip", "dnf": "dnf install python3-pip", "apk": "apk add py3-pip",
				"brew": "brew install python", "winget": "winget install Python.Python.3.13", "": "install Python 3 with pip (python3 -m ensurepip --upgrade if Python has none)"},
			renew: "python3 -m pip install --upgrade pip"},
		{name: "uv", programs: []string{"uv"}, ask: version,
			install: map[string]string{"brew": "brew install uv", "winget": "winget install astral-sh.uv", "": "python3 -m pip install uv"}, renew: "uv self update"},
		{name: "go", programs: []string{"go"}, ask: []string{"env", "GOVERSION"}, least: "1.21", why: "which can be told not to run another toolchain",
			install: map[string]string{"apt-get": "apt-get install golang", "dnf": "dnf install golang", "apk": "apk add go",
				"brew": "brew install go", "winget": "winget install GoLang.Go", "": "install Go (go.dev/doc/install)"},
			renew: "install a newer Go (go.dev/doc/install)"},
		{name: "node", programs: []string{"node"}, ask: version,
			install: map[string]string{"brew": "brew install node", "winget": "winget install OpenJS.NodeJS", "": "lock one: lockgen add node"}, renew: "lock one: lockgen add node"},
		{name: "python", programs: python, ask: version,
			install: map[string]string{"apt-get": "apt-get install python3", "dnf": "dnf install python3", "apk": "apk add python3",
				"brew": "brew install python", "winget": "winget install Python.Python.3.13", "": "install Python 3"},
			renew: "install a newer Python 3"},
		{name: "git", programs: []string{"git"}, ask: version,
			install: map[string]string{"apt-get": "apt-get install git", "dnf": "dnf install git", "apk": "apk add git",
				"brew": "brew install git", "winget": "winget install Git.Git", "": "install git"},
			renew: "install a newer git"},
		{name: "buck2", programs: []string{"buck2"}, ask: version, least: "2025-11-15", why: "which can load a TOML file",
			install: map[string]string{"": "install Buck2 (buck2.build/docs/getting_started/install)"}, renew: "install a newer Buck2 (buck2.build/docs/getting_started/install)"},
	}
}

// env returns the environment in which a tool is asked for its version. It stops
// corepack, rustup, Yarn and go from downloading anything to answer.
func (r recipe) env() []string {
	set := []string{"COREPACK_ENABLE_NETWORK=0", "RUSTUP_AUTO_INSTALL=0", "YARN_IGNORE_PATH=1", "YARN_RC_FILENAME=.none.yml", "GOTOOLCHAIN=local", "GOFLAGS=", "NO_UPDATE_NOTIFIER=1"}
	if r.name == "node" || slices.Contains(manifest.NodeManagers, r.name) {
		return ShimEnv(set...)
	}
	return AskEnv(set...)
}

// Tools returns the names that [Find] knows.
func Tools() []string {
	var names []string
	for _, r := range recipes() {
		names = append(names, r.name)
	}
	return names
}

func recipeOf(name string) (recipe, error) {
	for _, r := range recipes() {
		if r.name == name {
			return r, nil
		}
	}
	return recipe{}, fault.Errorf(fault.Usage, "tools are "+strings.Join(Tools(), ", "), "unknown tool %q", name)
}

// Least returns the oldest version of a tool that works for us, and why. Both are
// "" if every version works or the tool is unknown.
func Least(name string) (version, why string) {
	r, _ := recipeOf(name)
	return r.least, r.why
}

func LeastOf(name string) string {
	least, _ := Least(name)
	return least
}

// Serves reports whether a version of a tool is its [Least] one or later; ok is
// false if it is not a version.
func Serves(name, version string) (yes, ok bool) {
	least := strings.Split(LeastOf(name), ".")
	major, _ := strconv.Atoi(least[0])
	minor, _ := strconv.Atoi(least[1])
	return AtLeast(version, major, minor)
}

// Remedy returns the command that installs a tool on this machine or, if found,
// updates one that is too old.
func Remedy(name string, found bool) string {
	r, _ := recipeOf(name)
	if found {
		return r.renew
	}
	for _, with := range []string{"apt-get", "dnf", "apk", "brew", "winget"} {
		if line := r.install[with]; line != "" {
			if _, err := exec.LookPath(with); err == nil {
				return line
			}
		}
	}
	return r.install[""]
}

// Find returns a tool on PATH, whatever its version. Errors are of class
// [fault.Machine], with [Remedy] as the hint. If there is no such program, the
// error matches [fs.ErrNotExist]; if none works, it says what was tried.
//
// The tool is asked for its version in the user's environment; tools of Node get
// only what the shim of a version manager needs. The working directory is empty,
// so that no project file selects, or even downloads, another version.
func Find(ctx context.Context, name string) (_ Tool, err error) {
	defer AboutManagers(&err)
	r, err := recipeOf(name)
	if err != nil {
		return Tool{}, err
	}
	dir := ""
	var broken []error
	for _, program := range r.programs {
		found, err := exec.LookPath(program)
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err != nil {
			continue
		}
		if dir == "" {
			if dir, err = os.MkdirTemp("", "buck2-protobuf-find-"); err != nil {
				return Tool{}, err
			}
			defer os.RemoveAll(dir)
		}
		asked := append(append([]string{}, r.args...), r.ask...)
		out, err := Command{
			Name: strings.Join(append([]string{found}, asked...), " "), Path: found, Args: asked, Dir: dir,
			Env:     r.env(),
			Timeout: 30 * time.Second, Limit: 64 << 10, Class: fault.Machine, Hint: Remedy(name, false),
		}.Run(ctx)
		if ctx.Err() != nil {
			return Tool{}, err
		}
		if err == nil {
			if version := SaidVersion(string(out)); version != "" {
				return Tool{Name: name, Path: found, Args: r.args, Version: version}, nil
			}
			err = fmt.Errorf("%s does not print a version but %q", found, redact.Line(string(out)))
		}
		broken = append(broken, err)
	}
	if len(broken) > 0 {
		return Tool{}, fault.Errorf(fault.Machine, Remedy(name, false), "no %s on PATH works: %w", name, errors.Join(broken...))
	}
	return Tool{}, fault.Missingf(fault.Machine, Remedy(name, false), "%s is not on PATH", strings.Join(r.programs, " or "))
}

// AboutManagers gives the topic [fault.AboutManagers] to an error about a tool that
// is missing or too old.
func AboutManagers(err *error) {
	if fault.Of(*err) == fault.Machine {
		*err = fault.About(fault.AboutManagers, *err)
	}
}

// SaidVersion extracts the version from what a program prints: the first word of
// the first line that looks like one ("v20.20.2", "go1.26.8", "2.39.5"), otherwise
// the second word, which is how Buck2 prints a commit.
func SaidVersion(out string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	words := strings.Fields(line)
	for _, w := range words {
		w = strings.TrimPrefix(strings.TrimPrefix(w, "go"), "v")
		if _, ok := canonical(w); ok && strings.ContainsAny(w, ".-") {
			return redact.Line(w)
		}
	}
	if len(words) > 1 && len(words[1]) >= 7 && strings.Trim(words[1], "0123456789abcdef") == "" {
		return words[1]
	}
	return ""
}

// CompareToolVersions compares versions as tools print them: number by number,
// with a pre-release ("3.14.0rc1", "1.27-devel") before its release. Build
// metadata and whatever follows the third number do not count. A date of Buck2
// ("2026-06-11-…") counts as three numbers. Ok is false if either is not a
// version.
func CompareToolVersions(a, b string) (c int, ok bool) {
	x, okX := canonical(a)
	y, okY := canonical(b)
	return semver.Compare(x, y), okX && okY
}

// canonical converts the version of a tool to the form of golang.org/x/mod/semver.
func canonical(s string) (string, bool) {
	if len(s) >= 10 && s[4] == '-' && s[7] == '-' {
		s = s[:4] + "." + s[5:7] + "." + s[8:10]
	}
	m := toolVersion().FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	v := "v"
	for i, number := range m[1:4] {
		n, err := strconv.ParseUint(cmp.Or(number, "0"), 10, 32)
		if err != nil {
			return "", false
		}
		v += [...]string{"", ".", "."}[i] + strconv.FormatUint(n, 10)
	}
	rest, _, _ := strings.Cut(m[4], "+")
	if strings.HasPrefix(rest, ".dev") {
		rest = "0" + rest // before "a1" and "rc1", as PEP 440 orders them
	}
	rest = strings.TrimPrefix(rest, "-")
	if rest == "" || rest[0] == '.' {
		return v, true
	}
	// "rc10" follows "rc9": letters and digits are words of their own.
	v += "-" + strings.Join(toolWords().FindAllString(rest, -1), ".")
	return v, semver.IsValid(v)
}

var (
	toolVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)^([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(.*)$`) })
	toolWords   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9]+|[A-Za-z]+`) })
)
