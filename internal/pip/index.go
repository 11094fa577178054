package pip

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/pep440"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

// An Index provides the answers for [Client.Report].
type Index struct {
	// Files lists the files of a project, by its normalised name. If the
	// project does not exist, the error is fs.ErrNotExist.
	Files func(ctx context.Context, project string) ([]remote.IndexFile, error)
	// Metadata returns the METADATA of a wheel.
	Metadata func(ctx context.Context, f remote.IndexFile) ([]byte, error)
}

// A pipIndex is the index that one run of pip sees. It serves the content of an
// [Index] on 127.0.0.1, in JSON (PEP 691). pip gets no data written by others:
// the pages list the wheels that a target may use, and each wheel is generated
// here with nothing but what [wheel.ParseMetadata] read. A wheel with a direct
// reference ends the run before pip sees it.
type pipIndex struct {
	*proc.Loopback
	ctx     context.Context
	index   Index
	req     Requirement
	targets []Target // of each run; paths contain the run's index

	mu     sync.Mutex
	err    error // ended the run
	at     int   // run in which err occurred
	pages  map[string][]remote.IndexFile
	wheels map[string]remote.IndexFile // by name
	said   map[string]*wheel.Metadata  // likewise
	stubs  map[string][]byte           // likewise
	heard  []map[string]bool           // for each run, what may depend on the patch release of Python
	asked  []inquiry                   // by each run
}

func (p *Client) serve(ctx context.Context, index Index, req Requirement, targets []Target) (*pipIndex, error) {
	s := &pipIndex{
		ctx: ctx, index: index, req: req, targets: targets, pages: map[string][]remote.IndexFile{}, wheels: map[string]remote.IndexFile{},
		said: map[string]*wheel.Metadata{}, stubs: map[string][]byte{}, heard: make([]map[string]bool, len(targets)),
	}
	for i := range s.heard {
		s.heard[i] = map[string]bool{}
		s.asked = append(s.asked, inquiry{map[string]bool{}, map[string]bool{}})
	}
	var err error
	s.Loopback, err = proc.NewLoopback(s.answer, nil)
	return s, err
}

// url returns the URL of the index for a run.
func (s *pipIndex) url(run int) string { return s.Base + "/" + strconv.Itoa(run) + "/simple/" }

// answer serves RUN/simple/PROJECT/ and RUN/wheels/FILE, and says in RUN/same/BEFORE
// whether it would answer a run as it answered an earlier one. For pip, an error
// means that the index has nothing; the reason is in err.
func (s *pipIndex) answer(_, path string, w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(path, "/")
	run, err := strconv.Atoi(parts[0])
	if err != nil || run < 0 || run >= len(s.targets) || len(parts) < 3 {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var body []byte
	kind := "application/octet-stream"
	err = s.err
	switch {
	case err != nil:
	case parts[1] == "simple":
		kind = "application/vnd.pypi.simple.v1+json"
		body, err = s.page(run, syntax.NormalProject(parts[2]))
	case parts[1] == "wheels":
		s.asked[run].wheels[parts[2]] = true
		body, err = s.wheel(run, parts[2])
	case parts[1] == "same":
		before, bad := strconv.Atoi(parts[2])
		body = []byte("no")
		if bad == nil && before >= 0 && before < run && s.same(run, before) {
			body = []byte("yes")
		}
	}
	switch {
	case err != nil && s.err == nil:
		s.err, s.at = err, run
		fallthrough
	case err != nil:
		http.Error(w, "refused", http.StatusForbidden)
	case body == nil:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", kind)
		w.Write(body)
	}
}

// page returns nil for a project that does not exist.
func (s *pipIndex) page(run int, project string) ([]byte, error) {
	s.asked[run].projects[project] = true
	if _, ok := s.pages[project]; !ok {
		all, err := s.index.Files(s.ctx, project)
		if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, remote.ErrNotIndex) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		s.pages[project] = all
	}
	type m = map[string]any
	files := []m{}
	list, err := s.listed(run, project)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		entry := m{"filename": f.Filename, "url": s.Base + "/" + strconv.Itoa(run) + "/wheels/" + f.Filename, "hashes": m{}, "yanked": false}
		if f.Python != "" {
			entry["requires-python"] = f.Python
		}
		if f.Yanked != "" {
			entry["yanked"] = f.Yanked
		}
		files = append(files, entry)
	}
	return json.Marshal(m{"meta": m{"api-version": "1.0"}, "name": project, "files": files})
}

