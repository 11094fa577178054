// Package oci reads and fills registries of the OCI distribution specification,
// and folders in the OCI image layout. With registries oras-go speaks the
// protocol, the token dance and docker's credentials included;
// package remote carries every request, under its promises; and this package
// believes neither: what a registry answers is checked against the digest it
// was asked for, or hashed where a tag was.
//
// What it promises:
//   - Only SHA-256. A descriptor with another digest is refused, as is one
//     whose size is out of bounds, that says its content is at another address
//     (urls), or whose inline data is not its content.
//   - A document is either a manifest or an index, by its media type and by
//     what is in it (CVE-2021-41190).
//   - A credential goes to its registry. A registry may send its clients for a
//     token to another host only over https and under the same registrable
//     domain (public suffix list), as the public ones do.
//   - http only to loopback hosts.
//
// It is apart from package remote because oras-go costs every program that has
// it time at its start.
//
// Failures have the classes of package remote; one of docker's configuration or
// of a credential helper is of class [fault.Machine].
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
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

const (
	maxManifest = 4 << 20 // bytes: what registries have to take
	maxBlob     = 2 << 30 // bytes
	maxChildren = 1000    // of an index, or layers of a manifest
)

// Media types of docker that mean the same as those of OCI.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// A Client speaks with registries. It is safe for concurrent use.
type Client struct {
	transport *remote.Client
	docker    func() (*docker, error)
	config    string // path of docker's configuration, for messages

	mu    sync.Mutex
	repos map[string]*Repository
}

// New makes a client. Config is the path of docker's configuration file, ""
// for its usual place (DOCKER_CONFIG, else .docker in the home folder); it is
// read when a registry asks for a credential.
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

// A Repository is one name in one registry.
type Repository struct {
	c      *Client
	name   string // HOST/REPO
	base   *url.URL
	repo   *oras.Repository
	tokens tokens
}

// Repository returns a repository, which need not exist.
func (c *Client) Repository(host, repo string) (*Repository, error) {
	ref := registry.Reference{Registry: host, Repository: repo}
	name := host + "/" + repo
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.repos[name]; r != nil {
		return r, nil
	}
	if err := ref.Validate(); err != nil {
		return nil, fault.Errorf(fault.Usage, "write oci://HOST/REPO:TAG", "%s is no repository: %w", name, err)
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

// RoundTrip is http.RoundTripper's. What does not go to the registry is the
// request for a token, which may hold a credential.
func (r *Repository) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != r.base.Scheme || !strings.EqualFold(req.URL.Host, r.base.Host) {
		if req.Method == http.MethodPut {
			return nil, fault.Errorf(fault.Policy, "do not use this registry, or ask its operator: nothing was sent there",
				"registry %s wants what is pushed at %s, which is another host", r.base.Host, redact.URL(req.URL.Scheme+"://"+req.URL.Host))
		}
		if req.URL.Scheme != "https" || !related(r.base.Hostname(), req.URL.Hostname()) {
			return nil, fault.Errorf(fault.Policy, "do not use this registry, or ask its operator: no credential was sent",
				"registry %s sends its clients for a token to %s, which is another host", r.base.Host, redact.URL(req.URL.Scheme+"://"+req.URL.Host))
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

// digestHeader is what a registry says of the manifest or blob that it sends
// (distribution specification, "Pulling manifests"). It is optional.
const digestHeader = "Docker-Content-Digest"

// checkBody compares the body of an answer with the digest that its address asks
// for, and with that of the header, by any algorithm that the image specification
// registers. Then it takes away a header of all but SHA-256: here a SHA-512 is
// true or false, but names nothing. One of another form says nothing.
func checkBody(asked *url.URL, resp *http.Response) error {
	said := digest.Digest(resp.Header.Get(digestHeader))
	known := said.Validate() == nil && said.Algorithm().Available()
	_, ref, _ := strings.Cut(asked.Path, "/manifests/")
	wanted := digest.Digest(ref)
	if resp.Request.Method == http.MethodGet && (known || wanted.Validate() == nil) {
		body, err := io.ReadAll(resp.Body) // it is in memory, see [remote.Client.RoundTrip]
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		const hint = "try again; if it stays so, do not use this registry"
		if wanted.Validate() == nil {
			if found := wanted.Algorithm().FromBytes(body); found != wanted {
				return fault.Errorf(fault.Integrity, hint, "%s: the registry sends other bytes than it was asked for: got %s, %d bytes, expected %s",
					redact.URL(asked.String()), found, len(body), wanted)
			}
		}
		if known {
			if found := said.Algorithm().FromBytes(body); found != said {
				return fault.Errorf(fault.Integrity, hint, "%s: the registry says %s and sends %s (%d bytes)", redact.URL(asked.String()), said, found, len(body))
			}
		}
	}
	if !known || said.Algorithm() != digest.SHA256 {
		resp.Header.Del(digestHeader)
	}
	return nil
}

// related reports whether two host names are under one registrable domain.
func related(a, b string) bool {
	if net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return false
	}
	one, err1 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(a))
	two, err2 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(b))
	return err1 == nil && err2 == nil && one == two
}

// tokens keeps the one token of a repository. It is an auth.Cache that can be
// asked for the header.
type tokens struct {
	mu     sync.Mutex
	scheme auth.Scheme
	token  string
}

// GetScheme is auth.Cache's.
func (t *tokens) GetScheme(context.Context, string) (auth.Scheme, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" {
		return auth.SchemeUnknown, errdef.ErrNotFound
	}
	return t.scheme, nil
}

