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

// A Place has content by its digest, and names for some of it: a [Repository]
// of a registry, or a folder ([Layout]). All methods may be used concurrently.
type Place interface {
	// String is oci://HOST/REPO or oci-layout:DIR.
	String() string
	// Resolve returns what a tag names now, Node a manifest or index by its
	// descriptor. That there is none matches fs.ErrNotExist.
	Resolve(ctx context.Context, tag string) (*Node, error)
	Node(ctx context.Context, d Descriptor) (*Node, error)
	// Download brings a blob by its digest alone; the caller checks it.
	Download(ctx context.Context, sha256 string, size int64, sink remote.Sink) error
	// Contains reports whether a blob of that digest and size is there.
	Contains(ctx context.Context, d Descriptor) (bool, error)
	// Push stores a blob. Open gives its bytes from the start, and is called
	// again when a transfer broke.
	Push(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error
	// PushNode stores a manifest or an index, under a tag or, for "", by its
	// digest alone. What it lists is there already. A tag that names something
	// else is replaced, so the caller asks first.
	PushNode(ctx context.Context, tag string, d Descriptor, body []byte) error
}

// Open returns a place. A folder that is relative is one below dir.
func (c *Client) Open(p manifest.Place, dir string) (Place, error) {
	if p.Dir == "" {
		return c.Repository(p.Host, p.Repo)
	}
	if !filepath.IsAbs(p.Dir) {
		p.Dir = filepath.Join(dir, p.Dir)
	}
	return Layout(p.Dir), nil
}

// Describe returns the descriptor of some content that is in memory.
func Describe(mediaType string, body []byte) Descriptor {
	sum := sha256.Sum256(body)
	return Descriptor{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body)), MediaType: mediaType}
}

// The media types of what this program pushes.
const (
	ManifestType = ocispec.MediaTypeImageManifest
	IndexType    = ocispec.MediaTypeImageIndex
)

// Empty is the config of a manifest that has none (image specification 1.1).
var Empty = Describe(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)

// EmptyBody are the bytes of [Empty].
func EmptyBody() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(ocispec.DescriptorEmptyJSON.Data)), nil
}

// Manifest makes an image manifest of layers without a config. It is the same
// bytes for the same arguments.
func Manifest(artifactType string, annotations map[string]string, layers []Descriptor) (Descriptor, []byte, error) {
	m := ocispec.Manifest{MediaType: ManifestType, ArtifactType: artifactType, Config: Empty.spec(), Annotations: annotations}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, l.spec())
	}
	body, err := json.Marshal(m)
	return Describe(ManifestType, body), body, err
}

// Index makes an index of manifests with their platforms, likewise.
func Index(artifactType string, annotations map[string]string, manifests []Descriptor) (Descriptor, []byte, error) {
	x := ocispec.Index{MediaType: IndexType, ArtifactType: artifactType, Annotations: annotations}
	x.SchemaVersion = 2
	for _, m := range manifests {
		x.Manifests = append(x.Manifests, m.spec())
	}
	body, err := json.Marshal(x)
	return Describe(IndexType, body), body, err
}

// spec is the descriptor as it is written.
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

// String is oci://HOST/REPO.
func (r *Repository) String() string { return "oci://" + r.name }

// Contains is Place's.
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
		return false, fault.Errorf(fault.Integrity, "delete it in the registry, then try again", "%s: the registry has %d bytes of that digest, expected %d", name, found.Size, d.Size)
	}
	return true, nil
}

// Push is Place's.
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

// mayPass reports whether a failed push may work the next time.
func mayPass(err error) bool {
	return fault.Of(err) == fault.Upstream && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errRefused)
}

// PushNode is Place's.
func (r *Repository) PushNode(ctx context.Context, tag string, d Descriptor, body []byte) error {
	if tag == "" {
		tag = "sha256:" + d.SHA256
	}
	if err := r.repo.Manifests().PushReference(ctx, d.spec(), bytes.NewReader(body), tag); err != nil {
		return fmt.Errorf("pushing: %w", r.explain(r.name+":"+tag, err))
	}
	return nil
}
