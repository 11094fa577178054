package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Release is one version of a package as listed by its registry.
type Release struct {
	Version  string
	Released time.Time // by the registry's clock; zero if unknown
	// Yanked is why the publisher withdrew the version, Deprecated why the
	// publisher advises against it; "" if neither.
	Yanked, Deprecated string
	// Digest is the registry's digest of the tarball: "sha512-…", or several,
	// separated by spaces; "" for none.
	Digest string
}

// packument returns the URL of a package's document. A scoped name is one path
// segment: npm requests @scope%2fname.
func packument(registry, name string) string {
	address := under(registry, "")
	if u, err := url.Parse(address); err == nil {
		u.RawPath = u.EscapedPath() + strings.Replace(url.PathEscape(name), "%40", "@", 1)
		u.Path += name
		address = u.String()
	}
	return address
}

// NPMDocument returns a package's document: the full packument or, without
// times, the abbreviated one if the registry has it. If the package does not
// exist, the error matches fs.ErrNotExist.
func (c *Client) NPMDocument(ctx context.Context, registry, name string, full bool) ([]byte, error) {
	accept := acceptAbbreviated
	if full {
		accept = "application/json"
	}
	body, _, err := c.document(ctx, packument(registry, name), accept, maxPackument)
	if err != nil {
		return nil, noPackage(name, err)
	}
	return body, nil
}

// noPackage returns the error for the document of an npm package that cannot be had.
func noPackage(name string, err error) error {
	return notHad("registry", "package", name, "check the name; if the package is private, log in: npm login", err)
}

// notHad returns the error for a document about NAME that cannot be had, with a hint for
// a name that the registry or index does not know.
func notHad(of, what, name, hint string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Missingf(fault.Upstream, hint, "the %s has no %s %s: %w", of, what, name, err)
	}
	return fmt.Errorf("asking the %s for %s: %w", of, name, err)
}