// GetToken is auth.Cache's.
func (t *tokens) GetToken(_ context.Context, _ string, scheme auth.Scheme, _ string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" || scheme != t.scheme {
		return "", errdef.ErrNotFound
	}
	return t.token, nil
}

// Set is auth.Cache's.
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

// authorization is the header for the registry, "" for none.
func (t *tokens) authorization() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" {
		return ""
	}
	return t.scheme.String() + " " + t.token
}

// A Descriptor says what some content is. It was checked by the rules of the
// package comment.
type Descriptor struct {
	SHA256      string // 64 lower-case hexadecimal digits
	Size        int64  // bytes
	MediaType   string
	Title       string // org.opencontainers.image.title: the name of a file
	Attestation bool   // about other content of the index, as buildkit makes them
	OS, Arch    string // in Go's words; "" for none
	Variant     string // of Arch, such as v8
}

// Manifest reports whether d is that of a manifest.
func (d Descriptor) Manifest() bool {
	return d.MediaType == ocispec.MediaTypeImageManifest || d.MediaType == dockerManifest
}

// Index reports whether d is that of an index.
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
	// Created is org.opencontainers.image.created, which is the publisher's own
	// word; zero where it says nothing.
	Created time.Time
}

// maxTags bounds what a repository lists, maxPages how often it is asked.
const (
	maxTags  = 50_000
	maxPages = 100
)

// Tags lists the tags of the repository, in the registry's order. There being no
// such repository matches fs.ErrNotExist.
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

// Digest returns the SHA-256 of what a tag names now. It is the registry's word,
// unless that gives none and the manifest is hashed.
func (r *Repository) Digest(ctx context.Context, tag string) (sha256 string, err error) {
	desc, err := r.repo.Manifests().Resolve(ctx, tag)
	if err != nil && strings.Contains(err.Error(), digestHeader) {
		// There is none, or none that names anything: then its bytes tell.
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

// Resolve returns what a tag names now. There being no such tag matches
// fs.ErrNotExist.
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
		return nil, fault.Errorf(fault.Upstream, "ask its publisher for a smaller index", "%s: a manifest of %d bytes, more than the limit of %d", name, d.Size, maxManifest)
	}
	desc := ocispec.Descriptor{MediaType: d.MediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, d.SHA256), Size: d.Size}
	if data, ok := r.c.transport.Kept(name); ok && int64(len(data)) == d.Size && digest.FromBytes(data) == desc.Digest {
		return parse(name, desc, data)
	}
	// By reference, not by descriptor: then oras-go leaves the comparison to us.
	found, body, err := r.repo.Manifests().FetchReference(ctx, desc.Digest.String())
	if err != nil {
		return nil, r.explain(name, err)
	}
	data, err := readAll(body)
	if err != nil {
		return nil, r.explain(name, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != d.SHA256 || int64(len(data)) != d.Size {
		return nil, fault.Errorf(fault.Integrity, "try again; if it stays so, do not use this registry",
			"%s: the registry sends other bytes than it was asked for: got sha256:%x, %d bytes, expected %d bytes", name, sum, len(data), d.Size)
	}
	if found.MediaType != d.MediaType {
		return nil, fault.Errorf(fault.Upstream, "ask the registry's operator, or its publisher", "%s: the registry sends it as %q, and what lists it says %q",
			name, plain.Line(found.MediaType, 300), plain.Line(d.MediaType, 300))
	}
	r.c.transport.Keep(name, data)
	return parse(name, desc, data)
}

func readAll(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fault.Errorf(fault.Upstream, "ask its publisher for a smaller index", "a manifest longer than the limit of %d bytes", maxManifest)
	}
	return data, err
}

