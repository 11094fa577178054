// Package gotool runs Go: it resolves the modules of a plugin with the Go of
// this machine, and compiles the plugin with the locked Go, for any platform
// and without network.
package gotool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

const (
	noGo        = "install Go 1.21 or later, or use another source of the plugin"
	noGoLibrary = "install Go 1.21 or later, or " + fault.Aside
)

// unusable returns the error for a Go that cannot be used.
func unusable(format string, args ...any) error {
	return fault.ForLibrary(noGoLibrary, fault.Errorf(fault.Machine, noGo, format, args...))
}

// A Client is a Go toolchain that can be run. It is safe for concurrent use.
type Client struct {
	path    string
	version string // "" if it was not asked yet
}

// Locked returns the Go in an unpacked zip of golang.org/toolchain for a
// platform of the lock. It accesses no file.
func Locked(tree, platform string) *Client {
	name := "go"
	if strings.HasPrefix(platform, "windows-") {
		name = "go.exe"
	}
	return &Client{path: filepath.Join(tree, "bin", name)}
}

// ExecRule is the version of the rule of [Unpacking] about executables. Scan
// caches are stored with it: change it with the rule.
const ExecRule = 1

// toolchainExec reports whether a file of golang.org/toolchain is executable.
// Its zips do not say, so this is the rule of cmd/go, see package archive.
func toolchainExec(path string) bool {
	if strings.HasPrefix(path, "bin/") || strings.HasPrefix(path, "pkg/tool/") {
		return true
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	wrapper, _ := filepath.Match("go_?*_?*_exec", base)
	return wrapper && strings.HasPrefix(path, "lib/")
}

// Find returns the go on PATH, or the one behind a shim. If there is none, or
// it is broken or older than 1.21, the error is of class [fault.Machine] and
// says what was found and what is needed; if there is none, it also matches
// [fs.ErrNotExist].
func Find(ctx context.Context) (_ *Client, err error) {
	defer proc.AboutManagers(&err)
	found, err := exec.LookPath("go")
	if err != nil {
		return nil, fault.ForLibrary(noGoLibrary, fault.Missingf(fault.Machine, noGo, "go is not on PATH"))
	}
	if found, err = filepath.Abs(found); err != nil {
		return nil, err
	}
	// The program on PATH may be the shim of a version manager, which needs the
	// user's environment. Go itself does not need it, and would write to the
	// home folder.
	env := proc.AskEnv()
	if isGo(found) {
		env = homeless(proc.PrivateEnv(proc.Nowhere()))
	}
	said, err := goSays(ctx, found, append(env, "GOENV=off", "GOTOOLCHAIN=local", "GO111MODULE=off"), "GOVERSION", "GOROOT")
	if err != nil {
		return nil, err
	}
	version := strings.TrimPrefix(said["GOVERSION"], "go")
	g := &Client{found, version}
	if real := filepath.Join(said["GOROOT"], "bin", filepath.Base(found)); filepath.IsAbs(said["GOROOT"]) && proc.IsFile(real) {
		g.path = real
	}
	switch yes, ok := proc.Serves("go", version); {
	case !ok:
		return nil, unusable("%s reports the version %q", found, redact.Line(version))
	case !yes:
		return nil, unusable("%s has version %s; %s or later is needed", found, redact.Line(version), proc.LeastOf("go"))
	}
	return g, nil
}

// isGo reports whether a program is in the bin of a GOROOT.
func isGo(program string) bool {
	real, err := filepath.EvalSymlinks(program)
	return err == nil && proc.IsFile(filepath.Join(filepath.Dir(real), "..", "VERSION"))
}

// Version returns the version without "go", such as "1.26.7", followed by the
// experiments that Go was built with, if any.
func (g *Client) Version(ctx context.Context) (string, error) {
	if g.version != "" {
		return g.version, nil
	}
	said, err := goSays(ctx, g.path, append(homeless(proc.PrivateEnv(proc.Nowhere())), "GOENV=off", "GOTOOLCHAIN=local", "GO111MODULE=off"), "GOVERSION")
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(said["GOVERSION"], "go"), nil
}

// goSays asks Go for its settings, in a folder where no go.mod or go.work
// affects them.
func goSays(ctx context.Context, path string, env []string, names ...string) (map[string]string, error) {
	out, err := proc.Command{
		Name: path + " env", Path: path, Args: append([]string{"env", "-json"}, names...), Dir: proc.Nowhere(),
		Env: env, Timeout: time.Minute, Class: fault.Machine, Hint: `make this work, or install another Go, 1.21 or later: go env`,
	}.Run(ctx)
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, unusable("%s env does not print JSON: is it Go?", path)
	}
	return said, nil
}

