// Package oci reads and writes registries of the OCI distribution
// specification, and folders in the OCI image layout. For registries, oras-go
// speaks the protocol, including tokens and docker's credentials, and package
// remote sends every request, so its promises hold. This package trusts
// neither: content is compared with the digest that was requested, or hashed if
// a tag was requested.
//
// It promises:
//   - Only SHA-256. A descriptor with another digest is refused, and so is one
//     whose size is out of bounds, whose content is at another URL (urls), or
//     whose inline data is not its content.
//   - A document is either a manifest or an index, both by its media type and by
//     its content (CVE-2021-41190).
//   - A credential is sent to its registry. A registry may refer clients to
//     another host for a token only over https and within the same registrable
//     domain (public suffix list), as the public registries do.
//   - http only to loopback hosts.
//
// It is separate from package remote because oras-go slows down the start of
// every program that imports it.
//
// Errors have the classes of package remote; an error in docker's configuration
// or a credential helper is of class [fault.Machine].
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
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/net/publicsuffix"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	oras "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

const (
	maxManifest = 4 << 20 // bytes; registries must accept this much
	maxBlob     = 2 << 30 // bytes
	maxChildren = 1000    // of an index; also layers of a manifest
)

// Docker's media types for the same documents as OCI's.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// A Client accesses registries. It is safe for concurrent use.
type Client struct {
	transport *remote.Client
	docker    func() (*docker, error)
	config    string // path of docker's configuration, for messages

	mu    sync.Mutex
	repos map[string]*Repository
}

// New returns a client. Config is the path of docker's configuration file; ""
// for the default (DOCKER_CONFIG, or else .docker in the home folder). It is
// read when a registry requires a credential.
func New(transport *remote.Client, config string) *Client {
	if config == "" {
		dir := os.Getenv("DOCKER_CONFIG")
		if dir == "" {
			home, _ := os.UserHomeDir()
			dir = filepath.Join(home, ".docker")
		}
		config = filepath.Join(dir, "config.json")
	}
	return &Client{
		transport: transport, config: config, repos: map[string]*Repository{},
		docker: sync.OnceValues(func() (*docker, error) { return readDocker(config) }),
	}
}

// A Repository is one repository of a registry.
type Repository struct {
	c      *Client
	name   string // HOST/REPO
	base   *url.URL
	repo   *oras.Repository
	tokens tokens
}

// Repository returns a repository, which may not exist.
func (c *Client) Repository(host, repo string) (*Repository, error) {
	ref := registry.Reference{Registry: host, Repository: repo}
	name := host + "/" + repo
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.repos[name]; r != nil {
		return r, nil
	}
	if err := ref.Validate(); err != nil {
		return nil, fault.Errorf(fault.Usage, "write oci://HOST/REPO:TAG", "%s is not a repository: %w", name, err)
	}
	r := &Repository{c: c, name: name, base: &url.URL{Scheme: "https", Host: ref.Host()}}
	if h := r.base.Hostname(); h == "localhost" || net.ParseIP(h).IsLoopback() {
		r.base.Scheme = "http"
	}
	r.repo = &oras.Repository{
		Reference: ref,
		PlainHTTP: r.base.Scheme == "http",
		Client: &auth.Client{
			Client:     &http.Client{Transport: r},
			Credential: r.credential,
			Cache:      &r.tokens,
		},
		MaxMetadataBytes: maxManifest,
	}
	c.repos[name] = r
	return r, nil
}

// RoundTrip implements [http.RoundTripper]. A request to another host than the
// registry is for a token, and may have a credential.
func (r *Repository) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != r.base.Scheme || !strings.EqualFold(req.URL.Host, r.base.Host) {
		if req.Method == http.MethodPut {
			return nil, fault.Errorf(fault.Policy, "do not use this registry, or ask its operator: nothing was sent there",
				"registry %s redirects pushes to %s, which is another host", r.base.Host, redact.URL(req.URL.Scheme+"://"+req.URL.Host))
		}
		if req.URL.Scheme != "https" || !related(r.base.Hostname(), req.URL.Hostname()) {
			return nil, fault.Errorf(fault.Policy, "do not use this registry, or ask its operator: no credential was sent",
				"registry %s refers its clients for a token to %s, which is another host", r.base.Host, redact.URL(req.URL.Scheme+"://"+req.URL.Host))
		}
	}
	if p := req.URL.Path; strings.HasPrefix(p, "/v2/") && (strings.Contains(p, "/manifests/") || strings.HasSuffix(p, "/tags/list")) {
		req = req.WithContext(remote.Conditional(req.Context()))
	}
	resp, err := r.c.transport.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = checkBody(req.URL, resp)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// digestHeader has the registry's digest of the manifest or blob (distribution