// Suits reports whether the wheel in a file may suit the target. pip then applies
// all its rules.
func (t Target) Suits(file string) bool {
	name, err := wheel.ParseName(file)
	if err != nil || checkTags(file, t.Platform) != nil {
		return false
	}
	return slices.ContainsFunc(name.Python, func(tag string) bool { return runsOn(tag, name.ABI, t.Python) })
}

// runsOn reports whether CPython ("3.12") may use a wheel with this Python tag
// and these ABI tags.
func runsOn(tag string, abis []string, python string) bool {
	kind, number := tag[:min(2, len(tag))], tag[min(2, len(tag)):]
	if kind != "py" && kind != "cp" || number == "" {
		return false
	}
	major, minor, _ := strings.Cut(python, ".")
	if number[:1] != major {
		return false
	}
	n, err := strconv.Atoi(minor)
	if err != nil || number == major {
		return err == nil && (kind == "py" || slices.Contains(abis, "none") || slices.Contains(abis, "abi3"))
	}
	of, err := strconv.Atoi(number[1:])
	if err != nil || of > n {
		return false
	}
	return kind == "py" || of == n || slices.Contains(abis, "abi3")
}

// wheel returns nil for a file that is on no page.
func (s *pipIndex) wheel(run int, file string) ([]byte, error) {
	f, ok := s.wheels[file]
	if !ok {
		return nil, nil
	}
	if s.said[file] == nil {
		if syntax.CheckSHA256("sha256", strings.ToLower(f.SHA256)) != nil {
			has := "nothing"
			if len(f.Hashes) > 0 {
				has = "only " + strings.Join(f.Hashes, ", ")
			}
			return nil, fault.Errorf(fault.Integrity, "ask the operator of the index for SHA-256, or set [registries] pip to an index that has it",
				"the index has no sha256 for %s but %s, so its content cannot be verified", f.Filename, redact.Line(has))
		}
		if f.Refused != nil {
			return nil, f.Refused
		}
		text, err := s.index.Metadata(s.ctx, f)
		if err != nil {
			return nil, err
		}
		if s.said[file], s.stubs[file], err = s.read(f, text); err != nil {
			return nil, err
		}
	}
	m := s.said[file]
	s.heard[run][m.Python] = true
	for _, r := range m.Requires {
		s.heard[run][r.Marker] = true
	}
	return s.stubs[file], nil
}

