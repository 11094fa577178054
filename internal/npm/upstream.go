package npm

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// A Registry answers the requests of npm at lock time. npm itself can reach no
// other server.
type Registry interface {
	// Document returns the document of a package, with times if full is set, or
	// else the shortest that npm can use. If the package does not exist, the
	// error is [fs.ErrNotExist].
	Document(ctx context.Context, name string, full bool) ([]byte, error)
	// Tarball downloads the tarball of a version. npm reads it if packages are
	// bundled in it.
	Tarball(ctx context.Context, name, version string, in remote.Sink) error
}

// maxBundle limits the size of a tarball that npm reads at lock time, in bytes.
const maxBundle = 512 << 20

// An upstream answers the requests of one run of npm from a registry. npm sees
// only the fields of each version that it needs. A dependency that is not from
// a registry is replaced by a placeholder, a package that does not exist, so
// that npm's request for it shows that it would be installed. Requirements on
// the machine are hidden, because npm would compare them with this one.
type upstream struct {
	ctx      context.Context
	registry Registry
	full     bool
	scratch  string
	token    string // prefix of the names of placeholders

	mu      sync.Mutex
	known   once.Map[string, []byte] // documents, by name
	facts   map[string]facts         // by NAME@VERSION
	refused map[string]error         // by the name of the placeholder
	met     []string                 // placeholders that npm asked for
	absent  map[string]error         // packages that the registry does not have
	others  []string                 // URLs outside the registry that npm asked for
	failure error                    // the first one
}

// facts has what a registry says about a version.
type facts struct {
	seen          object // what npm sees
	released      string // only in a full document
	os, cpu, libc texts
	engines       table
	refusal       error
}

func newUpstream(ctx context.Context, registry Registry, full bool, scratch string) *upstream {
	return &upstream{
		ctx: ctx, registry: registry, full: full, scratch: scratch, token: strings.ToLower(rand.Text()) + "-",
		facts: map[string]facts{}, refused: map[string]error{}, absent: map[string]error{},
	}
}