// specification, "Pulling manifests"). It is optional.
const digestHeader = "Docker-Content-Digest"

// checkBody compares the body of an answer with the digest in the URL and with
// that in the header, for all algorithms of the image specification. It then
// removes a header with another algorithm than SHA-256: we verify a SHA-512 but
// do not identify content by it. A malformed header is ignored.
func checkBody(asked *url.URL, resp *http.Response) error {
	said := digest.Digest(resp.Header.Get(digestHeader))
	known := said.Validate() == nil && said.Algorithm().Available()
	_, ref, _ := strings.Cut(asked.Path, "/manifests/")
	wanted := digest.Digest(ref)
	if resp.Request.Method == http.MethodGet && (known || wanted.Validate() == nil) {
		body, err := io.ReadAll(resp.Body) // already in memory, see [remote.Client.RoundTrip]
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		const hint = "try again; if it fails again, do not use this registry"
		if wanted.Validate() == nil {
			if found := wanted.Algorithm().FromBytes(body); found != wanted {
				return fault.Errorf(fault.Integrity, hint, "%s: the registry sent content with the wrong digest: got %s, %d bytes, expected %s",
					redact.URL(asked.String()), found, len(body), wanted)
			}
		}
		if known {
			if found := said.Algorithm().FromBytes(body); found != said {
				return fault.Errorf(fault.Integrity, hint, "%s: the registry says %s but sent %s (%d bytes)", redact.URL(asked.String()), said, found, len(body))
			}
		}
	}
	if !known || said.Algorithm() != digest.SHA256 {
		resp.Header.Del(digestHeader)
	}
	return nil
}

// related reports whether two hosts have the same registrable domain.
func related(a, b string) bool {
	if net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return false
	}
	one, err1 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(a))
	two, err2 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(b))
	return err1 == nil && err2 == nil && one == two
}

// tokens keeps the only token of a repository. It is an auth.Cache that also
// returns the header.
type tokens struct {
	mu     sync.Mutex
	scheme auth.Scheme
	token  string
}

// GetScheme implements auth.Cache.
func (t *tokens) GetScheme(context.Context, string) (auth.Scheme, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" {
		return auth.SchemeUnknown, errdef.ErrNotFound
	}
	return t.scheme, nil
}

// GetToken implements auth.Cache.
func (t *tokens) GetToken(_ context.Context, _ string, scheme auth.Scheme, _ string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" || scheme != t.scheme {
		return "", errdef.ErrNotFound
	}
	return t.token, nil
}

// Set implements auth.Cache.
func (t *tokens) Set(ctx context.Context, _ string, scheme auth.Scheme, _ string, fetch func(context.Context) (string, error)) (string, error) {
	token, err := fetch(ctx)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scheme, t.token = scheme, token
	return token, nil
}

// authorization returns the Authorization header for the registry; "" for none.
func (t *tokens) authorization() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" {
		return ""
	}
	return t.scheme.String() + " " + t.token
}

// A Descriptor describes content. It has passed the rules in the package
// comment.
type Descriptor struct {
	SHA256      string // 64 lower-case hexadecimal digits
	Size        int64  // bytes
	MediaType   string
	Title       string // org.opencontainers.image.title, a file name
	Attestation bool   // about other content of the index, as from buildkit
	OS, Arch    string // as in Go; "" for none
	Variant     string // of Arch, such as v8
}

// Manifest reports whether d describes a manifest.
func (d Descriptor) Manifest() bool {
	return d.MediaType == ocispec.MediaTypeImageManifest || d.MediaType == dockerManifest
}

// Index reports whether d describes an index.
func (d Descriptor) Index() bool {
	return d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerIndex
}