// A Config says how the user's Go reaches modules; the fields are the variables
// of `go help environment`. It may contain credentials.
type Config struct {
	Proxy, NoProxy string // GOPROXY without direct, GONOPROXY
	SumDB, NoSumDB string // GOSUMDB, GONOSUMDB
	Auth           string // GOAUTH without programs
	program        string // the programs in GOAUTH
}

// goSettings has the user's variables that count: servers, and which of them to
// trust.
var goSettings = []string{"GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOAUTH"}

// Config returns the configuration of the user's Go, from variables and the
// file of go env -w. GOPRIVATE is merged into NoProxy and NoSumDB. If proxy is
// not "", it replaces the configured proxies. A proxy with http is refused with
// class [fault.Policy].
//
// Modules come only from proxies: for "direct", Go would run git or another
// version control. So "direct" after a proxy is ignored; as the first entry it
// is an error of class [fault.Policy].
func (g *Client) Config(ctx context.Context, proxy string) (Config, error) {
	env := append(homeless(proc.PrivateEnv(proc.Nowhere())), "GOTOOLCHAIN=local", "GO111MODULE=off", "GOENV="+goEnvFile())
	env = append(env, proc.UserEnv(func(key string) bool { return !slices.Contains(goSettings, strings.ToUpper(key)) })...)
	said, err := goSays(ctx, g.path, env, goSettings...)
	if err != nil {
		return Config{}, err
	}
	c := Config{Proxy: said["GOPROXY"], NoProxy: said["GONOPROXY"], SumDB: said["GOSUMDB"], NoSumDB: said["GONOSUMDB"]}
	c.Auth, c.program = goAuth(said["GOAUTH"])
	if proxy != "" {
		c.Proxy = proxy
	}
	const hint = "set [registries] go in plugins.toml, or correct GOPROXY"
	first := true
	var proxies strings.Builder
	for rest := c.Proxy; rest != ""; {
		one, mark := rest, ""
		if i := strings.IndexAny(rest, ",|"); i >= 0 {
			one, mark, rest = rest[:i], rest[i:i+1], rest[i+1:]
		} else {
			rest = ""
		}
		one = strings.TrimSpace(one)
		if one == "direct" || one == "off" {
			rest = "" // entries after this do not count
		}
		switch one {
		case "direct":
			if first {
				return c, fault.About(fault.AboutSettings, fault.Errorf(fault.Policy, "set [registries] go in plugins.toml to a module proxy, or GOPROXY",
					"go is configured to use no module proxy (GOPROXY=direct): it would run git, which is not allowed"))
			}
			continue
		case "off":
			if first {
				return c, fault.Errorf(fault.Machine, hint, "go is configured to use no module proxy (GOPROXY=off)")
			}
			continue
		case "":
			continue
		default:
			u, err := url.Parse(one)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" {
				return c, fault.Errorf(fault.Machine, hint, "GOPROXY has %q, which is not the URL of a proxy", redact.Line(one))
			}
			if u.User = nil; u.Scheme != "file" {
				if err := syntax.CheckURL(u.String()); err != nil {
					return c, fmt.Errorf("GOPROXY: %w", err)
				}
			}
		}
		first = false
		proxies.WriteString(one + mark)
	}
	if first {
		return c, fault.Errorf(fault.Machine, hint, "go has no module proxy (GOPROXY is empty)")
	}
	c.Proxy = strings.TrimRight(proxies.String(), ",|")
	return c, nil
}