// read parses metadata before pip sees them, and packs them into a wheel.
func (s *pipIndex) read(f remote.IndexFile, text []byte) (*wheel.Metadata, []byte, error) {
	name, err := wheel.ParseName(f.Filename)
	if err != nil {
		return nil, nil, err
	}
	m, err := wheel.ParseMetadata(text)
	if err == nil {
		err = m.Of(name)
	}
	if err != nil {
		return nil, nil, fault.Errorf(fault.Integrity, "use another version, and tell the publisher of the wheel", "the wheel %s has wrong metadata: %s", f.Filename, redact.Line(err.Error()))
	}
	if err := Direct(f.Filename, m); err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	info := name.Project + "-" + name.Version + ".dist-info/"
	for _, file := range []struct{ name, text string }{
		{"METADATA", string(m.Print())}, {"WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"}, {"RECORD", ""},
	} {
		w, err := z.Create(info + file.name)
		if err == nil {
			_, err = w.Write([]byte(file.text))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, nil, err
	}
	return m, b.Bytes(), nil
}

// Direct returns an error of class [fault.Policy] if the metadata of a wheel
// require something by URL instead of by name and version, whatever the marker:
// an archive, a folder or a repository. Building that would run its code, and
// no index vouches for it.
func Direct(file string, m *wheel.Metadata) error {
	for _, r := range m.Requires {
		if r.Direct != "" {
			const hint, and = "use a version that requires it by name and version, or ", "; and tell the publisher of "
			return fault.About(fault.AboutDirect, fault.ForLibrary(hint+fault.Aside+and+m.Name, fault.Errorf(fault.Policy, hint+"another source"+and+m.Name,
				"%s %s (%s) requires %s by URL: Requires-Dist: %s: building it would run code that no index vouches for, so it is not allowed",
				redact.Line(m.Name), redact.Line(m.Version), file, redact.Line(r.Name), redact.Line(r.Text))))
		}
	}
	return nil
}

// A pipCause is one reason why pip found nothing to install.
type pipCause struct {
	Python string // a Requires-Python that excludes the interpreter; "" for another reason
	Name   string // of the required package
	Text   string // the requirement
	Parent *struct{ Name, Version string }
}

// explain returns the error for a run in which pip found nothing.
func (s *pipIndex) explain(run int, causes []pipCause) error {
	t := s.targets[run]
	what := s.req.what(t)
	for _, c := range causes {
		if c.Python != "" && c.Parent != nil {
			return s.req.needsPython(c.Parent.Name+" "+c.Parent.Version, c.Python, t)
		}
	}
	for _, c := range causes {
		if err := s.lacking(what, run, c); err != nil {
			return err
		}
	}
	if len(causes) == 0 {
		return nil
	}
	var wants []string
	for _, c := range causes {
		by := s.req.Package
		if c.Parent != nil {
			by = c.Parent.Name + " " + c.Parent.Version
		}
		wants = append(wants, by+" wants "+c.Text)
	}
	return fault.Elsewheref(fault.Upstream, "no set of wheels satisfies %s: %s", what, redact.Line(strings.Join(wants, "; ")))
}

// lacking says why the index has no wheel of a package; nil if it has some.
func (s *pipIndex) lacking(what string, run int, c pipCause) error {
	t := s.targets[run]
	missing := func(format string, args ...any) error {
		const hint = "only wheels are used: check which files the index has, or "
		return fault.ForLibrary(hint+fault.Aside, fault.Missingf(fault.Upstream, hint+"use another source", format, args...))
	}
	who := what
	if c.Parent != nil {
		who += ", which needs " + c.Text + " for " + c.Parent.Name + " " + c.Parent.Version
	}
	all, ok := s.pages[syntax.NormalProject(c.Name)]
	if !ok {
		return missing("no wheel of %s: the index has no package %s", redact.Line(who), redact.Line(c.Name))
	}
	exact := ""
	if _, version, ok := strings.Cut(c.Text, "=="); ok && !strings.ContainsAny(version, ",*") {
		exact = strings.TrimSpace(strings.TrimPrefix(version, "="))
	}
	var versions, others, sources []string
	fitting, young, requires := 0, 0, ""
	for _, f := range all {
		if !f.Wheel() {
			if exact == "" || sourceOf(f.Filename, c.Name, exact) {
				sources = append(sources, f.Filename)
			}
			continue
		}
		name, err := wheel.ParseName(f.Filename)
		if err != nil {
			continue
		}
		if !slices.Contains(versions, name.Version) {
			versions = append(versions, name.Version)
		}
		if exact != "" && !pep440.Same(exact, name.Version) {
			continue
		}
		if !s.targets[run].Suits(f.Filename) {
			others = append(others, f.Filename)
			continue
		}
		if fitting++; !passes(s.req.Cooldown, f) {
			young++
		}
		if yes, err := pep440.AllowsPython(f.Python, t.full()); err == nil && !yes {
			requires = name.Project + " " + name.Version + "\x00" + f.Python
		}
	}
	wanted := fmt.Sprintf("py3-none-any, or one for CPython %s and %s", t.Python, t.Platform.Name)
	switch {
	case requires != "":
		by, python, _ := strings.Cut(requires, "\x00")
		return s.req.needsPython(by, python, t)
	case young > 0:
		return missing("no wheel of %s: the index only has some that are younger than minimum-release-age allows", redact.Line(who))
	case fitting > 0:
		return nil
	case len(others) == 0 && len(sources) > 0:
		const hint = "use a version that has wheels, or "
		build := "; or build the wheel (" + wanted + ") yourself, publish it in an index of your own and set [registries] pip"
		return fault.ForLibrary(hint+fault.Aside+build, fault.Missingf(fault.Policy, hint+"another source"+build,
			"no wheel of %s: the index only has a source distribution, %s, and building it would run its code; a wheel is needed (%s)",
			redact.Line(who), redact.Line(sources[len(sources)-1]), wanted))
	case len(others) > 0:
		return missing("no wheel of %s: a wheel is needed (%s), the index has %s", redact.Line(who), wanted, redact.Line(lastFew(others)))
	}
	return missing("no wheel of %s: the index has wheels of %s", redact.Line(who), redact.Line(lastFew(versions)))
}

// sourceOf reports whether a file is the source distribution of a version.
func sourceOf(file, project, version string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(file, ".tar.gz"), ".zip")
	i := strings.LastIndexByte(base, '-')
	return i > 0 && base != file && syntax.NormalProject(base[:i]) == syntax.NormalProject(project) && pep440.Same(base[i+1:], version)
}