// NPMVersions returns the versions of a package in an npm registry, unsorted,
// and the version with the dist-tag latest, "" if there is none. It is one
// request, for the full packument: no other document has times
// (github.com/npm/registry docs/responses/package-metadata.md). If the package
// does not exist, the error matches fs.ErrNotExist.
func (c *Client) NPMVersions(ctx context.Context, registry, name string) (releases []Release, latest string, err error) {
	address := packument(registry, name)
	body, err := c.NPMDocument(ctx, registry, name, true)
	if err != nil {
		return nil, "", err
	}
	var doc struct {
		Tags     map[string]string `json:"dist-tags"`
		Time     map[string]any    `json:"time"` // for an unpublished package, a value is an object
		Versions map[string]struct {
			Deprecated any `json:"deprecated"`
			Dist       struct {
				Integrity string `json:"integrity"`
			} `json:"dist"`
		} `json:"versions"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, "", badDocument(redact.URL(address), err)
	}
	if doc.Versions == nil && doc.Time == nil { // of what was unpublished, the times are left
		return nil, "", badDocument(redact.URL(address), errors.New("versions is missing"))
	}
	for version, v := range doc.Versions {
		r := Release{Version: version, Digest: v.Dist.Integrity}
		if s, ok := doc.Time[version].(string); ok {
			r.Released = moment(s)
		}
		switch v := v.Deprecated.(type) {
		case string:
			r.Deprecated = plain.Line(v, 200)
		case bool:
			if v {
				r.Deprecated = "deprecated"
			}
		}
		releases = append(releases, r)
	}
	return releases, doc.Tags["latest"], nil
}

// An IndexFile is one file of a project as listed by an index: a wheel, a
// source distribution or another file.
type IndexFile struct {
	Filename string
	// URL has the credential of the index if the origin is the same. If the
	// link must not be followed, URL is "" and Refused says why.
	URL      string
	Refused  error
	Uploaded time.Time // zero if the index does not say (PEP 700)
	Yanked   string    // why it was yanked; "" if it was not (PEP 592)
	SHA256   string    // 64 hexadecimal digits; "" if the index has none
	Hashes   []string  // names of the digests that the index has, sorted
	Python   string    // Requires-Python
	Size     int64     // bytes according to the index, unverified; 0 if unknown (PEP 700)
	// Metadata says that the index has the METADATA of a wheel at its URL with
	// ".metadata" appended (PEP 658). MetadataSHA256 is the digest of that, ""
	// if the index has none.
	Metadata       bool
	MetadataSHA256 string
	Provenance     string // the URL of what is signed about the file; "" for nothing (PEP 740)
}

// Wheel reports whether the name is that of a wheel.
func (f IndexFile) Wheel() bool { return strings.HasSuffix(f.Filename, ".whl") }

// PyPIWheels lists the wheels of a project, see [Client.PyPIFiles].
func (c *Client) PyPIWheels(ctx context.Context, index, project string) ([]IndexFile, error) {
	files, err := c.PyPIFiles(ctx, index, project)
	return slices.DeleteFunc(files, func(f IndexFile) bool { return !f.Wheel() }), err
}

// PyPIFiles lists the files of a project in the index's order, with one
// request. Without JSON (PEP 691), times are unknown. If the project does not
// exist, the error matches fs.ErrNotExist; for a page without any link it also
// matches [ErrNotIndex].
func (c *Client) PyPIFiles(ctx context.Context, index, project string) ([]IndexFile, error) {
	page := under(index, syntax.NormalProject(project)+"/") // servers redirect if there is no slash
	body, a, err := c.document(ctx, page, acceptSimple, maxSimple)
	if err != nil {
		return nil, notHad("index", "project", project, "check the name; for a project of your own, check which index pip uses: pip config list", err)
	}
	where := redact.URL(page)
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(kind, "html"):
		files := htmlFiles(a, body)
		if len(files) == 0 {
			return nil, noLinks(where)
		}
		return files, nil
	case !strings.HasSuffix(kind, "json"):
		return nil, badDocument(where, fmt.Errorf("content type %q is neither JSON nor HTML", plain.Line(kind, 80)))
	}
	var doc struct {
		Meta struct {
			Version string `json:"api-version"`
		} `json:"meta"`
		Files []struct {
			Filename string            `json:"filename"`
			URL      string            `json:"url"`
			Uploaded string            `json:"upload-time"`
			Yanked   any               `json:"yanked"`
			Hashes   map[string]string `json:"hashes"`
			Python   string            `json:"requires-python"`
			Size     any               `json:"size"`
			Core     any               `json:"core-metadata"`
			DistInfo any               `json:"dist-info-metadata"`
			Signed   string            `json:"provenance"`
		} `json:"files"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, badDocument(where, err)
	}
	if major, _, _ := strings.Cut(doc.Meta.Version, "."); major != "1" {
		return nil, badDocument(where, fmt.Errorf("meta.api-version is %q, expected 1.x", doc.Meta.Version))
	}
	var files []IndexFile
	for _, f := range doc.Files {
		w := IndexFile{Filename: f.Filename, Uploaded: moment(f.Uploaded), SHA256: f.Hashes["sha256"], Hashes: slices.Sorted(maps.Keys(f.Hashes)), Python: f.Python}
		if size, ok := f.Size.(float64); ok && size > 0 && size < 1<<40 {
			w.Size = int64(size)
		}
		if w.URL, w.Refused = link(a, a.url, f.URL); f.URL == "" {
			w.URL, w.Refused = "", badDocument(where, fmt.Errorf("the file %s has no url", plain.Line(f.Filename, 200)))
		}
		if f.Signed != "" {
			w.Provenance, _ = link(a, a.url, f.Signed)
		}
		switch v := f.Yanked.(type) {
		case string:
			w.Yanked = yanked(v)
		case bool:
			if v {
				w.Yanked = yanked("")
			}
		}
		if f.Core == nil {
			f.Core = f.DistInfo
		}
		switch v := f.Core.(type) {
		case bool:
			w.Metadata = v
		case map[string]any:
			w.Metadata = true
			w.MetadataSHA256, _ = v["sha256"].(string)
		}
		files = append(files, w)
	}
	return files, nil
}

// yanked returns why a file was withdrawn, never "".
func yanked(reason string) string { return cmp.Or(plain.Line(reason, 200), "yanked") }

// moment parses a time of a registry; zero if it is malformed.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