// goAuth splits GOAUTH (`go help goauth`) into what Go does itself and the
// programs, such as git, which we do not run.
func goAuth(value string) (own, program string) {
	var kept []string
	for one := range strings.SplitSeq(value, ";") {
		switch one = strings.TrimSpace(one); one {
		case "":
		case "netrc", "off":
			kept = append(kept, one)
		default:
			program, _, _ = strings.Cut(one, " ")
		}
	}
	if len(kept) == 0 && program != "" {
		kept = []string{"off"}
	}
	return strings.Join(kept, ";"), program
}

// goEnvFile returns the file of go env -w, or "off" if there is none.
func goEnvFile() string {
	if file := os.Getenv("GOENV"); file != "" {
		return file
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "off"
	}
	return filepath.Join(dir, "go", "env")
}

// Transparent reports whether cmd/go verifies downloads of a module with the
// checksum database, a transparency log.
func (c Config) Transparent(path string) bool {
	return c.SumDB != "off" && !module.MatchPrefixPatterns(c.NoSumDB, path)
}

// Place returns where Go gets the zip or mod file of a module, for messages: its
// URL, or all proxies if there are several.
func (c Config) Place(path, version, suffix string) string {
	if v, err := module.EscapeVersion("v" + version); err == nil {
		version = strings.TrimPrefix(v, "v")
	}
	return c.at(path, "v"+version+"."+suffix)
}

// at is Place for any document of a module.
func (c Config) at(path, document string) string {
	if p, err := module.EscapePath(path); err == nil {
		path = p
	}
	file := "/" + path + "/@v/" + document
	if !strings.ContainsAny(c.Proxy, ",|") {
		return redact.URL(strings.TrimSuffix(c.Proxy, "/") + file)
	}
	return redact.List(c.Proxy) + " (" + file + ")"
}

// downloadEnv returns the environment for downloads: the servers in c, the
// user's proxy settings and netrc file, and nothing else of the user's. Version
// control is neither on PATH nor allowed.
func (c Config) downloadEnv(scratch, cache string, set ...string) []string {
	env := append(homeless(proc.ReachEnv(scratch)), "GOPROXY="+c.Proxy, "GONOPROXY="+c.NoProxy, "GOPRIVATE=", "GOSUMDB="+c.SumDB, "GONOSUMDB="+c.NoSumDB)
	if c.Auth != "" {
		env = append(env, "GOAUTH="+c.Auth)
	}
	if file := netrc(); file != "" {
		env = append(env, "NETRC="+input.Again(file, scratch))
	}
	return append(append(env, goEnv(scratch, cache)...), set...)
}

// netrc returns the user's netrc file, or "" without a home folder.
func netrc() string {
	if file := os.Getenv("NETRC"); file != "" {
		return file
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(home, "_netrc")
	}
	return filepath.Join(home, ".netrc")
}

// homeless removes the home folder from an environment. Go does not need it;
// with one, it would start a background process to count what was run (`go help
// telemetry`).
func homeless(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"HOME", "XDG_CONFIG_HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}, key)
	})
}

// goEnv returns the environment for every run of Go: no settings file, no other
// toolchain, no workspace, no cgo, no version control, and the oldest
// processors of each kind.
func goEnv(scratch, cache string) []string {
	return []string{
		"GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "GO111MODULE=on", "GOEXPERIMENT=", "GODEBUG=", "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOINSECURE=", "GOFLAGS=", "GOVCS=*:off",
		"GOPATH=" + filepath.Join(scratch, "gopath"), "GOMODCACHE=" + cache, "GOCACHE=" + filepath.Join(scratch, "gocache"),
		"GOTMPDIR=" + scratch,
	}
}

// download returns a run of Go with network.
func (g *Client) download(name, dir string, env, args []string) proc.Command {
	return proc.Command{Name: name, Path: g.path, Args: args, Dir: dir, Env: env, Timeout: 30 * time.Minute, Limit: 64 << 20, Class: fault.Upstream}
}

