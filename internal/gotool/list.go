package gotool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A News says what is now known about one version of a module.
type News struct {
	Version    string    // without the v
	Retracted  string    // why the author retracted it; "" if not retracted
	Deprecated string    // the author's message to users of the module
	Committed  time.Time // time of the commit, set by its author
	// ModSum is the h1 hash of the go.mod in the proxy, Sum that of the zip in
	// the checksum database; "" if unknown.
	ModSum, Sum string
	Err         error // why there is no answer; for a missing version it matches [fs.ErrNotExist]
}

// moduleInfo is the output of `go list -m -json` for a module.
type moduleInfo struct {
	Path, Version, Deprecated, GoMod string
	Versions, Retracted              []string
	Time                             time.Time
	Error                            *struct{ Err string }
}

// list runs `go list -m` with a module cache in scratch, which keeps what it
// has downloaded.
func (g *Client) list(ctx context.Context, c Config, scratch string, args ...string) ([]moduleInfo, error) {
	dir, err := os.MkdirTemp(scratch, "nowhere-") // without a go.mod
	if err != nil {
		return nil, err
	}
	what := args[len(args)-1]
	if n := len(args); n > 1 && !strings.HasPrefix(args[n-2], "-") {
		what += " and others"
	}
	args = append([]string{"list", "-modcacherw", "-m", "-json"}, args...)
	out, err := twice(ctx, g.download("go list -m "+what, dir, c.downloadEnv(scratch, newsCache(scratch)), args))
	if err != nil {
		return nil, c.explain(err, what, "", "")
	}
	var all []moduleInfo
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var one moduleInfo
		switch err := dec.Decode(&one); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, fault.Errorf(fault.Upstream, "run it yourself to see what Go says", "go list -m %s did not print JSON", what)
		}
		all = append(all, one)
	}
}

func newsCache(scratch string) string { return filepath.Join(scratch, "news") }

// Versions lists the versions of a module in the proxy, including retracted
// ones. Scratch is an existing folder. If the module does not exist, the error
// matches [fs.ErrNotExist]. For the toolchain module, it lists versions of Go,
// whichever platforms they exist for.
func (g *Client) Versions(ctx context.Context, c Config, scratch, path string) ([]News, error) {
	latest := path + "@latest"
	all, err := g.list(ctx, c, scratch, "-versions", "-retracted", latest)
	if err != nil {
		return nil, err
	}
	good, err := g.list(ctx, c, scratch, "-versions", "-u", latest)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || len(good) != 1 {
		return nil, fault.Errorf(fault.Upstream, "run it yourself to see what Go says, and check: go env GOPROXY", "go list -m -versions %s printed nothing", path)
	}
	switch newest := good[0].Version; {
	case len(all[0].Versions) > 0 || newest == "":
	case module.IsPseudoVersion(newest):
		return nil, fault.Missingf(fault.Upstream, "use the version of a commit, as printed by: go list -m "+latest, "go module %s has no version", path)
	default: // Go passes over lines that are no version
		return nil, fault.Errorf(fault.Upstream, "see what answers there: it has to be a list of versions, one a line; run the command again when it is",
			"the module proxy says that go module %s has the version %s, and lists none: %s", path, redact.Line(newest), c.at(path, "list"))
	}
	var news []News
	for _, v := range all[0].Versions {
		n := News{Version: strings.TrimPrefix(v, "v")}
		if path == lock.GoToolchain {
			tool, ok := strings.CutPrefix(v, "v0.0.1-go")
			i := strings.LastIndexByte(tool, '.') // before the platform
			if !ok || i < 0 || slices.ContainsFunc(news, func(o News) bool { return o.Version == tool[:i] }) {
				continue
			}
			n.Version = tool[:i]
		}
		if n.Deprecated = redact.Line(good[0].Deprecated); !slices.Contains(good[0].Versions, v) {
			n.Retracted = "retracted by its author"
		}
		news = append(news, n)
	}
	return news, nil
}

// Absent asks in one run of Go whether the proxy has versions of modules. It downloads
// no zips. The errors are in the order of modules: nil for one that is there, and
// matching [fs.ErrNotExist] for one that is not.
func (g *Client) Absent(ctx context.Context, c Config, scratch string, modules []module.Version) ([]error, error) {
	args := []string{"-e"}
	for _, m := range modules {
		args = append(args, m.Path+"@"+m.Version)
	}
	all, err := g.list(ctx, c, scratch, args...)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(modules))
	for i, m := range modules {
		for _, one := range all {
			if one.Path == m.Path && one.Version == m.Version && one.Error != nil {
				errs[i] = c.explain(nil, m.String(), one.Error.Err, c.Place(m.Path, strings.TrimPrefix(m.Version, "v"), "info"))
			}
		}
	}
	return errs, nil
}

// News asks about versions of modules in one run of Go: what their authors now
// say, and whether the proxy still has them. It downloads no zips. Go verifies
// the go.mod of each with the checksum database unless c says otherwise. The
// results are in the order of modules.
func (g *Client) News(ctx context.Context, c Config, scratch string, modules []module.Version) ([]News, error) {
	args := []string{"-u", "-retracted", "-e"}
	for _, m := range modules {
		args = append(args, m.Path+"@"+m.Version)
	}
	all, err := g.list(ctx, c, scratch, args...)
	if err != nil {
		return nil, err
	}
	said := map[module.Version]moduleInfo{}
	for _, one := range all {
		said[module.Version{Path: one.Path, Version: one.Version}] = one
	}
	news := make([]News, len(modules))
	for i, m := range modules {
		n := &news[i]
		n.Version = strings.TrimPrefix(m.Version, "v")
		one, ok := said[m]
		switch {
		case !ok:
			n.Err = fault.Errorf(fault.Upstream, "run it yourself: go list -m "+m.String(), "go list -m printed nothing about %s", m)
			continue
		case one.Error != nil:
			n.Err = c.explain(nil, m.String(), one.Error.Err, c.Place(m.Path, n.Version, "mod"))
			continue
		}
		n.Committed = one.Time
		if len(one.Retracted) > 0 {
			n.Retracted = "retracted by its author: " + redact.Line(strings.Join(one.Retracted, "; "))
		}
		n.Deprecated = redact.Line(one.Deprecated)
		if one.GoMod == "" {
			// go list -m does not say if it could not get a go.mod or refuses
			// it, for example because of the checksum database; a download
			// does.
			var got *Module
			if got, n.Err = g.Download(ctx, c, scratch, m.Path, n.Version); n.Err != nil {
				continue
			}
			one.GoMod = got.Mod
		}
		data, err := os.ReadFile(one.GoMod)
		if err != nil {
			return nil, err
		}
		n.ModSum = modSum(data)
		n.Sum, n.Err = knownSum(newsCache(scratch), m)
	}
	return news, nil
}

// knownSum returns the hash of a module's zip in the checksum database. Go
// keeps verified records in its module cache:
// cache/download/sumdb/NAME/lookup/MODULE@VERSION has lines of a go.sum after
// the number of the record (go.dev/design/25530-sumdb).
func knownSum(cache string, m module.Version) (string, error) {
	path, err1 := module.EscapePath(m.Path)
	version, err2 := module.EscapeVersion(m.Version)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(cache, "cache", "download", "sumdb", "*"))
	if err != nil {
		return "", err
	}
	for _, dir := range files {
		data, err := os.ReadFile(filepath.Join(dir, "lookup", filepath.FromSlash(path)+"@"+version))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == m.Path && f[1] == m.Version {
				return f[2], nil
			}
		}
		return "", fmt.Errorf("the checksum database has no line for %s", m)
	}
	return "", nil
}