// A Node is a manifest or an index.
type Node struct {
	Descriptor
	ArtifactType string // "" for none
	Annotations  map[string]string
	Children     []Descriptor // of an index
	Layers       []Descriptor // of a manifest
	// Created is org.opencontainers.image.created, as set by the publisher;
	// zero if it is not set.
	Created time.Time
}

// maxTags limits the tags of a repository, maxPages the requests for them.
const (
	maxTags  = 50_000
	maxPages = 100
)

// Tags lists the tags of the repository, in the registry's order. If the
// repository does not exist, the error matches fs.ErrNotExist.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	var tags []string
	pages := 0
	err := r.repo.Tags(ctx, "", func(page []string) error {
		tags = append(tags, page...)
		if pages++; pages > maxPages || len(tags) > maxTags {
			return fault.Errorf(fault.Upstream, "write an exact version", "%s lists more than %d pages or %d tags", r.name, maxPages, maxTags)
		}
		return nil
	})
	if err != nil {
		return nil, r.explain(r.name, err)
	}
	return tags, nil
}

// Digest returns the SHA-256 that a tag refers to now, as the registry says; if
// it does not say, the manifest is fetched and hashed.
func (r *Repository) Digest(ctx context.Context, tag string) (sha256 string, err error) {
	desc, err := r.repo.Manifests().Resolve(ctx, tag)
	if err != nil && strings.Contains(err.Error(), digestHeader) {
		// No usable digest in the header: hash the manifest.
		n, err := r.Resolve(ctx, tag)
		if err != nil {
			return "", err
		}
		return n.SHA256, nil
	}
	if err != nil {
		return "", r.explain(r.name+":"+tag, err)
	}
	if err := check(r.name+":"+tag, "manifest", desc); err != nil {
		return "", err
	}
	return desc.Digest.Encoded(), nil
}

// Resolve returns what a tag refers to now. If there is no such tag, the error
// matches fs.ErrNotExist.
func (r *Repository) Resolve(ctx context.Context, tag string) (*Node, error) {
	name := r.name + ":" + tag
	desc, body, err := r.repo.Manifests().FetchReference(ctx, tag)
	if err != nil {
		return nil, r.explain(name, err)
	}
	data, err := readAll(body)
	if err != nil {
		return nil, r.explain(name, err)
	}
	sum := sha256.Sum256(data)
	found := digest.NewDigestFromBytes(digest.SHA256, sum[:])
	desc.Digest, desc.Size = found, int64(len(data))
	return parse(name, desc, data)
}

// Node returns the manifest or index of a descriptor.
func (r *Repository) Node(ctx context.Context, d Descriptor) (*Node, error) {
	name := r.name + "@sha256:" + d.SHA256
	if d.Size > maxManifest {
		return nil, fault.Errorf(fault.Upstream, "ask the publisher for a smaller index", "%s: a manifest of %d bytes, more than the limit of %d", name, d.Size, maxManifest)
	}
	desc := ocispec.Descriptor{MediaType: d.MediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, d.SHA256), Size: d.Size}
	if data, ok := r.c.transport.Kept(name); ok && int64(len(data)) == d.Size && digest.FromBytes(data) == desc.Digest {
		return parse(name, desc, data)
	}
	// By reference instead of descriptor, so that we do the comparison and not
	// oras-go.
	found, body, err := r.repo.Manifests().FetchReference(ctx, desc.Digest.String())
	if err != nil {
		return nil, r.explain(name, err)
	}
	data, err := readAll(body)
	if err != nil {
		return nil, r.explain(name, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != d.SHA256 || int64(len(data)) != d.Size {
		return nil, fault.Errorf(fault.Integrity, "try again; if it fails again, do not use this registry",
			"%s: the registry sent content with the wrong digest: got sha256:%x, %d bytes, expected %d bytes", name, sum, len(data), d.Size)
	}
	if found.MediaType != d.MediaType {
		return nil, fault.Errorf(fault.Upstream, "ask the registry's operator, or its publisher", "%s: the registry sends it as %q, but it is listed as %q",
			name, plain.Line(found.MediaType, 300), plain.Line(d.MediaType, 300))
	}
	r.c.transport.Keep(name, data)
	return parse(name, desc, data)
}

func readAll(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fault.Errorf(fault.Upstream, "ask the publisher for a smaller index", "a manifest that exceeds the limit of %d bytes", maxManifest)
	}
	return data, err
}