// twice runs Go with network. Go does not retry, so we run it again after a
// temporary error. The second run continues with the same module cache.
func twice(ctx context.Context, c proc.Command) ([]byte, error) {
	out, err := c.Run(ctx)
	var exit *proc.ExitError
	if !errors.As(err, &exit) {
		return out, err
	}
	passing := slices.ContainsFunc([]string{
		": 500 Internal", ": 502 Bad", ": 503 Service", ": 504 Gateway", ": 429 Too Many",
		"connection reset by peer", "unexpected EOF", ": EOF", "TLS handshake timeout", "i/o timeout", "server closed idle connection", "stream error",
	}, func(s string) bool { return strings.Contains(exit.Raw, s) || bytes.Contains(out, []byte(s)) })
	if !passing {
		return out, err
	}
	select {
	case <-ctx.Done():
		return out, err
	case <-time.After(goPause):
	}
	return c.Run(ctx)
}

// goPause is the wait before Go is started again.
const goPause = 500 * time.Millisecond

// A Module is one version of a module, as files. Versions have no v.
type Module struct {
	Path, Version string
	Zip           string // file; "" if only the go.mod is read
	Mod           string // file
	Sum, ModSum   string // of the zip and the go.mod, as in go.sum; Sum is "" without a zip
}

func (m Module) String() string { return m.Path + "@v" + m.Version }

// Download downloads the zip and the go.mod of one version of a module through
// the user's proxy into scratch, an existing folder. Go verifies both with the
// checksum database unless c says otherwise. The zip is not unpacked.
//
// If the proxy does not have the module, or refuses it to us (403), the error
// is of class [fault.Upstream] and matches [fs.ErrNotExist]. If the checksum
// database has another hash, it is of class [fault.Integrity].
func (g *Client) Download(ctx context.Context, c Config, scratch, path, version string) (*Module, error) {
	cache := filepath.Join(scratch, "mod")
	p, err1 := module.EscapePath(path)
	v, err2 := module.EscapeVersion("v" + version)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fault.Errorf(fault.Usage, "write go:MODULE as Go does, such as go:google.golang.org/protobuf", "go module %s: %w", path, err)
	}
	// Go does not unpack a module whose folder exists: a toolchain has 11,000
	// files. If some Go did, it would only waste time.
	if err := os.MkdirAll(filepath.Join(cache, filepath.FromSlash(p)+"@"+v), 0o755); err != nil {
		return nil, err
	}
	return g.modDownload(ctx, c, scratch, cache, path, version)
}

func (g *Client) modDownload(ctx context.Context, c Config, scratch, cache, path, version string) (*Module, error) {
	what, place := path+"@v"+version, c.Place(path, version, "zip")
	dir, err := os.MkdirTemp(scratch, "nowhere-") // without a go.mod
	if err != nil {
		return nil, err
	}
	run := g.download("go mod download "+what, dir, c.downloadEnv(scratch, cache), []string{"mod", "download", "-modcacherw", "-json", what})
	out, err := twice(ctx, run)
	if err != nil && !proc.Exited(err) {
		return nil, err
	}
	var said struct {
		Version, Error, Zip, GoMod, Sum, GoModSum string
	}
	if json.Unmarshal(out, &said) != nil || said.Error == "" && err != nil {
		if err == nil {
			err = fault.Errorf(fault.Upstream, "run it yourself to see what Go says", "go mod download %s printed nothing", what)
		}
		return nil, c.explain(err, what, "", place)
	}
	if said.Error != "" {
		return nil, c.explain(nil, what, said.Error, place)
	}
	if said.Version != "v"+version {
		return nil, fault.Errorf(fault.Usage, "write the version as "+strings.TrimPrefix(said.Version, "v"),
			"go module %s: this version is called %s", what, redact.Line(said.Version))
	}
	return &Module{Path: path, Version: version, Zip: said.Zip, Mod: said.GoMod, Sum: said.Sum, ModSum: said.GoModSum}, nil
}

