package fake

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Wheel is one wheel of one version of a Python project.
type Wheel struct {
	Name, Version string
	Tag           string            // "py3-none-any", the default, or "py3-none-manylinux_2_28_x86_64", …
	Files         map[string]string // by path in site-packages; RECORD and the like are made here
	Exec          []string          // those of Files with the executable bit
	Requires      []string          // Requires-Dist: "other>=1"
	Extras        []string          // Provides-Extra
	Python        string            // Requires-Python: ">=3.8"
	EntryPoints   string            // content of entry_points.txt, "" for none
	Released      time.Time         // zero is [Released]
	Yanked        string            // the reason, "" for a wheel that is not
	Beside        string            // the METADATA that the index gives of it, "" for its own
}

// Filename returns the wheel's file name in an index.
func (w Wheel) Filename() string {
	return wheelName(w.Name) + "-" + w.Version + "-" + w.tag() + ".whl"
}

func (w Wheel) tag() string {
	if w.Tag == "" {
		return "py3-none-any"
	}
	return w.Tag
}

// wheelName returns the name of a project as wheels spell it.
func wheelName(name string) string { return strings.ReplaceAll(project(name), "-", "_") }

// project returns the name of a project as indexes spell it (PEP 503).
func project(name string) string {
	return strings.ToLower(strings.Join(strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("-_.", r) }), "-"))
}

// Metadata returns the wheel's METADATA.
func (w Wheel) Metadata() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", w.Name, w.Version)
	if w.Python != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", w.Python)
	}
	for _, extra := range w.Extras {
		fmt.Fprintf(&b, "Provides-Extra: %s\n", extra)
	}
	for _, r := range w.Requires {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r)
	}
	return b.String()
}

// Bytes builds the wheel. Equal fields give equal bytes.
func (w Wheel) Bytes() []byte {
	info := wheelName(w.Name) + "-" + w.Version + ".dist-info/"
	files := maps.Clone(w.Files)
	if files == nil {
		files = map[string]string{}
	}
	files[info+"METADATA"] = w.Metadata()
	tags := ""
	python, rest, _ := strings.Cut(w.tag(), "-")
	for _, py := range strings.Split(python, ".") {
		abi, platforms, _ := strings.Cut(rest, "-")
		for _, platform := range strings.Split(platforms, ".") {
			tags += "Tag: " + py + "-" + abi + "-" + platform + "\n"
		}
	}
	files[info+"WHEEL"] = fmt.Sprintf("Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: %t\n%s", strings.HasSuffix(w.tag(), "-any"), tags)
	if w.EntryPoints != "" {
		files[info+"entry_points.txt"] = w.EntryPoints
	}
	var record strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		digest := sha256.Sum256([]byte(files[name]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(digest[:]), len(files[name]))
	}
	record.WriteString(info + "RECORD,,\n")
	files[info+"RECORD"] = record.String()
	return Zip(files, w.Exec...)
}

// Zip builds a zip of files, sorted by name. Equal files give equal bytes.
func Zip(files map[string]string, exec ...string) []byte {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: Released}
		h.SetMode(0o644)
		if slices.Contains(exec, name) {
			h.SetMode(0o755)
		}
		f, err := z.CreateHeader(h)
		must(err)
		_, err = f.Write([]byte(files[name]))
		must(err)
	}
	must(z.Close())
	return buf.Bytes()
}

// A release is a file of a project.
type release struct {
	Artifact
	python   string
	metadata string // "" for none
	released time.Time
	yanked   string
}

// Wheel publishes a wheel.
func (s *Server) Wheel(w Wheel) Artifact {
	return s.release(w.Name, w.Filename(), w.Bytes(), release{python: w.Python, metadata: cmp.Or(w.Beside, w.Metadata()), released: w.Released, yanked: w.Yanked})
}

// Release publishes any file of a project, such as a source distribution or a
// wheel that lies. Publishing it again replaces it.
func (s *Server) Release(name, filename string, body []byte) Artifact {
	return s.release(name, filename, body, release{})
}

