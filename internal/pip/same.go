package pip

import (
	"bytes"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/pep440"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

// An inquiry is what a run of pip asked its index.
type inquiry struct {
	projects map[string]bool // normalised names
	wheels   map[string]bool // names of files
}

// same reports whether the index answers all that one run asked as it would answer
// another run: then pip, which is a function of these answers and of markers, chooses
// the same versions. A run may see only wheels of its own platform and Python, so
// files may have other names, but they must say the same.
func (s *pipIndex) same(run, before int) bool {
	heard := s.heard[run]
	s.heard[run] = map[string]bool{}
	for project := range s.asked[before].projects {
		if !s.samePage(project, run, before) {
			s.heard[run] = heard // it asks by itself
			return false
		}
	}
	return true
}

// samePage is same for one project.
func (s *pipIndex) samePage(project string, run, before int) bool {
	old, err := s.listed(before, project)
	now, also := s.listed(run, project)
	if err != nil || also != nil {
		return false
	}
	from, ok := s.least(before, old)
	if !ok {
		return false
	}
	oldFiles, nowFiles := byVersion(old, from), byVersion(now, from)
	if len(oldFiles) != len(nowFiles) {
		return false
	}
	for version, files := range oldFiles {
		if !s.sameRelease(files, nowFiles[version], run, before) {
			return false
		}
	}
	return true
}

// least is the least version of which a run read a wheel, among some files: what is
// older was not looked at. Ok is false if that cannot be told.
func (s *pipIndex) least(run int, files []remote.IndexFile) (least *pep440.Version, ok bool) {
	for _, f := range files {
		if !s.asked[run].wheels[f.Filename] {
			continue
		}
		name, err := wheel.ParseName(f.Filename)
		v, ok := pep440.Parse(name.Version)
		if err != nil || !ok {
			return nil, false
		}
		if least == nil || v.Compare(*least) < 0 {
			least = &v
		}
	}
	if least != nil && least.IsPre() { // taken if there is no other at all
		return nil, true
	}
	return least, true
}

// byVersion sorts files by their version as it is written; those before from, which
// may be nil, are left out.
func byVersion(files []remote.IndexFile, from *pep440.Version) map[string][]remote.IndexFile {
	all := map[string][]remote.IndexFile{}
	for _, f := range files {
		name, err := wheel.ParseName(f.Filename)
		if v, ok := pep440.Parse(name.Version); err == nil && ok && from != nil && v.Compare(*from) < 0 {
			continue
		}
		all[name.Version] = append(all[name.Version], f)
	}
	return all
}

// sameRelease is same for the files of one version. Which of several files pip prefers
// depends on the platform and the order of tags, so they must correspond one by one.
func (s *pipIndex) sameRelease(old, now []remote.IndexFile, run, before int) bool {
	if len(old) != len(now) || len(old) != 1 && s.targets[run].Platform.Name != s.targets[before].Platform.Name {
		return false
	}
	python := func(requires string) bool {
		a, err := pep440.AllowsPython(requires, s.targets[before].full())
		b, also := pep440.AllowsPython(requires, s.targets[run].full())
		return err == nil && also == nil && a == b
	}
	for _, f := range old {
		to, ok := s.counterpart(f, before, now, run)
		if !ok || f.Python != to.Python || f.Yanked != to.Yanked || f.Python != "" && !python(f.Python) {
			return false
		}
		if !s.asked[before].wheels[f.Filename] {
			continue
		}
		if _, err := s.wheel(run, to.Filename); err != nil {
			return false
		}
		a, b := s.said[f.Filename], s.said[to.Filename]
		if a == nil || b == nil || !bytes.Equal(a.Print(), b.Print()) || a.Python != "" && !python(a.Python) {
			return false
		}
	}
	return true
}

// counterpart is the file of a version that is for another run what f is for one: the
// only one, or that with the same tags but for its Python.
func (s *pipIndex) counterpart(f remote.IndexFile, before int, files []remote.IndexFile, run int) (remote.IndexFile, bool) {
	if len(files) == 1 {
		return files[0], true
	}
	tags := tagsFor(f.Filename, s.targets[before].Python)
	var found []remote.IndexFile
	for _, other := range files {
		if tagsFor(other.Filename, s.targets[run].Python) == tags {
			found = append(found, other)
		}
	}
	if len(found) != 1 {
		return remote.IndexFile{}, false
	}
	return found[0], true
}

// tagsFor is the name of a wheel with * for a Python (3.12) in its tags.
func tagsFor(file, python string) string {
	name, err := wheel.ParseName(file)
	if err != nil {
		return file
	}
	own := "cp" + strings.ReplaceAll(python, ".", "")
	of := func(tags []string) string {
		var all []string
		for _, tag := range tags {
			if tag == own {
				tag = "cp*"
			}
			all = append(all, tag)
		}
		return strings.Join(all, ".")
	}
	return strings.Join([]string{name.Version, name.Build, of(name.Python), of(name.ABI), strings.Join(name.Systems, ".")}, "-")
}

// alike are the wheels of a run for which another one gave the answer.
func (s *pipIndex) alike(wheels []Wheel, before, run int) ([]Wheel, error) {
	var list []Wheel
	for _, w := range wheels {
		old, err := s.listed(before, w.Name)
		now, also := s.listed(run, w.Name)
		i := slices.IndexFunc(old, func(f remote.IndexFile) bool { return f.Filename == w.Filename })
		if err != nil || also != nil || i < 0 {
			return nil, fault.Errorf(fault.Internal, "", "%s has no page for %s", w.Filename, s.req.what(s.targets[run]))
		}
		name, err := wheel.ParseName(w.Filename)
		if err != nil {
			return nil, err
		}
		to, ok := s.counterpart(old[i], before, byVersion(now, nil)[name.Version], run)
		if !ok {
			return nil, fault.Errorf(fault.Internal, "", "%s has no file for %s", w.Filename, s.req.what(s.targets[run]))
		}
		list = append(list, s.chosen(to))
	}
	return list, nil
}

// listed are the wheels of a project that a run may see.
func (s *pipIndex) listed(run int, project string) ([]remote.IndexFile, error) {
	project = syntax.NormalProject(project)
	all, ok := s.pages[project]
	if !ok {
		return nil, nil // the index does not have it
	}
	var list []remote.IndexFile
	for _, f := range all {
		if !s.targets[run].Suits(f.Filename) || !passes(s.req.Cooldown, f) {
			continue
		}
		if old, ok := s.wheels[f.Filename]; ok && !strings.EqualFold(old.SHA256, f.SHA256) {
			return nil, fault.Errorf(fault.Integrity, "ask the operator of the index", "the index has two digests for %s", f.Filename)
		}
		s.wheels[f.Filename] = f
		if f.Python != "" {
			s.heard[run][f.Python] = true
		}
		list = append(list, f)
	}
	return list, nil
}

// chosen is a wheel whose metadata were read.
func (s *pipIndex) chosen(f remote.IndexFile) Wheel {
	m := s.said[f.Filename]
	w := Wheel{
		Name: syntax.NormalProject(m.Name), Version: m.Version, Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256), Size: f.Size, Yanked: f.Yanked != "",
		Python: m.Python,
	}
	if s.req.Cooldown != nil {
		w.Released = f.Uploaded
	}
	return w
}
