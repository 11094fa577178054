package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// Artifact types of what is pushed, and media types of the layers.
const (
	pluginType = "application/vnd.buck2-protobuf.plugin.v1"
	treeType   = "application/vnd.buck2-protobuf.tree.v1"
	bundleType = "application/vnd.buck2-protobuf.bundle.v1"

	fileLayer = "application/octet-stream"
	treeLayer = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Annotations of manifests.
const (
	annotationPlugin  = "com.github.birbparty.buck2-protobuf.plugin"  // NAME@VERSION
	annotationTree    = "com.github.birbparty.buck2-protobuf.tree"    // as in the lock
	annotationPlugins = "com.github.birbparty.buck2-protobuf.plugins" // of a bundle: NAME@VERSION, separated by spaces
)

// pluginTag returns the tag of a plugin version: NAME-VERSION, with characters
// that are not allowed replaced by "_", cut to 128.
func pluginTag(name, version string) string { return tag(name + "-" + version) }

// bundleTag returns the tag of a bundle.
func bundleTag(name string) string { return tag("bundle-" + name) }

// treeTag returns the tag of the ready folder of an entry on a platform with
// its own cell, see the package comment.
func treeTag(e *lock.Entry, served string) string {
	return "tree-" + e.Locked.Platforms[served].Tree + "." + MadeOf(e, served)[:16]
}

func tag(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 128)]
}

// MadeOf returns a digest of everything that a ready folder is made of: the
// source, the compiler's arguments, and the files of the platform.
func MadeOf(e *lock.Entry, served string) string {
	v := e.Locked
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q\n", v.Source, v.Package, v.Main, v.Toolchain, v.Args)
	for _, key := range v.FilesFor(served) {
		fmt.Fprintf(h, "%q %s %d\n", key, v.Files[key].SHA256, v.Files[key].Size)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// errNoTree is matched by the error of [Tiers.Tree] if no mirror can have ready
// folders of that plugin.
var errNoTree = errors.New("no mirror of plugins.toml has ready folders of it")

// Tree copies the ready folder of an entry, on a platform with its own cell,
// into an empty folder. The caller compares it with the lock.
func (t *Tiers) Tree(ctx context.Context, s *store.Store, e *lock.Entry, served, dir string) error {
	name := e.Coordinate()
	a := &attempts{t: t, what: "the ready folder of " + e.String()}
	for _, m := range t.Mirrors {
		if !m.Holds() || !m.Fits(name) {
			continue
		}
		err := a.try(ctx, m.To, true, nil, func() error { return t.tree(ctx, s, m, e, served, dir) })
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	if len(a.all) == 0 {
		return errNoTree
	}
	return a.failed()
}

func (t *Tiers) tree(ctx context.Context, s *store.Store, m manifest.Mirror, e *lock.Entry, served, dir string) error {
	place, err := t.place(m)
	if err != nil {
		return err
	}
	n, err := place.Resolve(ctx, treeTag(e, served))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Missingf(fault.Upstream, "on a machine that can build it, run: lockgen mirror --trees --to "+m.To,
			"no ready folder of %s for %s", e, served)
	}
	if err != nil {
		return err
	}
	layer, err := treeOf(place, n)
	if err != nil {
		return err
	}
	d := store.Digest{SHA256: layer.SHA256, Size: layer.Size}
	if err := s.AddBlob(ctx, d, func(ctx context.Context, in *store.Ingest) error {
		return place.Download(ctx, layer.SHA256, layer.Size, in)
	}); err != nil {
		return err
	}
	f, err := s.Blob(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	files, err := archive.Unpack(ctx, f, dir, archive.Options{Format: "tar.gz"})
	if err != nil {
		return err
	}
	got, err := archive.TreeHash(files)
	if err != nil {
		return err
	}
	if want := e.Locked.Platforms[served].Tree; got != want {
		return fault.Errorf(fault.Integrity, "ask the operator of the mirror; the folder was not used", "the ready folder is tree %s, the lock says %s", got, want)
	}
	return nil
}

// treeOf returns the layer in the manifest of a ready folder.
func treeOf(place oci.Place, n *oci.Node) (oci.Descriptor, error) {
	if n.ArtifactType != treeType || len(n.Layers) != 1 {
		return oci.Descriptor{}, fault.Errorf(fault.Integrity, "ask the operator of the mirror", "%s@sha256:%s is not a ready folder: it is a %q with %d layers", place, n.SHA256, n.ArtifactType, len(n.Layers))
	}
	return n.Layers[0], nil
}

// Bundle returns the content of a bundle in a place, as NAME@VERSION.
func (t *Tiers) Bundle(ctx context.Context, to, name string) ([]string, error) {
	place, err := t.place(manifest.Mirror{To: to})
	if err != nil {
		return nil, err
	}
	n, err := place.Resolve(ctx, bundleTag(name))
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", name, err)
	}
	plugins := strings.Fields(n.Annotations[annotationPlugins])
	if n.ArtifactType != bundleType || len(plugins) == 0 {
		return nil, fault.Errorf(fault.Integrity, "ask its operator", "%s: tag %s is a %q, not a bundle", place, bundleTag(name), n.ArtifactType)
	}
	return plugins, nil
}
