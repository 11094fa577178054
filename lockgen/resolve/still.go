package resolve

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
)

// What upstream says today of a locked file. The first two are errors of check,
// the others are warnings: what is locked can still be had.
const (
	Replaced    = "replaced"    // other bytes under the same name
	Deleted     = "deleted"     // it is not there any more
	Unreachable = "unreachable" // nobody could be asked
	Yanked      = "yanked"      // withdrawn, but there
	Deprecated  = "deprecated"  // its publisher advises against it
	Unverified  = "unverified"  // there, but only a download would tell its digest
)

// A Finding is one locked file of which upstream says something else than when
// it was locked.
type Finding struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	File    string `json:"file"` // NAME@VERSION of a package, else the name of the file
	State   string `json:"state"`
	What    string `json:"what"`

	class fault.Class // of an unreachable one
}

// String is one readable line.
func (f Finding) String() string {
	return f.Plugin + " " + f.Version + ": " + f.File + " is " + f.State + ": " + f.What
}

// Class is how much a finding weighs: [fault.OK] for a warning.
func (f Finding) Class() fault.Class {
	switch f.State {
	case Replaced:
		return fault.Integrity
	case Deleted:
		return fault.Upstream
	case Unreachable:
		if f.class == fault.OK || f.class == fault.Internal {
			return fault.Upstream
		}
		return f.class
	}
	return fault.OK
}

// A word is what a source says of one locked file.
type word struct {
	record
	expected string // of record.digest
	unproved string // why a digest cannot be told without a download
	err      error  // no answer; fs.ErrNotExist: it is gone
}

// A record is what an index says of one file or version.
type record struct {
	digest     string // in the form of the lock, or several, separated by spaces; "" for none
	yanked     string // why it was withdrawn, "" where it was not
	deprecated string // what its publisher says to those who use it, "" for nothing
}

// A stillSource can be asked what it says today of files that are locked,
// without downloading them. Sources that cannot are named by [Still].
type stillSource interface {
	still(ctx context.Context, w *Want, v *lock.Version) map[string]word // by key
}

// Still asks the sources of everything that is locked whether it is still there
// and the same. With Options.Verify the files of sources that publish no digest
// are downloaded again. It changes nothing but the store. The findings are
// sorted by plugin, version and file; asked counts the files. Unable lists the
// plugins whose source cannot be asked. The error is an interruption or a fault
// of this machine.
func Still(ctx context.Context, m *manifest.Manifest, o Options) (findings []Finding, asked int, unable []string, err error) {
	if o.Offline {
		return nil, 0, nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, and --upstream asks every source"))
	}
	wants, err := Plan(m, o.Old)
	if err != nil {
		return nil, 0, nil, err
	}
	u := newUpdate(m, o)
	u.asking, u.out.Lock = true, o.Old
	u.connect()
	defer u.clean()
	said := map[string]bool{} // a file that several plugins have is told once for each
	for _, w := range wants {
		v := o.Old.Plugins[w.Name][w.Version]
		if v == nil {
			continue
		}
		source, err := u.source(ctx, v.Source)
		if err != nil {
			return nil, 0, nil, err
		}
		s, ok := source.(stillSource)
		if !ok {
			unable = append(unable, w.String())
			continue
		}
		words := s.still(ctx, w.lockedAs(m, v), v)
		if err := ctx.Err(); err != nil {
			return nil, 0, nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(v.Files)) {
			asked++
			f := v.Files[key]
			found := finding(f, words[key])
			if found != nil && found.State == Unverified && o.Verify {
				found = u.again(ctx, w.lockedAs(m, v), source, key, f)
			}
			if err := ctx.Err(); err != nil {
				return nil, 0, nil, err
			}
			if found == nil {
				continue
			}
			found.Plugin, found.Version, found.File = w.Name, w.Version, key
			if f.Name != "" {
				found.File = f.Name + "@" + f.Version
			}
			if line := found.String(); !said[line] {
				said[line] = true
				findings = append(findings, *found)
			}
		}
	}
	return findings, asked, unable, nil
}

