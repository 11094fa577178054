package pkgmgr

import (
	"bytes"
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
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// The oldest Go that takes GOTOOLCHAIN=local, and with it never runs another.
const goMajor, goMinor = 1, 21

const noGo = "install Go 1.21 or later, or take the plugin from another source"

// A Go is a Go toolchain that can be run. It is safe for use by several
// goroutines.
type Go struct{ path string }

// LockedGo returns the Go inside the unpacked zip of golang.org/toolchain for a
// platform of the lock. It touches no file.
func LockedGo(tree, platform string) *Go {
	name := "go"
	if strings.HasPrefix(platform, "windows-") {
		name = "go.exe"
	}
	return &Go{filepath.Join(tree, "bin", name)}
}

// ToolchainExec reports whether a file of golang.org/toolchain is executable,
// whose zips do not say: the rule of cmd/go, see package store.
func ToolchainExec(path string) bool {
	if strings.HasPrefix(path, "bin/") || strings.HasPrefix(path, "pkg/tool/") {
		return true
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	wrapper, _ := filepath.Match("go_?*_?*_exec", base)
	return wrapper && strings.HasPrefix(path, "lib/")
}

// FindGo returns the go on PATH. None there, a broken one and one older than
// 1.21 are errors of class Machine that say what was found and what is needed;
// a missing one is an [fs.ErrNotExist].
func FindGo(ctx context.Context) (_ *Go, err error) {
	defer aboutManagers(&err)
	found, err := exec.LookPath("go")
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noGo, "go is not on PATH: %w", fs.ErrNotExist)
	}
	if found, err = filepath.Abs(found); err != nil {
		return nil, err
	}
	g := &Go{found}
	version, err := g.Version(ctx)
	if err != nil {
		return nil, err
	}
	switch yes, ok := atLeast(version, goMajor, goMinor); {
	case !ok:
		return nil, fault.Errorf(fault.Machine, noGo, "%s says its version is %q", found, clean(version))
	case !yes:
		return nil, fault.Errorf(fault.Machine, noGo, "%s has version %s, needed is %d.%d or later", found, clean(version), goMajor, goMinor)
	}
	return g, nil
}

// Version returns the version without "go", "1.26.7", and what a Go that was
// built with experiments says behind it.
func (g *Go) Version(ctx context.Context) (string, error) {
	out, err := g.env(ctx, "", "GOVERSION")
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(out["GOVERSION"], "go"), nil
}

// env asks for settings in the user's own environment, in dir.
func (g *Go) env(ctx context.Context, dir string, names ...string) (map[string]string, error) {
	if dir == "" {
		dir = filepath.Dir(g.path) // where no go.mod names another toolchain
	}
	out, err := command{
		name: g.path + " env", path: g.path, args: append([]string{"env", "-json"}, names...), dir: dir,
		// Flags that are broken, and the toolchain that a go.mod asks for, do
		// not concern what is asked here.
		env: userEnv(func(key string) bool { return key == "goflags" || key == "gotoolchain" || key == "gowork" },
			"GOFLAGS=", "GOTOOLCHAIN=local", "GOWORK=off"),
		timeout: time.Minute, class: fault.Machine, mend: noGo,
	}.run(ctx)
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, fault.Errorf(fault.Machine, noGo, "%s env does not answer in JSON: is it Go?", g.path)
	}
	return said, nil
}

// GoConfig is how the user's own Go reaches modules; the fields are the
// variables of `go help environment`. It may hold credentials.
type GoConfig struct {
	Proxy, NoProxy string // GOPROXY, GONOPROXY
	SumDB, NoSumDB string // GOSUMDB, GONOSUMDB
	Auth, VCS      string // GOAUTH, GOVCS
}

