package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Limits for documents of registries, in bytes. The largest packuments and
// project pages have about 10 MB now.
const (
	maxPackument = 64 << 20
	maxSimple    = 64 << 20
)

const acceptAbbreviated = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

// NPMTarball returns the usual URL of a tarball in an npm registry:
// REGISTRY/NAME/-/BASENAME-VERSION.tgz. Some registries use other URLs, see
// [Client.NPMTarballURL].
func NPMTarball(registry, name, version string) string {
	return under(registry, name+"/-/"+path.Base(name)+"-"+version+".tgz")
}

// GoModule returns the URL in a module proxy of a file that a lock calls
// MODULE@vVERSION.zip or .mod, both escaped: PROXY/MODULE/@v/vVERSION.zip (see
// `go help goproxy`).
func GoModule(proxy, key string) string {
	at := strings.LastIndexByte(key, '@')
	return under(proxy, key[:at]+"/@v/"+key[at+1:])
}

// under appends a path to a base URL, before any query.
func under(base, rel string) string {
	u, err := url.Parse(base)
	if err != nil {
		return strings.TrimSuffix(base, "/") + "/" + rel // Download reports what is wrong with it
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + rel
	u.RawPath = ""
	return u.String()
}

// NPMTarballURL asks a registry for dist.tarball of a version of a package
// (npm's "abbreviated packument", github.com/npm/registry
// docs/responses/package-metadata.md). It keeps the userinfo of the registry's
// URL if the tarball has the same origin. If the version is unknown, the error
// matches fs.ErrNotExist.
func (c *Client) NPMTarballURL(ctx context.Context, registry, name, version string) (string, error) {
	address := packument(registry, name)
	body, a, err := c.document(ctx, address, acceptAbbreviated, maxPackument)
	if err != nil {
		return "", noPackage(name, err)
	}
	where := redact.URL(address)
	var doc struct {
		Versions map[string]struct {
			Dist struct {
				Tarball string `json:"tarball"`
			} `json:"dist"`
		} `json:"versions"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", badDocument(where, err)
	}
	v, ok := doc.Versions[version]
	if !ok {
		return "", fault.Missingf(fault.Upstream, "check the version, or use a mirror that still has it",
			"%s: the registry has no version %s of %s (it has %d others): was it deleted?", where, version, name, len(doc.Versions))
	}
	if v.Dist.Tarball == "" {
		return "", badDocument(where, fmt.Errorf("versions[%q].dist.tarball is missing", version))
	}
	return link(a, a.url, v.Dist.Tarball)
}

// badDocument returns the error for a document in the wrong format.
func badDocument(where string, err error) error {
	var field *json.UnmarshalTypeError
	if errors.As(err, &field) {
		err = fmt.Errorf("field %s is a %s, expected %s", field.Field, field.Value, field.Type)
	}
	return fault.Errorf(fault.Upstream, "try again later, or use another registry", "%s: malformed document: %s", where, plain.Line(err.Error(), 300))
}

// link resolves a link in a document. The server chose it, so the rules for
// redirects apply. The document's credential is kept if the origin is the same.
func link(a *answer, base *url.URL, href string) (string, error) {
	u, err := base.Parse(strings.TrimSpace(href))
	if err != nil {
		return "", badDocument(redact.URL(a.url.String()), fmt.Errorf("%s is not a URL", redact.URL(href)))
	}
	if err := checkRedirect(a.url, u, a.public); err != nil {
		return "", err
	}
	u = bare(u)
	if origin(u) == origin(a.req.url) && len(a.chain) == 1 {
		u.User = a.req.url.User
	}
	return u.String(), nil
}

// acceptSimple prefers JSON (PEP 691) and accepts HTML (PEP 503).
const acceptSimple = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

// PyPIFile asks a Python package index for the URL of a file of a project, over
// the simple repository API in JSON (PEP 691) or HTML (PEP 503). The URL has no
// fragment; it keeps the userinfo of the index if it has the same origin. If
// the index does not have the file, the error matches fs.ErrNotExist.
func (c *Client) PyPIFile(ctx context.Context, index, project, filename string) (string, error) {
	files, err := c.PyPIFiles(ctx, index, project)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if f.Filename == filename {
			return f.URL, f.Refused
		}
	}
	return "", fault.Missingf(fault.Upstream, "check the version, or use a mirror that still has it",
		"%s: the index has no file %s (it has %d others): was it deleted?", redact.URL(under(index, syntax.NormalProject(project)+"/")), filename, len(files))
}

// ErrNotIndex is matched by the error for a page without any link in the place
// of an index.
var ErrNotIndex = errors.New("is it an index, or HTML of a proxy or login page?")

func noLinks(where string) error {
	return fault.Missingf(fault.Upstream, "open the address in a browser, and check the proxy and the credential",
		"%s has no link to any file: %w", where, ErrNotIndex)
}

// htmlFiles lists the files that a project page of PEP 503 links to. Like pip,
// it resolves links against <base>.
func htmlFiles(a *answer, body []byte) []IndexFile {
	base := a.url
	var files []IndexFile
	t := html.NewTokenizer(bytes.NewReader(body))
	t.SetMaxBuf(1 << 20)
	for {
		kind := t.Next()
		if kind == html.ErrorToken { // io.EOF, or a token over a megabyte
			return files
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token := t.Token()
		href := strings.TrimSpace(attribute(token, "href"))
		u, err := base.Parse(href)
		switch {
		case href == "" || err != nil:
		case token.DataAtom == atom.Base:
			base = u
		case token.DataAtom == atom.A:
			f := IndexFile{Filename: path.Base(u.Path), Python: attribute(token, "data-requires-python")}
			f.URL, f.Refused = link(a, base, href)
			if name, hash, ok := strings.Cut(u.Fragment, "="); ok {
				f.Hashes = []string{name}
				if name == "sha256" {
					f.SHA256 = hash
				}
			}
			for _, attr := range token.Attr {
				switch attr.Key {
				case "data-yanked":
					f.Yanked = yanked(attr.Val)
				case "data-provenance":
					f.Provenance, _ = link(a, base, attr.Val)
				case "data-core-metadata", "data-dist-info-metadata":
					f.Metadata = attr.Val != "false"
					if hash, ok := strings.CutPrefix(attr.Val, "sha256="); ok {
						f.MetadataSHA256 = hash
					}
				}
			}
			files = append(files, f)
		}
	}
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