// answer is for [proc.NewLoopback].
func (u *upstream) answer(base, path string, w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(path, "-/"); ok {
		i := strings.LastIndexByte(rest, '/')
		if version, ok := strings.CutSuffix(rest[i+1:], ".tgz"); ok && i > 0 && IsName(rest[:i]) {
			u.tarball(w, r, rest[:i], version)
			return
		}
		http.NotFound(w, r)
		return
	}
	u.mu.Lock()
	if u.refused[path] != nil {
		u.met = append(u.met, path)
	}
	u.mu.Unlock()
	if !IsName(path) || strings.HasPrefix(path, u.token) {
		http.NotFound(w, r)
		return
	}
	data, err := u.seen(base, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		u.mu.Lock()
		u.absent[path] = err
		u.mu.Unlock()
		http.NotFound(w, r)
	case err != nil:
		u.fail(w, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	}
}

// seen returns the document of a package that npm sees, which the registry is
// asked for once.
func (u *upstream) seen(base, name string) ([]byte, error) {
	return u.known.Do(name, func() ([]byte, error) { return u.document(base, name) })
}

// has asks the registry for a package and for one version of it, if that is an
// exact one. If there is no such package or version, the error matches
// [fs.ErrNotExist].
func (u *upstream) has(base, name, version string) error {
	if _, err := u.seen(base, name); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.facts[name+"@"+version]; !ok && semver.Canonical("v"+version) == "v"+version {
		return fault.Missingf(fault.Upstream, "use a version that the registry has", "the registry has no such version")
	}
	return nil
}

// elsewhere is for [proc.NewLoopback]. Only something bundled in a tarball can
// lead there.
func (u *upstream) elsewhere(url string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.others = append(u.others, url)
}

func (u *upstream) fail(w http.ResponseWriter, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failure == nil {
		u.failure = err
	}
	http.Error(w, "see lockgen", http.StatusBadGateway)
}

func (u *upstream) tarball(w http.ResponseWriter, r *http.Request, name, version string) {
	f, err := os.CreateTemp(u.scratch, "tarball-")
	if err != nil {
		u.fail(w, err)
		return
	}
	defer f.Close()
	if err := u.registry.Tarball(u.ctx, name, version, &fileSink{f: f}); err != nil {
		u.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if info, err := f.Stat(); err == nil {
		http.ServeContent(w, r, "", info.ModTime(), f)
	}
}

// A fileSink is a [remote.Sink] with a size limit.
type fileSink struct {
	f *os.File
	n int64
}

func (s *fileSink) Offset() int64 { return s.n }

func (s *fileSink) From(string) {} // npm verifies the integrity, and we do again when it is locked

func (s *fileSink) Write(p []byte) (int, error) {
	if s.n+int64(len(p)) > maxBundle {
		return 0, fault.Errorf(fault.Upstream, "use another version", "%s: a tarball with bundled packages has more than %d bytes", filepath.Base(s.f.Name()), maxBundle)
	}
	n, err := s.f.Write(p)
	s.n += int64(n)
	return n, err
}

func (s *fileSink) Reset() error {
	s.n = 0
	_, err := s.f.Seek(0, 0)
	return errors.Join(err, s.f.Truncate(0))
}

// npmFields are the fields of a version that npm sees.
var npmFields = []string{
	"deprecated", "dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta",
	"bundleDependencies", "bundledDependencies", "scripts", "hasInstallScript", "gypfile", "_hasShrinkwrap",
}

type object = map[string]json.RawMessage

// document returns the document of a package that npm sees.
func (u *upstream) document(base, name string) ([]byte, error) {
	data, err := u.registry.Document(u.ctx, name, u.full)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Tags     map[string]string          `json:"dist-tags"`
		Time     object                     `json:"time"`
		Versions map[string]json.RawMessage `json:"versions"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fault.Errorf(fault.Upstream, "try again later, or use another registry", "the registry's document of npm package %s is malformed: %s", name, redact.Line(err.Error()))
	}
	versions := map[string]object{}
	for _, version := range slices.Sorted(maps.Keys(doc.Versions)) {
		var all object
		if json.Unmarshal(doc.Versions[version], &all) != nil || all == nil {
			continue // not a manifest
		}
		seen := object{"name": quoted(name), "version": quoted(version)}
		for _, field := range npmFields {
			if v, ok := all[field]; ok {
				seen[field] = v
			}
		}
		switch raw := seen["deprecated"]; { // npm copies it into its lock, where it is a text
		case string(raw) == "true":
			seen["deprecated"] = quoted("deprecated")
		case raw != nil && raw[0] != '"':
			delete(seen, "deprecated")
		}
		dist := object{}
		if json.Unmarshal(all["dist"], &dist) == nil && len(dist) > 0 {
			kept := object{"tarball": quoted(base + "/-/" + name + "/" + version + ".tgz")}
			for _, field := range []string{"integrity", "shasum"} {
				if v, ok := dist[field]; ok {
					kept[field] = v
				}
			}
			seen["dist"], _ = json.Marshal(kept)
		}
		f := facts{seen: seen}
		_ = json.Unmarshal(doc.Time[version], &f.released) // npm ignores malformed times
		for field, to := range map[string]any{"os": &f.os, "cpu": &f.cpu, "libc": &f.libc, "engines": &f.engines} {
			if raw := all[field]; raw != nil {
				_ = json.Unmarshal(raw, to) // npm ignores malformed requirements
			}
		}
		f.refusal = u.refuse(name+"@"+version, seen)
		u.mu.Lock()
		u.facts[name+"@"+version] = f
		u.mu.Unlock()
		versions[version] = seen
	}
	return json.Marshal(map[string]any{"name": name, "dist-tags": doc.Tags, "time": doc.Time, "versions": versions})
}

func quoted(s string) json.RawMessage {
	data, _ := json.Marshal(s)
	return data
}

// refuse replaces each dependency of a version that is not from a registry by a
// placeholder, and returns the error for the first one.
func (u *upstream) refuse(label string, seen object) (first error) {
	for _, field := range []string{"dependencies", "optionalDependencies", "peerDependencies"} {
		var deps map[string]any
		if raw, ok := seen[field]; !ok || json.Unmarshal(raw, &deps) != nil {
			delete(seen, field)
			continue
		}
		changed := false
		for _, dep := range slices.Sorted(maps.Keys(deps)) {
			spec, ok := deps[dep].(string)
			if ok && IsName(dep) && fromRegistry(spec) {
				continue
			}
			if !ok {
				spec = fmt.Sprint(deps[dep])
			}
			err := direct(label, dep, spec)
			if first == nil {
				first = err
			}
			u.mu.Lock()
			fake := u.token + strconv.Itoa(len(u.refused))
			u.refused[fake] = err
			u.mu.Unlock()
			delete(deps, dep)
			deps[fake], changed = "1.0.0", true
		}
		if changed {
			seen[field], _ = json.Marshal(deps)
		}
	}
	return first
}

// direct returns the error for a dependency that is not from a registry.
func direct(label, name, spec string) error {
	return fault.About(fault.AboutDirect, fault.Elsewheref(fault.Policy,
		"npm package %s depends on %s from %s, not from a registry", label, redact.Line(name), redact.Line(spec)))
}

// fromRegistry reports whether npm looks up a dependency in a registry: a
// range, a version, a tag, or one of these for another name (npm:NAME@RANGE).
// Everything else leads elsewhere (`npm help package-spec`): git, USER/REPO, a
// URL, a file, a folder, or forms of other managers such as workspace:.
func fromRegistry(spec string) bool {
	spec = strings.TrimSpace(spec)
	if len(spec) >= 4 && strings.EqualFold(spec[:4], "npm:") {
		name, rest, _ := strings.Cut(strings.TrimPrefix(spec[4:], "@"), "@")
		if strings.HasPrefix(spec[4:], "@") {
			name = "@" + name
		}
		if !IsName(name) || strings.ContainsAny(name, `:\%?# `) {
			return false
		}
		spec = strings.TrimSpace(rest)
	}
	lower := strings.ToLower(spec)
	for _, suffix := range []string{".tgz", ".tar.gz", ".tar"} {
		if strings.HasSuffix(lower, suffix) {
			return false
		}
	}
	return !strings.HasPrefix(spec, ".") && !strings.ContainsAny(spec, `:/\@%`)
}

// verdict returns the error for a closure that npm could not resolve or that is
// not allowed, or nil. Ended is the error of npm, and closure its result, if
// any.
func (u *upstream) verdict(ended error, closure *PackageLock) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.failure != nil:
		return u.failure
	case len(u.met) > 0:
		slices.Sort(u.met)
		return u.refused[u.met[0]]
	case len(u.others) > 0:
		slices.Sort(u.others)
		return fault.About(fault.AboutDirect, fault.Elsewheref(fault.Policy,
			"something bundled in it, or in a dependency, depends on %s, which is not in a registry", redact.Line(u.others[0])))
	case ended != nil:
		return nil
	}
	for _, folder := range slices.Sorted(maps.Keys(closure.Packages)) {
		p := closure.Packages[folder]
		if f := u.facts[p.Name+"@"+p.Version]; f.refusal != nil {
			return f.refusal
		}
	}
	return nil
}

// complete adds to a closure what npm did not see.
func (u *upstream) complete(closure *PackageLock) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for folder, p := range closure.Packages {
		f := u.facts[p.Name+"@"+p.Version]
		p.OS, p.CPU, p.Libc, p.Engines = f.os, f.cpu, f.libc, f.engines
		closure.Packages[folder] = p
	}
}