// finding judges the word of a source, nil for nothing to say.
func finding(f lock.File, w word) *Finding {
	switch {
	case errors.Is(w.err, fs.ErrNotExist) && fault.Of(w.err) != fault.Machine:
		return &Finding{State: Deleted, What: oneLine(w.err)}
	case w.err != nil && fault.Of(w.err) == fault.Integrity:
		return &Finding{State: Replaced, What: oneLine(w.err)}
	case w.err != nil:
		return &Finding{State: Unreachable, What: oneLine(w.err), class: fault.Of(w.err)}
	case w.unproved == "" && !slices.Contains(strings.Fields(w.digest), w.expected):
		now := w.digest
		if now == "" {
			now = "no digest"
		}
		return &Finding{State: Replaced, What: "locked with " + w.expected + ", upstream has " + now + " now"}
	case w.yanked != "":
		return &Finding{State: Yanked, What: w.yanked}
	case w.deprecated != "":
		return &Finding{State: Deprecated, What: w.deprecated}
	case w.unproved != "":
		return &Finding{State: Unverified, What: w.unproved}
	}
	return nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// again downloads a locked file once more and compares.
func (u *update) again(ctx context.Context, w *Want, source Source, key string, f lock.File) *Finding {
	a, err := source.Locked(w, key, f)
	if err == nil {
		var errs map[string]error
		if errs, err = u.fetch(ctx, []*Artifact{a}, true, false); err == nil {
			err = errs[a.identity]
		}
	}
	if err == nil {
		return nil
	}
	return finding(f, word{err: err})
}

// still asks for the packument of each package, several at a time.
func (s *npmSource) still(ctx context.Context, _ *Want, v *lock.Version) map[string]word {
	versions := each(slices.Compact(slices.Sorted(names(v))), func(name string) (map[string]record, error) {
		return s.listings.get(name, func() (map[string]record, error) {
			registry, err := s.config.RegistryOf(ctx, name, s.ours)
			if err != nil {
				return nil, err
			}
			releases, _, err := s.client.NPMVersions(ctx, registry, name)
			said := map[string]record{}
			for _, r := range releases {
				said[r.Version] = record{r.Digest, r.Yanked, r.Deprecated}
			}
			return said, err
		})
	})
	words := map[string]word{}
	for key, f := range v.Files {
		said := versions[f.Name]
		words[key] = said.word(f.Version, "the registry has no version "+f.Version+" of "+f.Name+" any more", f.Integrity)
	}
	return words
}

// still asks for the page of each project.
func (s *pipSource) still(ctx context.Context, _ *Want, v *lock.Version) map[string]word {
	project := func(key string) string {
		name, _, _ := strings.Cut(key, "-") // PEP 427
		return name
	}
	var projects []string
	for key := range v.Files {
		projects = append(projects, project(key))
	}
	slices.Sort(projects)
	files := each(slices.Compact(projects), func(name string) (map[string]record, error) {
		return s.listings.get(name, func() (map[string]record, error) {
			wheels, err := s.client.PyPIWheels(ctx, s.index, name)
			said := map[string]record{}
			for _, w := range wheels {
				said[w.Filename] = record{digest: w.SHA256, yanked: w.Yanked}
			}
			return said, err
		})
	})
	words := map[string]word{}
	for key, f := range v.Files {
		said := files[project(key)]
		words[key] = said.word(key, "the index does not have it any more", f.SHA256)
		if w := words[key]; w.err == nil && w.digest == "" {
			w.unproved = "the index gives no SHA-256 of it"
			words[key] = w
		}
	}
	return words
}

// still asks the index for all crates, in one run of cargo.
func (s *cargoSource) still(ctx context.Context, _ *Want, v *lock.Version) map[string]word {
	crates, err := s.ask(ctx, slices.Compact(slices.Sorted(names(v))))
	words := map[string]word{}
	for key, f := range v.Files {
		said, ok := crates[f.Name][f.Version]
		w := word{err: err, expected: f.SHA256}
		switch {
		case err != nil:
		case !ok:
			w.err = fault.Errorf(fault.Upstream, goneHint, "the registry has no version %s of crate %s any more: %w", f.Version, f.Name, fs.ErrNotExist)
		default:
			w.digest = said.SHA256
			if said.Yanked {
				w.yanked = "its publisher has yanked it"
			}
		}
		words[key] = w
	}
	return words
}

// ask reads what the index has of crates that it was not asked for before.
func (s *cargoSource) ask(ctx context.Context, names []string) (map[string]map[string]cargo.Crate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unknown []string
	for _, name := range names {
		if _, ok := s.crates[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return s.crates, nil
	}
	index, err := s.tool.Index(s.dir, s.registry)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	found, err := index.Crates(ctx, unknown)
	if err != nil {
		return nil, err
	}
	crates := maps.Clone(s.crates) // others read the one that they were given
	if crates == nil {
		crates = map[string]map[string]cargo.Crate{}
	}
	for _, name := range unknown {
		crates[name] = found[name] // nil for one that is not there
	}
	s.crates = crates
	return crates, nil
}

// still asks Go, in one run for all modules, what their authors and the checksum
// database say of them, and the proxy whether it has their zips.
func (s *goSource) still(ctx context.Context, _ *Want, v *lock.Version) map[string]word {
	words := map[string]word{}
	keys := slices.Sorted(maps.Keys(v.Files))
	var modules []module.Version
	for _, key := range keys {
		f := v.Files[key]
		modules = append(modules, module.Version{Path: f.Name, Version: "v" + f.Version})
	}
	scratch, err := os.MkdirTemp(s.scratch, "still-")
	if err == nil {
		defer os.RemoveAll(scratch)
	}
	var news []gotool.News
	if err == nil {
		news, err = s.tool.News(ctx, s.config, scratch, modules)
	}
	if err != nil {
		for _, key := range keys {
			words[key] = word{err: err}
		}
		return words
	}
	zips := each(keys, func(key string) (map[string]record, error) {
		f := v.Files[key]
		if strings.HasSuffix(key, ".mod") {
			return nil, nil
		}
		return nil, s.hasZip(ctx, f.Name, "v"+f.Version)
	})
	for i, key := range keys {
		f, n := v.Files[key], news[i]
		mod := f.GoMod
		w := word{err: n.Err, expected: f.Integrity, record: record{digest: n.Sum, yanked: n.Retracted, deprecated: n.Deprecated}}
		if strings.HasSuffix(key, ".mod") {
			mod, w.digest = f.Integrity, n.ModSum
		} else if w.err == nil {
			w.err = zips[key].err
		}
		switch {
		case n.ModSum != mod:
			w.digest, w.expected = n.ModSum, mod
		case w.digest == "":
			w.unproved = "no checksum database was asked; only a download would tell whether it is the same; run: lockgen check --upstream --verify"
		}
		words[key] = w
	}
	return words
}

// hasZip asks the user's proxies for the beginning of a module's zip, in their
// order, as far as they are servers: what Go gets from elsewhere it finds there.
func (s *goSource) hasZip(ctx context.Context, path, version string) error {
	p, err1 := module.EscapePath(path)
	v, err2 := module.EscapeVersion(version)
	if err := errors.Join(err1, err2); err != nil || module.MatchPrefixPatterns(s.config.NoProxy, path) {
		return err
	}
	var err error
	for proxy := range strings.FieldsFuncSeq(s.config.Proxy, func(r rune) bool { return r == ',' || r == '|' }) {
		proxy = strings.TrimSpace(proxy)
		if !strings.HasPrefix(proxy, "https://") && !strings.HasPrefix(proxy, "http://") {
			return nil
		}
		err = s.client.Download(ctx, strings.TrimSuffix(proxy, "/")+"/"+p+"/@v/"+v+".zip", &glance{}, remote.DownloadOptions{})
		if errors.Is(err, errSeen) {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// still resolves the tags again and asks for each blob.
func (s *artifacts) still(ctx context.Context, w *Want, v *lock.Version) map[string]word {
	words := map[string]word{}
	repo, err := s.repository(v.Package)
	l := &look{repo: repo, tags: map[string]*oci.Node{}, nodes: map[string]*oci.Node{}}
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		said := word{err: err}
		for _, p := range lock.Platforms {
			if said.err != nil || !f.For(p.Name) || !v.Platforms[p.Name].Locked() {
				continue
			}
			said = s.stillOn(ctx, l, w, p, f)
			if said.digest != said.expected {
				break
			}
		}
		if said.err == nil && said.digest == said.expected {
			there, err := repo.Contains(ctx, oci.Descriptor{SHA256: f.SHA256, Size: f.Size})
			if err == nil && !there {
				err = fault.Errorf(fault.Upstream, goneHint, "%s has no sha256:%s any more: %w", repo, f.SHA256, fs.ErrNotExist)
			}
			said.err = err
		}
		words[key] = said
	}
	return words
}

// stillOn asks what the tag of a locked file has for a platform.
func (s *artifacts) stillOn(ctx context.Context, l *look, w *Want, p lock.Platform, f lock.File) word {
	ref, err := w.oci(p)
	if err != nil {
		return word{err: err}
	}
	ref.Tag, ref.File = f.Version, f.Name // those of the lock
	manifest, file, _, err := s.find(ctx, l, ref, p)
	switch {
	case errors.Is(err, errNoPlatform): // its tag is there, and names something else
		return word{err: fault.Errorf(fault.Integrity, "the tag was moved: ask its publisher why before you lock it again", "%w", err)}
	case err != nil:
		return word{err: err}
	}
	form := func(manifest, file string) string { return "sha256:" + file + "(manifest_sha256:" + manifest + ")" }
	return word{expected: form(f.Manifest, f.SHA256), record: record{digest: form(manifest.SHA256, file.SHA256)}}
}

// still asks each server for the beginning of its file: that it is there, and
// the length that it announces.
func (s *plain) still(ctx context.Context, _ *Want, v *lock.Version) map[string]word {
	var keys []string
	for key := range v.Files {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	answers := each(keys, func(key string) (map[string]record, error) {
		f := v.Files[key]
		err := s.client.Download(ctx, manifest.Rewrite(s.mirrors, f.URL), &glance{}, remote.DownloadOptions{Size: f.Size})
		if errors.Is(err, errSeen) {
			err = nil
		}
		return nil, err
	})
	words := map[string]word{}
	for key, a := range answers {
		words[key] = word{err: a.err, unproved: "only a download would tell whether it has the same bytes; run: lockgen check --upstream --verify"}
	}
	return words
}

// errSeen ends a download whose first bytes came.
var errSeen = errors.New("seen")

// glance is a sink that wants to see only that there are bytes.
type glance struct{}

func (*glance) Write([]byte) (int, error) { return 0, errSeen }
func (*glance) Offset() int64             { return 0 }
func (*glance) From(string)               {}
func (*glance) Reset() error              { return nil }

func names(v *lock.Version) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, f := range v.Files {
			if !yield(f.Name) {
				return
			}
		}
	}
}

// A listing is the answer about one package.
type listing struct {
	said map[string]record
	err  error
}

// goneHint is for what upstream has no more.
const goneHint = "it stays usable from a cache and from a mirror (lockgen mirror); which newer versions there are: lockgen outdated"

// word is what a listing says of one entry.
func (l listing) word(entry, gone, expected string) word {
	if l.err != nil {
		return word{err: l.err}
	}
	entryOf, ok := l.said[entry]
	if !ok {
		return word{err: fault.Errorf(fault.Upstream, goneHint, "%s: %w", gone, fs.ErrNotExist)}
	}
	return word{record: entryOf, expected: expected}
}

// each asks for several things at a time.
func each(keys []string, ask func(key string) (map[string]record, error)) map[string]listing {
	answers := make([]listing, len(keys))
	var wg sync.WaitGroup
	slots := make(chan struct{}, downloads)
	for i, key := range keys {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i].said, answers[i].err = ask(key)
		})
	}
	wg.Wait()
	found := map[string]listing{}
	for i, key := range keys {
		found[key] = answers[i]
	}
	return found
}

// listings remembers what a registry said: plugins share packages.
type listings struct {
	mu   sync.Mutex
	said map[string]listing
}

func (l *listings) get(key string, ask func() (map[string]record, error)) (map[string]record, error) {
	l.mu.Lock()
	known, ok := l.said[key]
	l.mu.Unlock()
	if ok {
		return known.said, known.err
	}
	said, err := ask()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.said == nil {
		l.said = map[string]listing{}
	}
	l.said[key] = listing{said, err}
	return said, err
}