// Config returns what the user's Go, run in dir, is configured with; GOPRIVATE
// is in NoProxy and NoSumDB. A proxy that is not "" is asked instead of the
// configured ones. Proxies in clear text are refused with class Policy.
func (g *Go) Config(ctx context.Context, dir, proxy string) (GoConfig, error) {
	said, err := g.env(ctx, dir, "GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOAUTH", "GOVCS")
	if err != nil {
		return GoConfig{}, err
	}
	c := GoConfig{
		Proxy: said["GOPROXY"], NoProxy: said["GONOPROXY"], SumDB: said["GOSUMDB"], NoSumDB: said["GONOSUMDB"],
		Auth: said["GOAUTH"], VCS: said["GOVCS"],
	}
	if proxy != "" {
		c.Proxy = proxy
	}
	const mend = "set [registries] go in plugins.toml, or mend GOPROXY"
	first := true
	for one := range strings.FieldsFuncSeq(c.Proxy, func(r rune) bool { return r == ',' || r == '|' }) {
		one = strings.TrimSpace(one)
		switch one {
		case "off":
			if first {
				return c, fault.Errorf(fault.Machine, mend, "go is configured to use no module proxy (GOPROXY=off)")
			}
		case "", "direct":
		default:
			u, err := url.Parse(one)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" {
				return c, fault.Errorf(fault.Machine, mend, "GOPROXY names %q, which is no address of a proxy", clean(one))
			}
			if u.User = nil; u.Scheme != "file" {
				if err := lock.CheckURL(u.String()); err != nil {
					return c, fmt.Errorf("GOPROXY: %w", err)
				}
			}
		}
		first = false
	}
	if first {
		return c, fault.Errorf(fault.Machine, mend, "go names no module proxy (GOPROXY is empty)")
	}
	return c, nil
}

// Transparent reports whether cmd/go compares what it downloads of a module
// with the checksum database, a transparency log.
func (c GoConfig) Transparent(path string) bool {
	return c.SumDB != "off" && !module.MatchPrefixPatterns(c.NoSumDB, path)
}

// downloadVariables are the ones of the user's that reaching a server takes:
// the way there, certificates, and where tokens are.
var downloadVariables = []string{
	"PATH", "HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "NETRC", "SSH_AUTH_SOCK",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL",
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "PATHEXT", "COMSPEC",
}

// downloadEnv is the environment of a run that downloads: what c says of
// servers, and of everything else nothing that is the user's.
func (c GoConfig) downloadEnv(scratch, cache string, set ...string) []string {
	env := userEnv(func(key string) bool { return !slices.Contains(downloadVariables, strings.ToUpper(key)) },
		"GOPROXY="+c.Proxy, "GONOPROXY="+c.NoProxy, "GOPRIVATE=", "GOSUMDB="+c.SumDB, "GONOSUMDB="+c.NoSumDB,
		"TMPDIR="+scratch, "TEMP="+scratch, "TMP="+scratch, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	if c.Auth != "" {
		env = append(env, "GOAUTH="+c.Auth)
	}
	if c.VCS != "" {
		env = append(env, "GOVCS="+c.VCS)
	}
	return append(append(env, goEnv(scratch, cache)...), set...)
}

// goEnv is what every run of Go has: no file of settings, no other toolchain,
// no workspace, no cgo, and the oldest processors of each kind.
func goEnv(scratch, cache string) []string {
	return []string{
		"GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "GO111MODULE=on", "GOEXPERIMENT=", "GODEBUG=", "CGO_ENABLED=0",
		"GOAMD64=v1", "GOARM64=v8.0", "GOINSECURE=", "GOFLAGS=",
		"GOPATH=" + filepath.Join(scratch, "gopath"), "GOMODCACHE=" + cache, "GOCACHE=" + filepath.Join(scratch, "gocache"),
		"GOTMPDIR=" + scratch,
	}
}

// download is a run of Go with the network.
func (g *Go) download(name, dir string, env, args []string) command {
	return command{name: name, path: g.path, args: args, dir: dir, env: env, timeout: 30 * time.Minute, limit: 64 << 20, class: fault.Upstream}
}

// twice is run for Go with the network: Go asks once, so after a fault that may
// pass it is started again. What it has by then is in its module cache.
func (c command) twice(ctx context.Context) ([]byte, error) {
	out, err := c.run(ctx)
	var exit *exitError
	if !errors.As(err, &exit) {
		return out, err
	}
	passing := slices.ContainsFunc([]string{
		": 500 Internal", ": 502 Bad", ": 503 Service", ": 504 Gateway", ": 429 Too Many",
		"connection reset by peer", "unexpected EOF", ": EOF", "TLS handshake timeout", "i/o timeout", "server closed idle connection", "stream error",
	}, func(s string) bool { return strings.Contains(exit.raw, s) || bytes.Contains(out, []byte(s)) })
	if !passing {
		return out, err
	}
	select {
	case <-ctx.Done():
		return out, err
	case <-time.After(goPause):
	}
	return c.run(ctx)
}

// goPause is the time before Go is started again.
const goPause = 500 * time.Millisecond

// A GoModule is a version of a module, as files. Versions have no v.
type GoModule struct {
	Path, Version string
	Zip           string // file, "" where only the go.mod is read
	Mod           string // file
	Sum, ModSum   string // of the zip and of the go.mod, as in go.sum; Sum is "" without a zip
}

func (m GoModule) String() string { return m.Path + "@v" + m.Version }

// Download downloads the zip and the go.mod of one version of a module into
// scratch, an existing folder, through the user's proxy. Go compares both with
// the checksum database unless c says otherwise. The zip is not unpacked.
//
// What the proxy does not have, or not for us (403), is an [fs.ErrNotExist] of
// class Upstream; other
// bytes than the checksum database knows are of class Integrity.
func (g *Go) Download(ctx context.Context, c GoConfig, scratch, path, version string) (*GoModule, error) {
	cache := filepath.Join(scratch, "mod")
	p, err1 := module.EscapePath(path)
	v, err2 := module.EscapeVersion("v" + version)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fault.Errorf(fault.Usage, "write go:MODULE as Go does, such as go:google.golang.org/protobuf", "go module %s: %w", path, err)
	}
	// Go takes a folder that is there for the unpacked module: a toolchain has
	// 11,000 files. One that would not only unpacks in vain.
	if err := os.MkdirAll(filepath.Join(cache, filepath.FromSlash(p)+"@"+v), 0o755); err != nil {
		return nil, err
	}
	return g.modDownload(ctx, c, scratch, cache, path, version)
}