// parse parses a manifest or index whose digest has been verified.
func parse(name string, desc ocispec.Descriptor, data []byte) (*Node, error) {
	bad := func(format string, args ...any) error {
		return fault.Errorf(fault.Upstream, "ask the publisher", "%s: "+format, append([]any{name}, args...)...)
	}
	var doc struct {
		SchemaVersion int                  `json:"schemaVersion"`
		MediaType     string               `json:"mediaType"`
		ArtifactType  string               `json:"artifactType"`
		Annotations   map[string]string    `json:"annotations"`
		Config        *ocispec.Descriptor  `json:"config"`
		Layers        []ocispec.Descriptor `json:"layers"`
		Manifests     []ocispec.Descriptor `json:"manifests"`
		FSLayers      json.RawMessage      `json:"fsLayers"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		return nil, bad("malformed manifest: %s", plain.Line(err.Error(), 300))
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bad("malformed manifest: there is data after it")
	}
	d := describe(desc)
	isIndex, isManifest := d.Index(), d.Manifest()
	switch {
	case !isIndex && !isManifest:
		return nil, bad("%q is neither an image manifest nor an index", plain.Line(desc.MediaType, 300))
	case doc.SchemaVersion != 2 || doc.FSLayers != nil:
		return nil, bad("a manifest of schema %d, expected 2", doc.SchemaVersion)
	case doc.MediaType != "" && doc.MediaType != desc.MediaType:
		return nil, fault.Errorf(fault.Integrity, "do not use it; report it to the publisher", "%s: the registry calls it %q, but it calls itself %q", name, desc.MediaType, plain.Line(doc.MediaType, 300))
	case doc.Manifests != nil && (doc.Layers != nil || doc.Config != nil), isIndex && doc.Layers != nil, isManifest && doc.Manifests != nil:
		return nil, fault.Errorf(fault.Integrity, "do not use it; report it to the publisher", "%s: it is both a manifest and an index", name)
	case len(doc.Manifests) > maxChildren || len(doc.Layers) > maxChildren:
		return nil, bad("it lists more than %d parts", maxChildren)
	case isManifest && doc.Config == nil:
		return nil, bad("a manifest without config")
	}
	n := &Node{Descriptor: d, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
	if t, err := time.Parse(time.RFC3339, doc.Annotations[ocispec.AnnotationCreated]); err == nil {
		n.Created = t.UTC()
	}
	if doc.Config != nil {
		if err := check(name, "config", *doc.Config); err != nil {
			return nil, err
		}
	}
	for i, l := range doc.Layers {
		if err := check(name, fmt.Sprintf("layer %d", i+1), l); err != nil {
			return nil, err
		}
		n.Layers = append(n.Layers, describe(l))
	}
	for i, m := range doc.Manifests {
		if err := check(name, fmt.Sprintf("manifest %d", i+1), m); err != nil {
			return nil, err
		}
		n.Children = append(n.Children, describe(m))
	}
	return n, nil
}

// check applies the rules for descriptors in the package comment.
func check(name, part string, d ocispec.Descriptor) error {
	if alg, hexa, _ := strings.Cut(string(d.Digest), ":"); alg != "sha256" {
		return fault.Errorf(fault.Policy, "ask the publisher to push it with SHA-256", "%s, %s: digest %q is not a SHA-256", name, part, plain.Line(string(d.Digest), 300))
	} else if err := syntax.CheckSHA256("digest", hexa); err != nil {
		return fault.Errorf(fault.Upstream, "ask the publisher", "%s, %s: %w", name, part, err)
	}
	if d.Size <= 0 || d.Size > maxBlob {
		return fault.Errorf(fault.Upstream, "ask the publisher", "%s, %s: a size of %d bytes, expected 1 to %d", name, part, d.Size, int64(maxBlob))
	}
	if len(d.URLs) > 0 {
		return fault.Errorf(fault.Upstream, "ask the publisher to push it to the registry", "%s, %s: its content is at another URL, which is not supported", name, part)
	}
	if d.Data != nil {
		if sum := sha256.Sum256(d.Data); int64(len(d.Data)) != d.Size || "sha256:"+hex.EncodeToString(sum[:]) != string(d.Digest) {
			return fault.Errorf(fault.Integrity, "do not use it; report it to the publisher", "%s, %s: its inline data is not its content", name, part)
		}
	}
	return nil
}

func describe(d ocispec.Descriptor) Descriptor {
	out := Descriptor{
		SHA256: d.Digest.Encoded(), Size: d.Size, MediaType: d.MediaType,
		Title:       d.Annotations[ocispec.AnnotationTitle],
		Attestation: d.Annotations["vnd.docker.reference.type"] != "",
	}
	if p := d.Platform; p != nil {
		out.OS, out.Arch, out.Variant = p.OS, p.Architecture, p.Variant
	}
	return out
}

// Download copies a blob into a sink. Like [remote.Client.Download], it leaves
// verifying the digest to the caller.
func (r *Repository) Download(ctx context.Context, sha256 string, size int64, sink remote.Sink) error {
	address := r.base.String() + "/v2/" + r.repo.Reference.Repository + "/blobs/sha256:" + sha256
	for attempt := 0; ; attempt++ {
		o := remote.DownloadOptions{Size: size}
		if header := r.tokens.authorization(); header != "" {
			o.Credential = remote.Credential{Name: "that of docker for " + r.base.Host, Authorization: header}
		}
		err := r.c.transport.Download(ctx, address, sink, o)
		if attempt > 0 || !errors.Is(err, remote.ErrUnauthorized) {
			return err
		}
		// There is no token yet, or it has expired: get one with a small
		// request.
		if _, err := r.repo.Blobs().Resolve(ctx, "sha256:"+sha256); err != nil {
			return r.explain(r.name+"@sha256:"+sha256, err)
		}
	}
}

// said returns the status of an answer and the registry's message.
func said(answer *errcode.ErrorResponse) string {
	text := http.StatusText(answer.StatusCode)
	if len(answer.Errors) > 0 {
		text = plain.Line(answer.Errors.Error(), 300)
	}
	return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", text))
}

// errRefused is matched by the error for an answer that a retry would not
// change.
var errRefused = errors.New("refuses")

// explain classifies an error of oras-go and adds a name.
func (r *Repository) explain(name string, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) && fault.Of(asked.Err) != fault.Internal {
		return fmt.Errorf("%s: %w", name, asked.Err) // our error, without oras-go's wrapping
	}
	if c := fault.Of(err); c != fault.Internal {
		return fmt.Errorf("%s: %w", name, err)
	}
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return fault.Missingf(fault.Upstream, "check the name, the tag and the version, or use a mirror that still has it",
			"%s: the registry has nothing with that name", name)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fault.Errorf(fault.Upstream, "run: docker login "+r.base.Host, "%s: the registry requires a credential, but %s has none for it", name, r.c.config)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fault.Missingf(fault.Upstream, "check the name, the tag and the version, or use a mirror that still has it",
			"%s: the registry has nothing with that name", name)
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fault.Errorf(fault.Upstream, "run: docker login "+r.base.Host+"; and check that you may read "+r.name,
			"%s: the registry %w: %s (credential from %s, if it has one)", name, errRefused, said(answer), r.c.config)
	case errors.As(err, &answer) && answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests:
		hint := "ask the registry's operator"
		if answer.StatusCode == http.StatusProxyAuthRequired {
			hint = "check the user name and the password in HTTPS_PROXY, and what the proxy allows"
		}
		return fault.Errorf(fault.Upstream, hint, "%s: the registry %w: %s", name, errRefused, said(answer))
	case strings.Contains(err.Error(), "is on a different host"), strings.Contains(err.Error(), "downgrades scheme"):
		return fault.Errorf(fault.Policy, "do not use this registry, or ask its operator: nothing was sent there", "%s: %s", name, plain.Line(err.Error(), 300))
	case strings.Contains(err.Error(), "bearer realm"):
		return fault.Errorf(fault.Policy, "do not use this registry, or ask its operator: no credential was sent", "%s: %s", name, plain.Line(err.Error(), 300))
	case strings.Contains(err.Error(), "digest mismatch"):
		return fault.Errorf(fault.Integrity, "try again; if it fails again, do not use this registry", "%s: %s", name, plain.Line(err.Error(), 300))
	}
	return fault.Errorf(fault.Upstream, "try again later, or use a mirror", "%s: %s", name, plain.Line(err.Error(), 300))
}
