package fake

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Media types of the OCI image specification.
const (
	OCIManifest = "application/vnd.oci.image.manifest.v1+json"
	OCIIndex    = "application/vnd.oci.image.index.v1+json"
	OCILayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// An OCI is a real OCI registry in memory, that of go-containerregistry, with
// token authentication if requested, and with the faults of a [Server].
type OCI struct {
	*Server
	Host string // HOST:PORT

	// Realm is the realm of the challenge, or "" for this server's own /token.
	Realm string
	// Repo is the repository to which the methods push.
	Repo string

	user, token string
}

// NewOCI starts a registry over plain http, which stops with the test. With a
// user "NAME:PASSWORD", it requires a bearer token; its own /token issues one for
// that user.
func NewOCI(t testing.TB, user string) *OCI {
	o := &OCI{Server: newServer(), Repo: "acme/tool", user: user, token: "token-for-" + sum([]byte(user))[:8]}
	o.before, o.other = o.authenticate, registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	o.http.Start()
	o.stopWith(t)
	o.Host = strings.TrimPrefix(o.URL, "http://")
	return o
}

// authenticate answers requests that have no token yet.
func (o *OCI) authenticate(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case o.user == "":
		return false
	case r.URL.Path == "/token":
		name, password, _ := r.BasicAuth()
		if name+":"+password != o.user {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}`, http.StatusUnauthorized)
			return true
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": o.token})
		return true
	case r.Header.Get("Authorization") == "Bearer "+o.token:
		return false
	}
	realm := o.Realm
	if realm == "" {
		realm = o.URL + "/token"
	}
	w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="fake",scope="repository:%s:pull"`, realm, o.Repo))
	http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
	return true
}

// push sends a request to the real registry and skips the authentication.
func (o *OCI) push(method, path, contentType string, body []byte) {
	r := httptest.NewRequest(method, path, strings.NewReader(string(body)))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	o.other.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		panic(fmt.Sprintf("fake: %s %s: %d %s", method, path, w.Code, w.Body))
	}
}

// A Desc is a descriptor as manifests contain it. Further fields are added by
// their JSON names.
type Desc map[string]any

// Blob pushes a blob and returns its descriptor. title is its
// org.opencontainers.image.title, or "" for none.
func (o *OCI) Blob(mediaType, title string, body []byte) Desc {
	o.push(http.MethodPost, "/v2/"+o.Repo+"/blobs/uploads/?digest=sha256:"+sum(body), "application/octet-stream", body)
	d := Desc{"mediaType": mediaType, "digest": "sha256:" + sum(body), "size": len(body)}
	if title != "" {
		d["annotations"] = map[string]string{"org.opencontainers.image.title": title}
	}
	return d
}

// Manifest pushes a manifest of layers under a tag, or only by its digest if tag
// is "", and returns its descriptor.
func (o *OCI) Manifest(tag string, layers ...Desc) Desc {
	config := o.Blob("application/vnd.oci.empty.v1+json", "", []byte("{}"))
	return o.real(tag, OCIManifest, map[string]any{
		"schemaVersion": 2, "mediaType": OCIManifest, "config": config, "layers": layers,
	})
}

// Index pushes an index under a tag, or only by its digest if tag is "".
func (o *OCI) Index(tag string, manifests ...Desc) Desc {
	return o.real(tag, OCIIndex, map[string]any{"schemaVersion": 2, "mediaType": OCIIndex, "manifests": manifests})
}

func (o *OCI) real(tag, mediaType string, doc any) Desc {
	body, err := json.Marshal(doc)
	must(err)
	if tag == "" {
		tag = "sha256:" + sum(body)
	}
	o.push(http.MethodPut, "/v2/"+o.Repo+"/manifests/"+tag, mediaType, body)
	return Desc{"mediaType": mediaType, "digest": "sha256:" + sum(body), "size": len(body)}
}

// Document serves as a manifest what the real registry would reject: a text, or a
// value to encode as JSON. It returns its descriptor.
func (o *OCI) Document(tag, mediaType string, doc any) Desc {
	body, ok := doc.([]byte)
	if !ok {
		var err error
		body, err = json.Marshal(doc)
		must(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range []string{tag, "sha256:" + sum(body)} {
		o.files["/v2/"+o.Repo+"/manifests/"+name] = file{body, mediaType}
	}
	return Desc{"mediaType": mediaType, "digest": "sha256:" + sum(body), "size": len(body)}
}

// For returns the descriptor with a platform, in GOOS and GOARCH.
func (d Desc) For(os, arch string) Desc {
	return d.With("platform", map[string]string{"os": os, "architecture": arch})
}

// With returns the descriptor with another field.
func (d Desc) With(field string, value any) Desc {
	c := Desc{}
	for k, v := range d {
		c[k] = v
	}
	c[field] = value
	return c
}