func (g *Go) modDownload(ctx context.Context, c GoConfig, scratch, cache, path, version string) (*GoModule, error) {
	what := path + "@v" + version
	dir, err := os.MkdirTemp(scratch, "nowhere-") // without a go.mod
	if err != nil {
		return nil, err
	}
	run := g.download("go mod download "+what, dir, c.downloadEnv(scratch, cache), []string{"mod", "download", "-modcacherw", "-json", what})
	out, err := run.twice(ctx)
	if err != nil && !isExit(err) {
		return nil, err
	}
	var said struct {
		Version, Error, Zip, GoMod, Sum, GoModSum string
	}
	if json.Unmarshal(out, &said) != nil || said.Error == "" && err != nil {
		if err == nil {
			err = fault.Errorf(fault.Upstream, "run it by hand, and see what Go says", "go mod download %s says nothing", what)
		}
		return nil, explainGo(err, what, "")
	}
	if said.Error != "" {
		return nil, explainGo(nil, what, said.Error)
	}
	if said.Version != "v"+version {
		return nil, fault.Errorf(fault.Usage, "write the version as "+strings.TrimPrefix(said.Version, "v"),
			"go module %s: this version is called %s", what, clean(said.Version))
	}
	return &GoModule{Path: path, Version: version, Zip: said.Zip, Mod: said.GoMod, Sum: said.Sum, ModSum: said.GoModSum}, nil
}

// DownloadMod is Download for the go.mod alone.
func (g *Go) DownloadMod(ctx context.Context, c GoConfig, scratch, path, version string) (*GoModule, error) {
	what := path + "@v" + version
	dir, err := os.MkdirTemp(scratch, "nowhere-")
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(scratch, "mod")
	out, err := g.download("go list -m "+what, dir, c.downloadEnv(scratch, cache), []string{"list", "-modcacherw", "-m", "-json", what}).twice(ctx)
	if err != nil {
		return nil, explainGo(err, what, "")
	}
	var said struct{ GoMod string }
	if err := json.Unmarshal(out, &said); err != nil || said.GoMod == "" {
		return nil, fault.Errorf(fault.Upstream, "run it by hand, and see what Go says", "go list -m %s names no go.mod", what)
	}
	data, err := os.ReadFile(said.GoMod)
	if err != nil {
		return nil, err
	}
	return &GoModule{Path: path, Version: version, Mod: said.GoMod, ModSum: modSum(data)}, nil
}

