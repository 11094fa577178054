package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// A Place has content by digest, and tags for some of it: a [Repository] of a
// registry, or a folder ([Layout]). All methods are safe for concurrent use.
type Place interface {
	// String returns oci://HOST/REPO or oci-layout:DIR.
	String() string
	// Resolve returns what a tag refers to now, Node the manifest or index of a
	// descriptor. If it does not exist, the error matches fs.ErrNotExist.
	Resolve(ctx context.Context, tag string) (*Node, error)
	Node(ctx context.Context, d Descriptor) (*Node, error)
	// Download copies a blob to sink; the caller verifies it.
	Download(ctx context.Context, sha256 string, size int64, sink remote.Sink) error
	// Contains reports whether the place has a blob of that digest and size.
	Contains(ctx context.Context, d Descriptor) (bool, error)
	// Push stores a blob. Open returns its content from the start; it is called
	// again if a transfer fails.
	Push(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error
	// PushNode stores a manifest or an index, with a tag, or only by its digest
	// if tag is "". Everything that it lists must already be there. An existing
	// tag is replaced without a check.
	PushNode(ctx context.Context, tag string, d Descriptor, body []byte) error
}

// Open opens a place. The path of a folder is relative to dir.
func (c *Client) Open(p manifest.Place, dir string) (Place, error) {
	if p.Dir == "" {
		return c.Repository(p.Host, p.Repo)
	}
	if !filepath.IsAbs(p.Dir) {
		p.Dir = filepath.Join(dir, p.Dir)
	}
	return Layout(p.Dir), nil
}

// Describe returns the descriptor of content in memory.
func Describe(mediaType string, body []byte) Descriptor {
	sum := sha256.Sum256(body)
	return Descriptor{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body)), MediaType: mediaType}
}

// Media types of what this program pushes.
const (
	ManifestType = ocispec.MediaTypeImageManifest
	IndexType    = ocispec.MediaTypeImageIndex
)

// Empty describes the config of a manifest that has none (image specification
// 1.1).
var Empty = Describe(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)

// EmptyBody returns the content of [Empty].
func EmptyBody() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(ocispec.DescriptorEmptyJSON.Data)), nil
}

// Manifest returns an image manifest with these layers and no config. The same
// arguments always give the same bytes.
func Manifest(artifactType string, annotations map[string]string, layers []Descriptor) (Descriptor, []byte, error) {
	m := ocispec.Manifest{MediaType: ManifestType, ArtifactType: artifactType, Config: Empty.spec(), Annotations: annotations}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, l.spec())
	}
	body, err := json.Marshal(m)
	return Describe(ManifestType, body), body, err
}

// Index returns an index of manifests with their platforms, in the same way.
func Index(artifactType string, annotations map[string]string, manifests []Descriptor) (Descriptor, []byte, error) {
	x := ocispec.Index{MediaType: IndexType, ArtifactType: artifactType, Annotations: annotations}
	x.SchemaVersion = 2
	for _, m := range manifests {
		x.Manifests = append(x.Manifests, m.spec())
	}
	body, err := json.Marshal(x)
	return Describe(IndexType, body), body, err
}

// spec returns the descriptor in the form of the specification.
func (d Descriptor) spec() ocispec.Descriptor {
	s := ocispec.Descriptor{MediaType: d.MediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, d.SHA256), Size: d.Size}
	if d.Title != "" {
		s.Annotations = map[string]string{ocispec.AnnotationTitle: d.Title}
	}
	if d.OS != "" {
		s.Platform = &ocispec.Platform{OS: d.OS, Architecture: d.Arch}
	}
	return s
}

// String returns oci://HOST/REPO.
func (r *Repository) String() string { return "oci://" + r.name }

// Contains implements [Place].
func (r *Repository) Contains(ctx context.Context, d Descriptor) (bool, error) {
	name := r.name + "@sha256:" + d.SHA256
	found, err := r.repo.Blobs().Resolve(ctx, "sha256:"+d.SHA256)
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errdef.ErrNotFound), errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return false, nil
	case err != nil:
		return false, r.explain(name, err)
	case found.Size != d.Size:
		return false, fault.Errorf(fault.Integrity, "delete it in the registry, then try again", "%s: the registry has that digest with %d bytes, expected %d", name, found.Size, d.Size)
	}
	return true, nil
}

// Push implements [Place].
func (r *Repository) Push(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	name := r.name + "@sha256:" + d.SHA256
	err := r.c.transport.Retry(ctx, func() error {
		body, err := open()
		if err != nil {
			return err
		}
		defer body.Close()
		if err := r.repo.Blobs().Push(ctx, d.spec(), body); err != nil {
			return r.explain(name, err)
		}
		return nil
	}, mayPass)
	if err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	return nil
}

// mayPass reports whether a failed push may succeed the next time.
func mayPass(err error) bool {
	return fault.Of(err) == fault.Upstream && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errRefused)
}

// PushNode implements [Place].
func (r *Repository) PushNode(ctx context.Context, tag string, d Descriptor, body []byte) error {
	if tag == "" {
		tag = "sha256:" + d.SHA256
	}
	if err := r.repo.Manifests().PushReference(ctx, d.spec(), bytes.NewReader(body), tag); err != nil {
		return fmt.Errorf("pushing: %w", r.explain(r.name+":"+tag, err))
	}
	return nil
}