// DownloadMod is Download for only the go.mod.
func (g *Client) DownloadMod(ctx context.Context, c Config, scratch, path, version string) (*Module, error) {
	what := path + "@v" + version
	dir, err := os.MkdirTemp(scratch, "nowhere-")
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(scratch, "mod")
	out, err := twice(ctx, g.download("go list -m "+what, dir, c.downloadEnv(scratch, cache), []string{"list", "-modcacherw", "-m", "-json", what}))
	if err != nil {
		return nil, c.explain(err, what, "", c.Place(path, version, "mod"))
	}
	var said struct{ GoMod string }
	if err := json.Unmarshal(out, &said); err != nil || said.GoMod == "" {
		return nil, fault.Errorf(fault.Upstream, "run it yourself to see what Go says", "go list -m %s reported no go.mod", what)
	}
	data, err := os.ReadFile(said.GoMod)
	if err != nil {
		return nil, err
	}
	return &Module{Path: path, Version: version, Mod: said.GoMod, ModSum: modSum(data)}, nil
}

// Withdrawn returns what the author of a module now says about a version, for
// people to read: that it is retracted, or the module deprecated.
func (g *Client) Withdrawn(ctx context.Context, c Config, scratch, path, version string) ([]string, error) {
	what := path + "@v" + version
	dir, err := os.MkdirTemp(scratch, "nowhere-")
	if err != nil {
		return nil, err
	}
	env := c.downloadEnv(scratch, filepath.Join(scratch, "news"))
	out, err := twice(ctx, g.download("go list -m -u "+what, dir, env, []string{"list", "-modcacherw", "-m", "-u", "-json", what}))
	if err != nil {
		return nil, c.explain(err, what, "", c.Place(path, version, "mod"))
	}
	var said struct {
		Retracted  []string
		Deprecated string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, fault.Errorf(fault.Upstream, "run it yourself to see what Go says", "go list -m -u %s did not print JSON", what)
	}
	var notes []string
	if len(said.Retracted) > 0 {
		notes = append(notes, "its author has retracted "+what+": "+redact.Line(strings.Join(said.Retracted, "; ")))
	}
	if said.Deprecated != "" {
		notes = append(notes, "module "+path+" is deprecated: "+redact.Line(said.Deprecated))
	}
	return notes, nil
}

// goHint is the hint for errors of Go that are not classified.
const goHint = "check the network and: go env GOPROXY GONOPROXY GOPRIVATE"