// Withdrawn asks what the author of a module says of a version by now: that it
// is retracted, or the module deprecated. The answers are for people.
func (g *Go) Withdrawn(ctx context.Context, c GoConfig, scratch, path, version string) ([]string, error) {
	what := path + "@v" + version
	dir, err := os.MkdirTemp(scratch, "nowhere-")
	if err != nil {
		return nil, err
	}
	env := c.downloadEnv(scratch, filepath.Join(scratch, "news"))
	out, err := g.download("go list -m -u "+what, dir, env, []string{"list", "-modcacherw", "-m", "-u", "-json", what}).twice(ctx)
	if err != nil {
		return nil, explainGo(err, what, "")
	}
	var said struct {
		Retracted  []string
		Deprecated string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, fault.Errorf(fault.Upstream, "run it by hand, and see what Go says", "go list -m -u %s does not answer in JSON", what)
	}
	var notes []string
	if len(said.Retracted) > 0 {
		notes = append(notes, "its author has retracted "+what+": "+clean(strings.Join(said.Retracted, "; ")))
	}
	if said.Deprecated != "" {
		notes = append(notes, "module "+path+" is deprecated: "+clean(said.Deprecated))
	}
	return notes, nil
}

// goMend is for what Go says in its own words.
const goMend = "see that GOPROXY and the network are right: go env GOPROXY GONOPROXY GOPRIVATE"

// explainGo classifies what Go says when it cannot get a module. Text is used
// where there is no error of a program.
func explainGo(err error, what, text string) error {
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		text = exit.raw
	case text == "":
		return err
	}
	if err == nil {
		t := tailOf([]byte(text), 16<<10)
		err = fault.Errorf(fault.Upstream, goMend, "%s", t.lines())
	}
	has := func(list ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(text, s) })
	}
	switch {
	case has("SECURITY ERROR", "checksum mismatch", "misbehavior"):
		return fault.Errorf(fault.Integrity, "do not use it: ask the operator of the proxy, and the author", "go module %s: %w", what, err)
	case has("zip: not a valid zip file", "zip: checksum error", "downloaded zip file too large"):
		return fault.Errorf(fault.Integrity, "try again; if it stays so, the module proxy or something between gives other bytes than a module (a login page?): do not use them",
			"go module %s: %w", what, err)
	case has("checksum database disabled by GOSUMDB=off"):
		return fault.Errorf(fault.Policy, "take GOSUMDB=off out of Go's settings", "go module %s: the checksum database is off, and Go takes a toolchain only with it: %w", what, err)
	case has("requires go >= "):
		_, rest, _ := strings.Cut(text, "requires go >= ")
		return newerGo(what, strings.Fields(rest)[0], err)
	case has("malformed module path", "invalid version", "should be v0 or v1", "module path must match", "but go.mod has", "module declares its path as"):
		return fault.Errorf(fault.Usage, "correct the module or the version", "go module %s: %w", what, err)
	case has("404 Not Found", "410 Gone", "unknown revision", "not found: module", "no matching versions"):
		return fault.Errorf(fault.Upstream, "correct the module or the version; which versions there are is told by: go list -m -versions MODULE",
			"the module proxy has no go module %s: %w: %w", what, fs.ErrNotExist, err)
	case has("403 Forbidden"):
		return fault.Errorf(fault.Upstream, "correct the version, or ask the operator of the proxy for it", "the module proxy refuses go module %s: %w: %w", what, fs.ErrNotExist, err)
	}
	return fault.Errorf(fault.Upstream, fault.MendOr(err, goMend), "go module %s: %w", what, err)
}

func newerGo(what, needed string, err error) error {
	return fault.Errorf(fault.Usage, "lock a newer Go: lockgen add go@"+strings.Trim(clean(needed), ";,:()"), "go module %s needs a newer Go: %w", what, err)
}

// goPlatform tells Go for which platform to read and compile.
func goPlatform(p lock.Platform) []string { return []string{"GOOS=" + p.GOOS, "GOARCH=" + p.GOARCH} }

// fileURL is the address of a folder, as GOPROXY wants it.
func fileURL(dir string) string {
	p := filepath.ToSlash(dir)
	if runtime.GOOS == "windows" {
		p = "/" + p
	}
	// A comma ends an address in GOPROXY; the other mark, |, is always escaped.
	return strings.ReplaceAll((&url.URL{Scheme: "file", Path: p}).String(), ",", "%2C")
}