func lastFew(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names[max(0, len(names)-5):], ", ")
}

// errPython is matched by the error for a package that excludes a Python
// version.
var errPython = errors.New("another Python")

type pythonError struct{ error }

func (e pythonError) Unwrap() error        { return e.error }
func (e pythonError) Is(target error) bool { return target == errPython }

// needsPython is the error for a requirement that a target does not meet. The hint has
// the interpreters that do: those of the other targets, else the oldest one.
func (r Requirement) needsPython(by, wants string, t Target) error {
	var list []string
	for _, other := range r.Targets {
		list = append(list, other.Python)
	}
	for minor := range 30 {
		list = append(list, "3."+strconv.Itoa(minor))
	}
	var others []string
	for i, python := range list {
		if i >= len(r.Targets) && len(others) > 0 {
			break
		}
		if yes, err := pep440.AllowsPython(wants, python+".99"); yes && err == nil && !slices.Contains(others, python) {
			others = append(others, python)
		}
	}
	hint := "use another version"
	if len(others) > 0 {
		hint = fmt.Sprintf("write python = [\"%s\"] at the top of plugins.toml, the interpreters that wheels are locked for, or use another version", strings.Join(others, `", "`))
	}
	return pythonError{fault.Errorf(fault.Usage, hint, "%s: %s requires Python %s", r.what(t), redact.Line(by), redact.Line(wants))}
}

// report parses pip's installation report of version 1 (`pip install
// --report`). Only the chosen wheels are used.
func (s *pipIndex) report(data []byte, what string) ([]Wheel, error) {
	var report struct {
		Version string
		Install []struct {
			Download struct{ URL string } `json:"download_info"`
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, fault.Errorf(fault.Machine, noPip, "the report of pip of %s: %w", what, err)
	}
	if report.Version != "1" || len(report.Install) == 0 {
		return nil, fault.Errorf(fault.Machine, noPip, "the report of pip of %s has version %q and %d wheels, expected version 1", what, redact.Line(report.Version), len(report.Install))
	}
	var wheels []Wheel
	for _, in := range report.Install {
		file := path.Base(in.Download.URL)
		f, m := s.wheels[file], s.said[file]
		if m == nil || !strings.HasPrefix(in.Download.URL, s.Base+"/") {
			return nil, fault.Errorf(fault.Policy, "use another version", "pip chose %s for %s, which the index does not have", redact.Line(in.Download.URL), what)
		}
		wheels = append(wheels, s.chosen(f))
	}
	slices.SortFunc(wheels, func(a, b Wheel) int { return strings.Compare(a.Name, b.Name) })
	return wheels, nil
}

// passes reports whether a wheel may be chosen. A nil rule allows all.
func passes(g *cooldown.Rule, f remote.IndexFile) bool {
	if g == nil || g.Before.IsZero() || !f.Uploaded.IsZero() && !f.Uploaded.After(g.Before) {
		return true
	}
	name, err := wheel.ParseName(f.Filename)
	return err == nil && slices.ContainsFunc(g.Except, func(except string) bool {
		project, version, _ := strings.Cut(except, "@")
		return syntax.NormalProject(project) == syntax.NormalProject(name.Project) && pep440.Same(version, name.Version)
	})
}