func (s *Server) release(name, filename string, body []byte, r release) Artifact {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Artifact = s.artifact("/packages/"+filename, body)
	if r.metadata != "" {
		s.files[r.Path+".metadata"] = file{[]byte(r.metadata), "application/octet-stream"}
	}
	name = project(name)
	s.projects[name] = slices.DeleteFunc(s.projects[name], func(old release) bool { return old.Name == filename })
	s.projects[name] = append(s.projects[name], r)
	return r.Artifact
}

// Unrelease removes a file from a project. Its bytes stay.
func (s *Server) Unrelease(name, filename string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = project(name)
	s.projects[name] = slices.DeleteFunc(s.projects[name], func(r release) bool { return r.Name == filename })
}

// HTMLOnly makes the index of Python packages serve HTML and no JSON.
func (s *Server) HTMLOnly(only bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.simple = only
}

// simplePage returns a page of the simple repository API, or the list of projects
// for "". A client that accepts JSON gets JSON.
func (s *Server) simplePage(name, accept string) (file, bool) {
	const mimeJSON = "application/vnd.pypi.simple.v1+json"
	asJSON := !s.simple && strings.Contains(accept, mimeJSON)
	meta := map[string]string{"api-version": "1.1"}
	var page strings.Builder
	page.WriteString("<!DOCTYPE html>\n<html><body>\n")
	if name == "" {
		projects := []map[string]string{}
		for _, p := range slices.Sorted(maps.Keys(s.projects)) {
			projects = append(projects, map[string]string{"name": p})
			fmt.Fprintf(&page, "<a href=\"%s/\">%s</a>\n", p, p)
		}
		if asJSON {
			return jsonFile(map[string]any{"meta": meta, "projects": projects}, mimeJSON)
		}
		page.WriteString("</body></html>\n")
		return file{[]byte(page.String()), "text/html; charset=utf-8"}, true
	}
	if len(s.projects[name]) == 0 {
		return file{}, false
	}
	files := []map[string]any{}
	var versions []string
	for _, r := range s.projects[name] {
		f := map[string]any{
			"filename": r.Name, "url": r.URL, "hashes": map[string]string{"sha256": r.SHA256}, "size": r.Size,
			"yanked": false,
		}
		if !s.noTimes {
			f["upload-time"] = orReleased(r.released).Format("2006-01-02T15:04:05.000000Z")
		}
		attributes := ""
		if at := "/integrity/" + r.Name; s.files[at].body != nil { // what is signed about it
			f["provenance"] = s.URL + at
			attributes += fmt.Sprintf(" data-provenance=\"%s\"", s.URL+at)
		}
		if r.yanked != "" {
			f["yanked"] = r.yanked
			attributes += fmt.Sprintf(" data-yanked=\"%s\"", html.EscapeString(r.yanked))
		}
		if r.python != "" {
			f["requires-python"] = r.python
			attributes += fmt.Sprintf(" data-requires-python=\"%s\"", html.EscapeString(r.python))
		}
		if r.metadata != "" {
			digest := sum([]byte(r.metadata))
			f["core-metadata"] = map[string]string{"sha256": digest}
			f["dist-info-metadata"] = f["core-metadata"]
			attributes += fmt.Sprintf(" data-core-metadata=\"sha256=%s\" data-dist-info-metadata=\"sha256=%s\"", digest, digest)
		}
		files = append(files, f)
		fmt.Fprintf(&page, "<a href=\"../..%s#sha256=%s\"%s>%s</a><br/>\n", r.Path, r.SHA256, attributes, r.Name)
		if _, rest, ok := strings.Cut(r.Name, "-"); ok {
			v, _, _ := strings.Cut(strings.TrimSuffix(rest, ".tar.gz"), "-")
			if !slices.Contains(versions, v) {
				versions = append(versions, v)
			}
		}
	}
	if asJSON {
		return jsonFile(map[string]any{"meta": meta, "name": name, "versions": versions, "files": files}, mimeJSON)
	}
	page.WriteString("</body></html>\n")
	return file{[]byte(page.String()), "text/html; charset=utf-8"}, true
}