// parse reads a manifest or an index whose digest is right.
func parse(name string, desc ocispec.Descriptor, data []byte) (*Node, error) {
	bad := func(format string, args ...any) error {
		return fault.Errorf(fault.Upstream, "ask its publisher", "%s: "+format, append([]any{name}, args...)...)
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
		return nil, bad("malformed manifest: something follows it")
	}
	d := describe(desc)
	isIndex, isManifest := d.Index(), d.Manifest()
	switch {
	case !isIndex && !isManifest:
		return nil, bad("%q is neither an image manifest nor an index", plain.Line(desc.MediaType, 300))
	case doc.SchemaVersion != 2 || doc.FSLayers != nil:
		return nil, bad("a manifest of schema %d, expected 2", doc.SchemaVersion)
	case doc.MediaType != "" && doc.MediaType != desc.MediaType:
		return nil, fault.Errorf(fault.Integrity, "do not use it; tell its publisher", "%s: the registry calls it %q and it calls itself %q", name, desc.MediaType, plain.Line(doc.MediaType, 300))
	case doc.Manifests != nil && (doc.Layers != nil || doc.Config != nil), isIndex && doc.Layers != nil, isManifest && doc.Manifests != nil:
		return nil, fault.Errorf(fault.Integrity, "do not use it; tell its publisher", "%s: it is a manifest and an index at once", name)
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

// check applies the rules for descriptors.
func check(name, part string, d ocispec.Descriptor) error {
	if alg, hexa, _ := strings.Cut(string(d.Digest), ":"); alg != "sha256" {
		return fault.Errorf(fault.Policy, "ask its publisher to push it with SHA-256", "%s, %s: digest %q is no SHA-256", name, part, plain.Line(string(d.Digest), 300))
	} else if err := lock.CheckSHA256("digest", hexa); err != nil {
		return fault.Errorf(fault.Upstream, "ask its publisher", "%s, %s: %w", name, part, err)
	}
	if d.Size <= 0 || d.Size > maxBlob {
		return fault.Errorf(fault.Upstream, "ask its publisher", "%s, %s: a size of %d bytes, expected 1 to %d", name, part, d.Size, int64(maxBlob))
	}
	if len(d.URLs) > 0 {
		return fault.Errorf(fault.Upstream, "ask its publisher to push it to the registry", "%s, %s: its content is at another address, from which nothing is fetched", name, part)
	}
	if d.Data != nil {
		if sum := sha256.Sum256(d.Data); int64(len(d.Data)) != d.Size || "sha256:"+hex.EncodeToString(sum[:]) != string(d.Digest) {
			return fault.Errorf(fault.Integrity, "do not use it; tell its publisher", "%s, %s: its inline data is not its content", name, part)
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

// Download brings a blob into a sink, by its digest alone. Like
// [remote.Client.Download] it leaves the digest of what came to the caller.
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
		// No token yet, or one that has expired: a small request gets one.
		if _, err := r.repo.Blobs().Resolve(ctx, "sha256:"+sha256); err != nil {
			return r.explain(r.name+"@sha256:"+sha256, err)
		}
	}
}

// said is the status of an answer and what the registry says of it.
func said(answer *errcode.ErrorResponse) string {
	text := http.StatusText(answer.StatusCode)
	if len(answer.Errors) > 0 {
		text = plain.Line(answer.Errors.Error(), 300)
	}
	return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", text))
}

// errRefused is matched by an answer that stays the same when asked again.
var errRefused = errors.New("refuses")

// explain gives an error of oras-go a class, and its name.
func (r *Repository) explain(name string, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) && fault.Of(asked.Err) != fault.Internal {
		return fmt.Errorf("%s: %w", name, asked.Err) // ours; the rest is oras-go's wrapping
	}
	if c := fault.Of(err); c != fault.Internal {
		return fmt.Errorf("%s: %w", name, err)
	}
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return fault.Errorf(fault.Upstream, "check the name, the tag and the version, or use a mirror that still has it",
			"%s: the registry has nothing of that name: %w", name, fs.ErrNotExist)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fault.Errorf(fault.Upstream, "run: docker login "+r.base.Host, "%s: the registry wants a credential, and %s has none for it", name, r.c.config)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fault.Errorf(fault.Upstream, "check the name, the tag and the version, or use a mirror that still has it",
			"%s: the registry has nothing of that name: %w", name, fs.ErrNotExist)
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fault.Errorf(fault.Upstream, "run: docker login "+r.base.Host+"; and see that you may read "+r.name,
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
		return fault.Errorf(fault.Integrity, "try again; if it stays so, do not use this registry", "%s: %s", name, plain.Line(err.Error(), 300))
	}
	return fault.Errorf(fault.Upstream, "try again later, or use a mirror", "%s: %s", name, plain.Line(err.Error(), 300))
}