// explain classifies an error of Go when it cannot get a module from a place.
// Text is used if err is not the error of a program. The place is "" for a run
// with several modules.
func (c Config) explain(err error, what, text, place string) error {
	var exit *proc.ExitError
	switch {
	case errors.As(err, &exit):
		text = exit.Raw
	case text == "":
		return err
	}
	if err == nil {
		t := proc.TailOf([]byte(text), 16<<10)
		err = fault.Errorf(fault.Upstream, goHint, "%s", t.Lines())
	}
	from := what
	if at := cmp.Or(place, redact.List(c.Proxy)); at != "" && !c.names(err.Error()) {
		from = what + ", from " + at // of some faults Go does not say it, of others only where the proxy leads
	}
	has := func(list ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(text, s) })
	}
	switch {
	case has("tls: failed to verify certificate", "x509: certificate"):
		return fault.About(fault.AboutProxy, fault.Errorf(fault.Upstream, fault.Authority("go"), "go module %s: %w", what, err))
	case has("GOVCS disallows using"):
		return fault.About(fault.AboutSettings, fault.Errorf(fault.Policy,
			"set a module proxy that has it: [registries] go in plugins.toml, or GOPROXY; with GONOPROXY=none, Go does not bypass it (see GOPRIVATE)",
			"go module %s does not come from a proxy: Go would run version control for it, which is not allowed: %w", what, err))
	case c.program != "" && has("401 Unauthorized", "403 Forbidden"):
		return fault.About(fault.AboutSettings, fault.Errorf(fault.Upstream, "put the user name and password for the proxy into the netrc file and set GOAUTH=netrc",
			"go module %s: the proxy refuses it, and GOAUTH has the program %s, which lockgen does not run: %w", what, redact.Line(c.program), err))
	case has("SECURITY ERROR", "checksum mismatch", "misbehavior"):
		return fault.Errorf(fault.Integrity, "do not use it: ask the operator of the proxy, and the author", "go module %s: %w", from, err)
	case has("zip: not a valid zip file", "zip: checksum error", "zip: unsupported compression algorithm", "flate: corrupt input", ": negative offset",
		"has unexpected file", "downloaded zip file too large"):
		return fault.Errorf(fault.Integrity, "try again; if it fails again, the module proxy or something in between sends something other than the module (a login page?): do not use it",
			"go module %s: %w", from, err)
	case has("checksum database disabled by GOSUMDB=off"):
		return fault.Errorf(fault.Policy, "remove GOSUMDB=off from Go's settings", "go module %s: the checksum database is off, but Go accepts a toolchain only with it: %w", what, err)
	case has("requires go >= "):
		_, rest, _ := strings.Cut(text, "requires go >= ")
		return newerGo(what, strings.Fields(rest)[0], err)
	case has("malformed module path", "invalid version", "should be v0 or v1", "module path must match", "but go.mod has", "module declares its path as"):
		return fault.Errorf(fault.Usage, "correct the module or the version", "go module %s: %w", what, err)
	case has("404 Not Found", "410 Gone", "unknown revision", "not found: module", "no matching versions"):
		return fault.Errorf(fault.Upstream, "correct the module or the version, and check: go env GOPROXY", "the module proxy has no go module %s: %w", what, absent{err})
	case has("403 Forbidden"):
		return fault.Errorf(fault.Upstream, "correct the version, or ask the operator of the proxy for it", "the module proxy refuses go module %s: %w", what, absent{err})
	case has(": 401 "):
		return fault.Errorf(fault.Upstream, "put the user name and the password for the proxy into the netrc file, or ask its operator", "the module proxy refuses go module %s: %w", what, err)
	case has(": 407 "):
		return fault.Errorf(fault.Upstream, "check the user name and the password in HTTPS_PROXY, and what that proxy allows", "go module %s: %w", what, err)
	case has(": 408 ", ": 425 ", ": 429 ", ": 500 ", ": 502 ", ": 503 ", ": 504 "):
		return fault.Errorf(fault.Upstream, "try again later, or name another module proxy: [registries] go in plugins.toml, or GOPROXY", "go module %s: %w", what, err)
	}
	return fault.Errorf(fault.Upstream, fault.HintOr(err, goHint), "go module %s: %w", from, err)
}

// names reports whether a text has the host of a proxy, or of one that is a folder its
// URL.
func (c Config) names(text string) bool {
	for _, proxy := range strings.FieldsFunc(c.Proxy, func(r rune) bool { return r == ',' || r == '|' }) {
		if u, err := url.Parse(proxy); err == nil && strings.Contains(text, cmp.Or(u.Host, proxy)) {
			return true
		}
	}
	return false
}

// absent is an [fs.ErrNotExist] that does not say so: Go does, in its own words.
type absent struct{ error }

func (a absent) Unwrap() error        { return a.error }
func (a absent) Is(target error) bool { return target == fs.ErrNotExist }

func newerGo(what, needed string, err error) error {
	return fault.Errorf(fault.Usage, "lock a newer Go: lockgen add go@"+strings.Trim(redact.Line(needed), ";,:()"), "go module %s needs a newer Go: %w", what, err)
}

// goPlatform sets the platform to read and compile for.
func goPlatform(p lock.Platform) []string { return []string{"GOOS=" + p.GOOS, "GOARCH=" + p.GOARCH} }

// fileURL returns the URL of a folder for GOPROXY.
func fileURL(dir string) string {
	p := filepath.ToSlash(dir)
	if runtime.GOOS == "windows" {
		p = "/" + p
	}
	// In GOPROXY, a comma ends a URL. So does "|", but it is always escaped.
	return strings.ReplaceAll((&url.URL{Scheme: "file", Path: p}).String(), ",", "%2C")
}
