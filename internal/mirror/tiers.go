// Package mirror downloads locked files from mirrors, in the order of the
// manifest, and then from the origin. It also defines the content that `lockgen
// mirror` pushes to an OCI repository, or a folder in the OCI image layout, and
// reads it:
//
//   - Every locked file is a blob with its own SHA-256. Readers request it by
//     that digest and need no manifest.
//   - For each plugin version there is an image manifest of artifactType
//     pluginType. Its layers are those files, with their keys in the lock as
//     titles (org.opencontainers.image.title), so the registry's garbage
//     collection keeps them. Its tag is NAME-VERSION, see pluginTag. If a reader
//     finds the manifest, a file must be the one that it lists.
//   - A ready folder is one gzip-compressed tar, the only layer of a manifest of
//     artifactType treeType with the tag "tree-<tree>.<made of>": the digest in
//     the lock, and the first 16 digits of that of the files it is made of, see
//     [MadeOf]. So a lock with two swapped trees finds none.
//   - A bundle is an index of artifactType bundleType with the tag
//     bundle-NAME: for each platform it has a manifest of the same type that
//     lists all files, and ready folders, of all its plugins and their runtimes.
//
// Manifests have no config and no time, so the same lock gives the same bytes.
// An existing tag is never changed to refer to something else.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// Tiers downloads locked files and ready folders from mirrors and the origin.
// It is safe for concurrent use.
type Tiers struct {
	Mirrors []manifest.Mirror // in the order of the attempts
	Dir     string            // base of relative paths of mirrors
	OCI     func() *oci.Client
	// Web downloads a file over HTTP: from its origin or, if m is not nil, from
	// a mirror that is not an OCI place. If the mirror cannot have the file,
	// the error is [ErrNoFit].
	Web func(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error
	// Warn is called if a tier served wrong bytes, Detail if one failed.
	Warn, Detail func(format string, args ...any)
	// Report is called with every attempt; nil for none.
	Report func(Attempt)
	// Offline skips what needs a connection.
	Offline bool

	mu   sync.Mutex
	down map[string]error // places that could not be reached in this run

	manifests once.Map[string, *oci.Node] // of plugins, by place and tag
}

// ErrNoFit is returned by [Tiers.Web] for a mirror that by its configuration
// does not have the file.
var ErrNoFit = errors.New("the mirror is for other URLs")

// An Attempt is an attempt to get a file or a ready folder from one tier.
type Attempt struct {
	OCI      bool // from an OCI place; otherwise over HTTP
	Place    string
	Bytes    int64
	Duration time.Duration
	Err      error // nil if it succeeded
}

// attempts are the attempts for one file.
type attempts struct {
	t    *Tiers
	what string
	all  []Attempt
}

// File downloads a file into a sink from the first tier that has the locked
// bytes. If there is none, the error lists those of all tiers. It is of class
// [fault.Integrity] if one of them had other bytes, or else of the class of the
// origin's error.
func (t *Tiers) File(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	f := e.Locked.Files[key]
	coordinate := e.Locked.Coordinate(key)
	a := &attempts{t: t, what: f.Label(key)}
	for i := range t.Mirrors {
		m := &t.Mirrors[i]
		switch {
		case m.Holds() && m.Fits(coordinate):
			if err := a.hold(ctx, *m, in, e, key); err == nil || ends(ctx, in, err) {
				return err
			}
		case !m.Holds() && (m.Fits(coordinate) || strings.Contains(m.From, "://")):
			err := a.try(ctx, m.To, false, in, func() error { return t.Web(ctx, e, key, in, m) })
			if err == nil || ends(ctx, in, err) {
				return err
			}
		}
	}
	origin, isOCI := func() error { return t.Web(ctx, e, key, in, nil) }, f.Manifest != ""
	if isOCI {
		origin = func() error {
			host, repo, _ := strings.Cut(e.Locked.Package, "/")
			place, err := t.OCI().Repository(host, repo)
			if err == nil {
				err = inManifest(ctx, place, f)
			}
			if err != nil {
				return err
			}
			return place.Download(ctx, f.SHA256, f.Size, in)
		}
	}
	if err := a.try(ctx, "the origin", isOCI, in, origin); err == nil || ends(ctx, in, err) {
		return err
	}
	err := a.failed()
	if len(a.all) > 1 && in.Offset() > 0 {
		if rerr := in.Reset(); rerr != nil { // otherwise the store only reports the last tier
			return rerr
		}
	}
	return err
}

// ends reports whether an error is not the tier's, so other tiers cannot help.
func ends(ctx context.Context, in *store.Ingest, err error) bool {
	return err != nil && (ctx.Err() != nil || fault.Of(in.Err()) == fault.Machine)
}

// inManifest verifies that the locked manifest lists a file of a repository. By
// digest alone, a file of another plugin or platform would be found as well.
func inManifest(ctx context.Context, place oci.Place, f lock.File) error {
	n, err := place.Resolve(ctx, "sha256:"+f.Manifest)
	if err != nil {
		return err
	}
	for _, l := range n.Layers {
		if n.SHA256 == f.Manifest && l.SHA256 == f.SHA256 && l.Size == f.Size && (f.Name == "" || l.Title == f.Name) {
			return nil
		}
	}
	return fault.Errorf(fault.Integrity, "restore the lock with: git checkout -- plugins.lock.toml",
		"%s: manifest sha256:%s does not list %s as sha256:%s, %d bytes", place, f.Manifest, cmp.Or(f.Name, "a file"), f.SHA256, f.Size)
}

// A place that stores files by digest has every file of every lock that was
// mirrored to it. Whether a file belongs to a plugin is in the manifest of that
// plugin; without a manifest, or if it does not list the file, only the digest
// counts.

// contradicts returns an error if a place says that a file of a plugin is a
// different one.
func (t *Tiers) contradicts(ctx context.Context, place oci.Place, e *lock.Entry, key string) error {
	tag := pluginTag(e.Name, e.Version)
	n, err := t.manifests.Do(place.String()+" "+tag, func() (*oci.Node, error) {
		n, err := place.Resolve(ctx, tag)
		if fault.Of(err) == fault.Upstream && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, err // it cannot be reached
		}
		if err != nil || n.ArtifactType != pluginType || n.Annotations[annotationPlugin] != e.Name+"@"+e.Version {
			return &oci.Node{}, nil
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	for _, l := range n.Layers {
		if l.Title == key && l.SHA256 != e.Locked.Files[key].SHA256 {
			return fault.Errorf(fault.Integrity, "compare the lock with the one that was mirrored to see which one is right",
				"%s: tag %s has sha256:%s for %s, but the lock says sha256:%s", place, tag, l.SHA256, key, e.Locked.Files[key].SHA256)
		}
	}
	return nil
}

// hold tries an OCI place.
func (a *attempts) hold(ctx context.Context, m manifest.Mirror, in *store.Ingest, e *lock.Entry, key string) error {
	f := e.Locked.Files[key]
	return a.try(ctx, m.To, true, in, func() error {
		place, err := a.t.place(m)
		if err == nil {
			err = a.t.contradicts(ctx, place, e, key)
		}
		if err != nil {
			return err
		}
		return place.Download(ctx, f.SHA256, f.Size, in)
	})
}

// place opens the place of a mirror.
func (t *Tiers) place(m manifest.Mirror) (oci.Place, error) {
	p, err := manifest.ParsePlace(m.To)
	if err != nil {
		return nil, err
	}
	if t.Offline && p.Dir == "" {
		return nil, fault.Errorf(fault.Upstream, "run once without --offline", "offline: no connection is made")
	}
	return t.OCI().Open(p, t.Dir)
}

// try makes one attempt and compares the result with the lock.
func (a *attempts) try(ctx context.Context, place string, isOCI bool, in *store.Ingest, get func() error) error {
	t := a.t
	t.mu.Lock()
	err := t.down[place]
	t.mu.Unlock()
	start := time.Now()
	if err == nil {
		if in != nil && (in.Offset() > 0 || in.Err() != nil) {
			if err := in.Reset(); err != nil {
				return err
			}
		}
		err = get()
		if err == nil && in != nil {
			err = in.Check()
		}
		if errors.Is(err, ErrNoFit) {
			return err
		}
	} else {
		err = fault.Errorf(fault.Of(err), fault.Hint(err), "not asked again: %w", err)
	}
	at := Attempt{OCI: isOCI, Place: place, Duration: time.Since(start), Err: err}
	if in != nil {
		at.Bytes = in.Offset()
	}
	a.all = append(a.all, at)
	if ctx.Err() != nil {
		return err
	}
	if t.Report != nil {
		t.Report(at)
	}
	switch {
	case err == nil:
	case fault.Of(err) == fault.Integrity:
		if place != "the origin" {
			t.Warn("%s has other bytes for %s than the lock: %v; not used", place, a.what, err)
		}
	default:
		t.Detail("%s: %s: %v", a.what, place, err)
		// Some servers answer 403 for a missing file, so this says nothing
		// about the next file.
		one := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
		if fault.Of(err) == fault.Upstream && !one && place != "the origin" {
			t.mu.Lock()
			if t.down == nil {
				t.down = map[string]error{}
			}
			if t.down[place] == nil {
				t.down[place] = err
			}
			t.mu.Unlock()
		}
	}
	return err
}

// failed returns the error for all attempts.
func (a *attempts) failed() error {
	last := a.all[len(a.all)-1]
	if len(a.all) == 1 {
		return last.Err
	}
	class, hint := fault.Of(last.Err), fault.Hint(last.Err)
	fill := ""
	var b strings.Builder
	for _, at := range a.all {
		fmt.Fprintf(&b, "\n%s: %v", at.Place, at.Err)
		switch {
		case fault.Of(at.Err) == fault.Integrity && class != fault.Integrity:
			class, hint = fault.Integrity, fault.Hint(at.Err)
		case at.OCI && errors.Is(at.Err, fs.ErrNotExist) && fill == "" && at.Place != "the origin":
			fill = "on a machine that can reach the origin, run: lockgen mirror --to " + at.Place
		}
	}
	if class != fault.Integrity && fill != "" {
		if hint != "" {
			hint = fill + "; or " + hint
		} else {
			hint = fill
		}
	}
	return fault.Errorf(class, hint, "none of %d sources has it:%s", len(a.all), b.String())
}

// Local reports whether one of the mirrors is a folder with the file, so no
// connection is needed.
func (t *Tiers) Local(ctx context.Context, e *lock.Entry, key string) bool {
	f := e.Locked.Files[key]
	for _, m := range t.Mirrors {
		p, err := manifest.ParsePlace(m.To)
		if err != nil || p.Dir == "" || !m.Fits(e.Locked.Coordinate(key)) {
			continue
		}
		place, err := t.place(m)
		if err != nil {
			continue
		}
		if ok, err := place.Contains(ctx, oci.Descriptor{SHA256: f.SHA256, Size: f.Size}); ok && err == nil {
			return true
		}
	}
	return false
}
