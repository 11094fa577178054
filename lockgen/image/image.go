// Package image finds the file for a platform behind a tag of an OCI registry:
// in an index with platforms, in an image or artifact, and among its layers.
package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
)

const (
	maxIndexDepth = 3   // an index in an index in an index
	maxNodes      = 100 // manifests and indexes that one plugin may need
)

// A Finder reads one repository. It reads each manifest once.
type Finder struct {
	repo  *oci.Repository
	tags  map[string]*oci.Node
	nodes map[string]*oci.Node // by digest
}

// NewFinder returns a finder for a repository.
func NewFinder(repo *oci.Repository) *Finder {
	return &Finder{repo: repo, tags: map[string]*oci.Node{}, nodes: map[string]*oci.Node{}}
}

// Find returns the manifest and the file for a platform, or the reason why it
// has none.
func (l *Finder) Find(ctx context.Context, ref manifest.OCIRef, p lock.Platform) (manifest *oci.Node, file oci.Descriptor, reason string, err error) {
	top, err := l.tag(ctx, ref.Tag)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			reason = "the registry has no tag for it"
		}
		return nil, file, reason, err
	}
	offers := map[string]bool{}
	manifest, err = l.manifest(ctx, top, p, 1, offers)
	if errors.Is(err, ErrNoPlatform) {
		return nil, file, "the index has no manifest for it", fault.Errorf(fault.Usage, "remove the platform from platforms, or set optional = true in the entry",
			"%s has no manifest for %s/%s; it has %s", ref, p.GOOS, p.GOARCH, fault.List(slices.Collect(maps.Keys(offers))))
	}
	if err != nil {
		return nil, file, "", fmt.Errorf("%s: %w", ref, err)
	}
	file, err = layer(ref, manifest)
	if errors.Is(err, ErrNoPlatform) {
		reason = "the artifact has no file for it"
	}
	return manifest, file, reason, err
}

func (l *Finder) tag(ctx context.Context, tag string) (*oci.Node, error) {
	if n := l.tags[tag]; n != nil {
		return n, nil
	}
	n, err := l.repo.Resolve(ctx, tag)
	if err == nil {
		l.tags[tag] = n
	}
	return n, err
}

func (l *Finder) node(ctx context.Context, d oci.Descriptor) (*oci.Node, error) {
	if n := l.nodes[d.SHA256]; n != nil {
		return n, nil
	}
	if len(l.nodes) >= maxNodes {
		return nil, fault.Errorf(fault.Upstream, "use a smaller index", "the index needs more than %d manifests", maxNodes)
	}
	n, err := l.repo.Node(ctx, d)
	if err == nil {
		l.nodes[d.SHA256] = n
	}
	return n, err
}

// ErrNoPlatform matches the error for a platform that the tag lacks.
var ErrNoPlatform = errors.New("nothing for the platform")

// manifest finds the manifest for a platform. offers collects the platforms
// that exist.
func (l *Finder) manifest(ctx context.Context, n *oci.Node, p lock.Platform, depth int, offers map[string]bool) (*oci.Node, error) {
	if n.Manifest() {
		return n, nil
	}
	if depth > maxIndexDepth {
		return nil, fault.Errorf(fault.Upstream, "use a smaller index", "the index is nested more than %d deep", maxIndexDepth)
	}
	var exact, any []oci.Descriptor
	for _, c := range n.Children {
		switch {
		case c.Attestation || !c.Manifest() && !c.Index():
		case c.OS == p.GOOS && c.Arch == p.GOARCH:
			exact = append(exact, c)
		case c.OS == "" && c.Arch == "":
			any = append(any, c)
		default:
			offers[strings.TrimSuffix(c.OS+"/"+c.Arch+"/"+c.Variant, "/")] = true
		}
	}
	if len(exact) > 1 {
		plain := slices.DeleteFunc(slices.Clone(exact), func(d oci.Descriptor) bool { return d.Variant != "" && d.Variant != "v8" })
		if len(plain) != 1 {
			return nil, fault.Errorf(fault.Upstream, "use a tag of one of them", "the index has %d manifests for %s/%s", len(exact), p.GOOS, p.GOARCH)
		}
		exact = plain
	}
	for _, c := range append(exact, any...) {
		child, err := l.node(ctx, c)
		if err != nil {
			return nil, err
		}
		found, err := l.manifest(ctx, child, p, depth+1, offers)
		if !errors.Is(err, ErrNoPlatform) {
			return found, err
		}
	}
	return nil, ErrNoPlatform
}

// layer selects the file of a manifest.
func layer(ref manifest.OCIRef, n *oci.Node) (oci.Descriptor, error) {
	var titles []string
	var found []oci.Descriptor
	for _, l := range n.Layers {
		if l.MediaType == "application/vnd.oci.empty.v1+json" {
			continue
		}
		titles = append(titles, l.Title)
		if ref.File == "" || l.Title == ref.File {
			found = append(found, l)
		}
	}
	named := slices.DeleteFunc(slices.Clone(titles), func(s string) bool { return s == "" })
	switch {
	case len(titles) == 0:
		return oci.Descriptor{}, fault.Errorf(fault.Upstream, "use a tag with files", "%s contains no files", ref)
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return oci.Descriptor{}, fault.Errorf(fault.Usage, "correct the name after #, or use another tag", "%s: %w: its files are %s", ref, ErrNoPlatform, fault.List(named))
	case ref.File != "":
		return oci.Descriptor{}, fault.Errorf(fault.Upstream, "ask the publisher", "%s names %d files", ref, len(found))
	}
	return oci.Descriptor{}, fault.Errorf(fault.Usage, "choose one: oci://HOST/REPO:TAG#FILE", "%s has %d files: %s", ref, len(found), fault.List(named))
}

// Archive returns the format of a layer from its title, or else from its media
// type.
func Archive(d oci.Descriptor) (string, error) {
	if strings.Contains(d.MediaType, "encrypted") { // ocicrypt appends +encrypted to any media type
		return "", fault.Errorf(fault.Policy, "ask the publisher for one that is not encrypted, or use another source for this plugin",
			"its layer is encrypted (%q), so its content cannot be checked", d.MediaType)
	}
	if archive, err := manifest.Archive(d.Title); archive != "" || err != nil {
		return archive, err
	}
	switch kind := d.MediaType; {
	case strings.HasSuffix(kind, "tar+gzip"), strings.HasSuffix(kind, ".tar.gzip"):
		return "tar.gz", nil
	case strings.HasSuffix(kind, "tar+zstd"):
		return "tar.zst", nil
	case strings.HasSuffix(kind, "/zip"), strings.HasSuffix(kind, "+zip"):
		return "zip", nil
	case strings.HasSuffix(kind, ".tar"):
		return "", fault.Errorf(fault.Usage, "ask the publisher to compress it", "its layer is a tar without compression, which this version does not unpack")
	}
	return "", nil
}
