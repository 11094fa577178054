package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// registry is a place with a registry of OCI, whose docker has the credentials
// given as "HOST" and "NAME:PASSWORD" in turn.
func newRegistry(t *testing.T, user string) (*place, *fake.OCI) {
	t.Helper()
	p, o := newPlace(t), fake.NewOCI(t, user)
	p.server = o.Server
	p.docker()
	return p, o
}

// docker writes docker's configuration: a host and "NAME:PASSWORD" in turn.
func (p *place) docker(credentials ...string) {
	p.t.Helper()
	var auths []string
	for i := 0; i+1 < len(credentials); i += 2 {
		auths = append(auths, fmt.Sprintf("%q: {\"auth\": %q}", credentials[i], base64.StdEncoding.EncodeToString([]byte(credentials[i+1]))))
	}
	p.dockerText(`{"auths": {` + strings.Join(auths, ", ") + `}}`)
}

func (p *place) dockerText(text string) {
	p.t.Helper()
	dir := p.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.setenv("DOCKER_CONFIG", dir)
}

// oci writes a manifest with one plugin from a registry.
func (p *place) oci(platforms, source, lines string) {
	p.write("plugins.toml", fmt.Sprintf("platforms = [%s]\n\n[plugins.tool]\nversion = \"1.2.0\"\nsource = %q\nbinary = \"tool\"\n%s", platforms, source, lines))
}

func toolTar(program string) []byte {
	return fake.Tarball("", map[string]string{"tool": program}, "tool")
}

func zst(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const file = "application/octet-stream"

// TestOCI locks each shape that publishers use, with and without a token.
func TestOCI(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "me:secret"} {
		for _, tt := range []struct {
			what, source, lines string
			push                func(o *fake.OCI)
			files               []string
		}{
			{"index with platforms", "oci://HOST/acme/tool:v{version}", "", func(o *fake.OCI) {
				arm := o.Manifest("", o.Blob(fake.OCILayer, "", toolTar(linuxARM)))
				win := o.Manifest("", o.Blob(fake.OCILayer, "", toolTar(winX64)))
				mac := o.Manifest("", o.Blob(fake.OCILayer, "", toolTar("mac")))
				other := o.Manifest("", o.Blob(file, "", []byte("about arm"))).For("unknown", "unknown").With("annotations", map[string]string{"vnd.docker.reference.type": "attestation-manifest"})
				o.Index("v1.2.0", mac.For("darwin", "arm64"), arm.For("linux", "arm64"), other, win.For("windows", "amd64"))
			}, []string{"linux-aarch64/tool.tar.gz", "windows-x86_64/tool.tar.gz"}},
			{"nested index", "oci://HOST/acme/tool:v{version}", "", func(o *fake.OCI) {
				arm := o.Index("", o.Manifest("", o.Blob(fake.OCILayer, "arm.tgz", toolTar(linuxARM))).For("linux", "arm64"))
				win := o.Index("", o.Manifest("", o.Blob(file, "tool.exe", []byte(winX64))).For("windows", "amd64"))
				o.Index("v1.2.0", arm, win)
			}, []string{"arm.tgz", "tool.exe"}},
			{"one tag a platform", "oci://HOST/acme/tool:{version}-{os}-{arch}", "os = { windows = \"win\" }\n", func(o *fake.OCI) {
				o.Manifest("1.2.0-linux-aarch64", o.Blob(file, "", []byte(linuxARM)))
				o.Manifest("1.2.0-win-x86_64", o.Blob(file, "", []byte(winX64)))
			}, []string{"linux-aarch64/tool", "windows-x86_64/tool"}},
			{"layers named by platform", "oci://HOST/acme/tool:v{version}#tool-{goos}-{goarch}.EXT", "", func(o *fake.OCI) {
				o.Manifest("v1.2.0",
					o.Blob(file, "tool-linux-arm64.EXT", []byte(linuxARM)),
					o.Blob(file, "tool-windows-amd64.EXT", []byte(winX64)),
					o.Blob(file, "checksums.txt", []byte("x")))
			}, []string{"tool-linux-arm64.EXT", "tool-windows-amd64.EXT"}},
		} {
			t.Run(tt.what+" "+user, func(t *testing.T) {
				p, o := newRegistry(t, user)
				if user != "" {
					p.docker(o.Host, user)
				}
				tt.push(o)
				p.oci(armAndWindows, strings.Replace(tt.source, "HOST", o.Host, 1), tt.lines)
				p.ok("update")
				p.ok("check")
				v := p.locked().Plugins["tool"]["1.2.0"]
				if v.Trust != "registry" || v.Package != o.Host+"/acme/tool" || len(v.Files) != len(tt.files) ||
					v.Platforms["windows-aarch64"].Emulate != "windows-x86_64" {
					t.Errorf("%+v", v)
				}
				for _, name := range tt.files {
					if f := v.Files[name]; f.Manifest == "" || f.Version == "" {
						t.Errorf("%s: %+v of %v", name, f, v.Files)
					}
				}
				first := p.read("plugins.lock.toml")
				if strings.Contains(first, "secret") {
					t.Errorf("the lock has a secret:\n%s", first)
				}
				p.ok("update", "tool")
				if got := p.read("plugins.lock.toml"); got != first {
					t.Fatalf("locked again:\n%s\nbefore:\n%s", got, first)
				}
				p.ok("update", "--verify")
			})
		}
	}
}

func TestOCIZstdAndMirror(t *testing.T) {
	p, o := newRegistry(t, "")
	raw := new(bytes.Buffer)
	gunzip(t, raw, toolTar(linuxARM))
	o.Manifest("v1.2.0", o.Blob("application/vnd.oci.image.layer.v1.tar+zstd", "", zst(t, raw.Bytes())))
	p.oci(`"linux-aarch64"`, "oci://registry.example.com/acme/tool:v{version}", "\n[[mirror]]\nfrom = \"oci://registry.example.com/\"\nto = \"oci://"+o.Host+"/\"\n")
	p.ok("update")
	v := p.locked().Plugins["tool"]["1.2.0"]
	if v.Package != "registry.example.com/acme/tool" || v.Files["tool.tar.zst"].Archive != "tar.zst" || strings.Contains(p.read("plugins.lock.toml"), o.Host) {
		t.Errorf("%+v", v)
	}
}

// TestOCIFails: what a registry or its content may lack or lie about, by the
// numbers of the list of bad inputs.
func TestOCIFails(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "a repository for each way to fail")
	const source = "oci://HOST/acme/tool:v{version}"
	one := func(o *fake.OCI) fake.Desc { return o.Blob(file, "", []byte(linuxARM)) }
	manifest := func(o *fake.OCI, layers ...fake.Desc) map[string]any {
		return map[string]any{"schemaVersion": 2, "mediaType": fake.OCIManifest,
			"config": o.Blob("application/vnd.oci.empty.v1+json", "", []byte("{}")), "layers": layers}
	}
	for _, tt := range []struct {
		what   string
		source string // "" for the usual one
		push   func(o *fake.OCI)
		class  fault.Class
		want   []string
	}{
		{"75 other manifest under a digest", "", func(o *fake.OCI) {
			m := o.Manifest("", one(o))
			o.Index("v1.2.0", m.For("linux", "arm64"))
			o.Fault("/v2/acme/tool/manifests/"+m["digest"].(string), fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				w.Header().Set("Content-Type", fake.OCIManifest)
				w.Write(bytes.Repeat([]byte(" "), m["size"].(int)))
			}))
		}, fault.Integrity, []string{"content with the wrong digest"}},
		{"75 other digest in the header", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o)))
			o.Fault("/v2/acme/tool/manifests/v1.2.0", fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
				honest(w, r)
			}))
		}, fault.Integrity, []string{"the registry says sha256:aaaa", "http://", "bytes)"}},
		{"75 a longer manifest under a digest", "", func(o *fake.OCI) {
			m := o.Manifest("", one(o))
			o.Index("v1.2.0", m.For("linux", "arm64"))
			o.Fault("/v2/acme/tool/manifests/"+m["digest"].(string), fake.Map(func(b []byte) []byte { return append(b, ' ') }))
		}, fault.Integrity, []string{"content with the wrong digest", "http://"}},
		{"75 a longer manifest, and no digest in the header", "", func(o *fake.OCI) {
			m := o.Manifest("", one(o))
			o.Index("v1.2.0", m.For("linux", "arm64"))
			o.Fault("/v2/acme/tool/manifests/"+m["digest"].(string), fake.Answer(fake.OCIManifest, "{}"))
		}, fault.Integrity, []string{"content with the wrong digest", "got sha256:", "2 bytes, expected sha256:"}},
		{"75 a listed size that is not the manifest's", "", func(o *fake.OCI) {
			o.Index("v1.2.0", o.Manifest("", one(o)).For("linux", "arm64").With("size", 7))
		}, fault.Integrity, []string{"expected 7 bytes"}},
		{"75 chunks that lie about a manifest", "", func(o *fake.OCI) {
			m := o.Manifest("", one(o))
			o.Index("v1.2.0", m.For("linux", "arm64"))
			o.Fault("/v2/acme/tool/manifests/"+m["digest"].(string), fake.Raw("HTTP/1.1 200 OK\r\nContent-Type: "+fake.OCIManifest+"\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{}\r\n0\r\n\r\n"))
		}, fault.Upstream, []string{"ended early", "attempts"}},
		{"75 another SHA-512 in the header", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o)))
			o.Fault("/v2/acme/tool/manifests/v1.2.0", fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				w = header{w, "sha512:" + strings.Repeat("a", 128)}
				honest(w, r)
			}))
		}, fault.Integrity, []string{"the registry says sha512:aaaa", "but sent sha512:", "http://"}},
		{"an encrypted layer", "", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "tool.tar.gz", toolTar(linuxARM)))
		}, fault.Policy, []string{"its layer is encrypted", "+encrypted"}},
		{"a strange status", "", func(o *fake.OCI) {
			o.Fault("/v2/acme/tool/manifests/v1.2.0", fake.Status(418))
		}, fault.Upstream, []string{"the registry refuses: 418"}},
		{"76 wrong bytes of a blob", "", func(o *fake.OCI) {
			l := one(o)
			o.Manifest("v1.2.0", l)
			o.Fault("/v2/acme/tool/blobs/"+l["digest"].(string), fake.WrongBytes())
		}, fault.Integrity, []string{"does not match the registry's digest"}},
		{"76 a longer blob", "", func(o *fake.OCI) {
			l := one(o)
			o.Manifest("v1.2.0", l)
			o.Fault("/v2/acme/tool/blobs/"+l["digest"].(string), fake.Longer(1))
		}, fault.Integrity, []string{"expected 71 bytes, but the server announced 72"}},
		{"76 no blob", "", func(o *fake.OCI) {
			l := one(o)
			o.Manifest("v1.2.0", l)
			o.Fault("/v2/acme/tool/blobs/"+l["digest"].(string), fake.Status(404))
		}, fault.Upstream, []string{"404", "was it deleted?"}},
		{"78 platform not in the index", "", func(o *fake.OCI) {
			o.Index("v1.2.0", o.Manifest("", one(o)).For("linux", "amd64"), o.Manifest("", one(o)).For("windows", "amd64"))
		}, fault.Usage, []string{"has no manifest for linux/arm64; it has linux/amd64, windows/amd64"}},
		{"78 no tag", "", func(o *fake.OCI) {}, fault.Upstream, []string{"v1.2.0: the registry has nothing with that name"}},
		{"78 platform not among the layers", source + "#tool-{os}-{arch}", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob(file, "tool-linux-x86_64", []byte(linuxX64)))
		}, fault.Usage, []string{"its files are tool-linux-x86_64"}},
		{"several layers and no name", "", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob(file, "a", []byte("a")), o.Blob(file, "b", []byte("b")))
		}, fault.Usage, []string{"has 2 files: a, b", "#FILE"}},
		{"two layers of one name", source + "#a", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob(file, "a", []byte("a")), o.Blob(file, "a", []byte("b")))
		}, fault.Upstream, []string{"names 2 files"}},
		{"79 deep index", "", func(o *fake.OCI) {
			d := o.Manifest("", one(o)).For("linux", "arm64")
			for range 4 {
				d = o.Index("", d)
			}
			o.Index("v1.2.0", d)
		}, fault.Upstream, []string{"more than 3 deep"}},
		{"79 10,000 children", "", func(o *fake.OCI) {
			children := make([]fake.Desc, 10_000)
			for i := range children {
				children[i] = fake.Desc{"mediaType": fake.OCIManifest, "digest": "sha256:" + fmt.Sprintf("%064x", i+1), "size": 9}
			}
			o.Document("v1.2.0", fake.OCIIndex, map[string]any{"schemaVersion": 2, "manifests": children})
		}, fault.Upstream, []string{"lists more than 1000 parts"}},
		{"79 many indexes", "", func(o *fake.OCI) {
			var children []fake.Desc
			for i := range 200 {
				children = append(children, o.Document("", fake.OCIIndex, map[string]any{"schemaVersion": 2, "manifests": []fake.Desc{}, "annotations": map[string]string{"n": fmt.Sprint(i)}}))
			}
			o.Document("v1.2.0", fake.OCIIndex, map[string]any{"schemaVersion": 2, "manifests": children})
		}, fault.Upstream, []string{"needs more than 100 manifests"}},
		{"79 huge manifest", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIIndex, bytes.Repeat([]byte(" "), 5<<20))
		}, fault.Upstream, []string{"exceeds the limit"}},
		{"80 other type than the header", "", func(o *fake.OCI) {
			d := manifest(o, one(o))
			d["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
			o.Document("v1.2.0", fake.OCIManifest, d)
		}, fault.Integrity, []string{"it calls itself"}},
		{"80 manifest and index at once", "", func(o *fake.OCI) {
			d := manifest(o, one(o))
			d["manifests"] = []fake.Desc{}
			o.Document("v1.2.0", fake.OCIManifest, d)
		}, fault.Integrity, []string{"both a manifest and an index"}},
		{"80 artifact manifest", "", func(o *fake.OCI) {
			o.Document("v1.2.0", "application/vnd.oci.artifact.manifest.v1+json", map[string]any{})
		}, fault.Upstream, []string{"neither an image manifest nor an index"}},
		{"80 schema 1", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, map[string]any{"schemaVersion": 1, "fsLayers": []string{}})
		}, fault.Upstream, []string{"schema 1, expected 2"}},
		{"81 no layers", "", func(o *fake.OCI) { o.Manifest("v1.2.0") }, fault.Upstream, []string{"contains no files"}},
		{"81 the empty layer", "", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob("application/vnd.oci.empty.v1+json", "", []byte("{}")))
		}, fault.Upstream, []string{"contains no files"}},
		{"81 size 2^62", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("size", int64(1)<<62)))
		}, fault.Upstream, []string{"layer 1: a size of 4611686018427387904 bytes"}},
		{"81 negative size", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("size", -1)))
		}, fault.Upstream, []string{"layer 1: a size of -1 bytes"}},
		{"81 inline data", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("data", "aGVsbG8=")))
		}, fault.Integrity, []string{"its inline data is not its content"}},
		{"81 foreign layer", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("urls", []string{o.URL + "/canary"})))
		}, fault.Upstream, []string{"its content is at another URL"}},
		{"81 malformed", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, []byte(`{"schemaVersion": 2`))
		}, fault.Upstream, []string{"malformed manifest"}},
		{"81 no config", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, map[string]any{"schemaVersion": 2, "layers": []fake.Desc{one(o)}})
		}, fault.Upstream, []string{"without config"}},
		{"82 sha512", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("digest", "sha512:"+strings.Repeat("a", 128))))
		}, fault.Policy, []string{"is not a SHA-256"}},
		{"82 unknown algorithm", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("digest", "crc:00")))
		}, fault.Policy, []string{`digest "crc:00" is not a SHA-256`}},
		{"82 short digest", "", func(o *fake.OCI) {
			o.Document("v1.2.0", fake.OCIManifest, manifest(o, one(o).With("digest", "sha256:00")))
		}, fault.Upstream, []string{"layer 1"}},
		{"unsafe title", "", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob(file, "a/..", []byte("x")))
		}, fault.Upstream, []string{"the title of a layer"}},
		{"tar without compression", "", func(o *fake.OCI) {
			o.Manifest("v1.2.0", o.Blob("application/vnd.oci.image.layer.v1.tar", "", []byte("x")))
		}, fault.Usage, []string{"a tar without compression"}},
		{"login page", "", func(o *fake.OCI) { o.Fault("/v2/acme/tool/manifests/v1.2.0", fake.HTML()) }, fault.Upstream, []string{"looks like HTML"}},
		{"redirect to http", "", func(o *fake.OCI) {
			o.Fault("/v2/acme/tool/manifests/v1.2.0", fake.Redirect(307, "http://example.com/"))
		}, fault.Policy, []string{"http is only for loopback hosts"}},
		{"other program", "", func(o *fake.OCI) { o.Manifest("v1.2.0", o.Blob(file, "", []byte(winX64))) }, fault.Integrity, []string{"not an executable for linux-aarch64"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p, o := newRegistry(t, "")
			tt.push(o)
			s := tt.source
			if s == "" {
				s = source
			}
			p.oci(`"linux-aarch64"`, strings.Replace(s, "HOST", o.Host, 1), "")
			p.fails(tt.class, append(tt.want, "tool 1.2.0"), "update")
			if o.Count("/canary") > 0 {
				t.Error("fetched from a foreign address")
			}
		})
	}
}

// header is an answer with another Docker-Content-Digest.
type header struct {
	http.ResponseWriter
	digest string
}

func (h header) WriteHeader(code int) {
	h.Header().Set("Docker-Content-Digest", h.digest)
	h.ResponseWriter.WriteHeader(code)
}

func (h header) Write(p []byte) (int, error) {
	h.Header().Set("Docker-Content-Digest", h.digest)
	return h.ResponseWriter.Write(p)
}

// TestOCISHA512: a registry that names its content by SHA-512 in the header says
// nothing that is locked; what it says is compared, and the manifest is hashed.
func TestOCISHA512(t *testing.T) {
	t.Parallel()
	p, o := newRegistry(t, "")
	d := o.Manifest("v1.2.0", o.Blob(file, "tool", []byte(linuxARM)))
	for _, ref := range []string{"v1.2.0", d["digest"].(string)} {
		o.Fault("/v2/acme/tool/manifests/"+ref, fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			rec := httptest.NewRecorder()
			honest(rec, r.Clone(r.Context()))
			get := r.Clone(r.Context())
			get.Method, get.Header = http.MethodGet, http.Header{"Accept": r.Header["Accept"]}
			whole := httptest.NewRecorder()
			honest(whole, get)
			honest(header{w, fmt.Sprintf("sha512:%x", sha512.Sum512(whole.Body.Bytes()))}, r)
		}))
	}
	p.oci(`"linux-aarch64"`, "oci://"+o.Host+"/acme/tool:v{version}", "")
	p.ok("update")
	if f := p.locked().Plugins["tool"]["1.2.0"].Files["tool"]; "sha256:"+f.Manifest != d["digest"] {
		t.Errorf("%+v", f)
	}
	p.ok("check", "--upstream")
	p.ok("update", "--verify")
}

// TestOCITagMoved: 77, another digest under a locked tag is an alarm.
func TestOCITagMoved(t *testing.T) {
	t.Parallel()
	p, o := newRegistry(t, "")
	o.Manifest("v1.2.0", o.Blob(file, "tool", []byte(linuxARM)))
	p.oci(`"linux-aarch64"`, "oci://"+o.Host+"/acme/tool:v{version}", "")
	p.ok("update")
	o.Manifest("v1.2.0", o.Blob(file, "tool", []byte(linuxARM+"!")))
	p.ok("update") // nothing asks
	p.ok("check")
	p.fails(fault.Integrity, []string{"SECURITY", "tool 1.2.0", "other bytes", "locked:", "now:"}, "update", "tool")
	// By digest the old bytes are still there, which is not what the tag names.
	p.fails(fault.Integrity, []string{"SECURITY", "tool 1.2.0", "other bytes"}, "update", "--verify")

	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "v{version}", "{version}", 1))
	p.fails(fault.Lock, []string{"tag for linux-aarch64 is v1.2.0 in the lock, but 1.2.0 in plugins.toml"}, "check")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "acme/tool", "acme/other", 1))
	p.fails(fault.Lock, []string{"package is", "acme/other in plugins.toml"}, "check")
}

// TestOCIOptional: a platform without a tag, a manifest or a file.
func TestOCIOptional(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"{version}-{os}": "the registry has no tag for it",
		"index":          "the index has no manifest for it",
		"layers#{os}":    "the artifact has no file for it",
	} {
		p, o := newRegistry(t, "")
		l := o.Blob(file, "linux", []byte(linuxARM))
		o.Index("index", o.Manifest("1.2.0-linux", l).For("linux", "arm64"))
		o.Manifest("layers", l)
		p.oci(armAndWindows, "oci://"+o.Host+"/acme/tool:"+tag, "optional = true\n")
		p.ok("update")
		if c := p.locked().Plugins["tool"]["1.2.0"].Platforms["windows-x86_64"]; c.Unavailable != want {
			t.Errorf("%s: %+v", tag, c)
		}
	}
}

// TestOCICredentials: 83 and 84.
func TestOCICredentials(t *testing.T) {
	t.Parallel()
	const canary = "s3cr3t-canary"
	helper := t.TempDir()
	for name, script := range map[string]string{
		"junk": "echo this is no json", "nasty": `printf '\033]0;x\007\342\200\256\n' >&2; printf 'no\033[31m\357\273\277' ; exit 1`,
		"leaves": `sleep 300 & echo $! >"` + helper + `/pid"; echo '{"Username":"me","Secret":"` + canary + `"}'`, "fails": "echo no session >&2; exit 1", "works": `echo '{"Username":"me","Secret":"` + canary + `"}'`,
	} {
		if err := os.WriteFile(filepath.Join(helper, "docker-credential-"+name), []byte("#!/bin/sh\ncat >/dev/null\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	row := testenv.Rows(t, "a credential of the settings of a client or of docker: its registry gets it, no other host, and no message and lock", lock.OCI)
	for _, tt := range []struct {
		what   string
		docker func(host, other string) string
		realm  func(other *fake.Server) string
		class  fault.Class
		want   []string
	}{
		{"no credential", func(host, other string) string { return `{}` }, nil, fault.Upstream, []string{"the registry refuses", "docker login", "config.json"}},
		{"no file", func(host, other string) string { return "" }, nil, fault.Upstream, []string{"docker login"}},
		{"that of another host", func(host, other string) string {
			return `{"auths": {"` + other + `": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("me:"+canary)) + `"}}}`
		}, nil, fault.Upstream, []string{"the registry refuses"}},
		{"wrong password", func(host, other string) string {
			return `{"auths": {"` + host + `": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("me:"+canary+"x")) + `"}}}`
		}, nil, fault.Upstream, []string{"the registry refuses: 401", "wrong password"}},
		{"that of a URL, beside a broken one", func(host, other string) string {
			return `{"auths": {"` + other + `": {"auth": 1}, "https://` + host + `/v1/": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("me:"+canary)) + `"}}}`
		}, nil, 0, nil},
		{"broken file", func(host, other string) string { return `{"auths": [` }, nil, fault.Machine, []string{"docker's configuration", "config.json"}},
		{"helper missing", func(host, other string) string { return `{"credsStore": "missing"}` }, nil, fault.Machine, []string{"the credential helper for 127.0.0.1", "docker-credential-missing"}},
		{"helper prints junk", func(host, other string) string { return `{"credsStore": "junk"}` }, nil, fault.Machine, []string{"the credential helper for 127.0.0.1", "invalid character"}},
		{"helper fails", func(host, other string) string { return `{"credHelpers": {"` + host + `": "fails"}}` }, nil, fault.Machine, []string{"the credential helper for 127.0.0.1", "no session"}},
		{"helper plays with the terminal", func(host, other string) string { return `{"credsStore": "nasty"}` }, nil, fault.Machine, []string{`no\u001b[31m\ufeff`}},
		{"helper of a path", func(host, other string) string { return `{"credsStore": "../works"}` }, nil, fault.Machine, []string{"is not the name of a helper"}},
		{"helper leaves a child", func(host, other string) string { return `{"credsStore": "leaves"}` }, nil, 0, nil},
		{"helper works", func(host, other string) string { return `{"credsStore": "works"}` }, nil, 0, nil},
		{"realm on another port", func(host, other string) string { return `{"credsStore": "works"}` },
			func(other *fake.Server) string { return other.URL + "/token" }, fault.Policy, []string{"refers its clients for a token to", "no credential was sent"}},
		{"realm on another host", func(host, other string) string { return `{"credsStore": "works"}` },
			func(*fake.Server) string { return "https://evil.example.com/token" }, fault.Policy, []string{"https://evil.example.com"}},
		{"realm by http", func(host, other string) string { return `{"credsStore": "works"}` },
			func(*fake.Server) string { return "http://evil.example.com/token" }, fault.Policy, []string{"http://evil.example.com"}},
		{"realm of another scheme", func(host, other string) string { return `{"credsStore": "works"}` },
			func(*fake.Server) string { return "file:///etc/passwd" }, fault.Policy, []string{"unsupported scheme"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			row(t)
			p, o := newRegistry(t, "me:"+canary)
			p.setenv("PATH", helper+string(os.PathListSeparator)+os.Getenv("PATH"))
			other := fake.New(t)
			otherHost := strings.TrimPrefix(other.URL, "http://")
			if text := tt.docker(o.Host, otherHost); text == "" {
				p.setenv("DOCKER_CONFIG", filepath.Join(t.TempDir(), "none"))
			} else {
				p.dockerText(text)
			}
			if tt.realm != nil {
				o.Realm = tt.realm(other)
			}
			// The blob is on another host, as registries have it: the token
			// does not go there.
			l := o.Blob(file, "tool", []byte(linuxARM))
			o.Manifest("v1.2.0", l)
			o.Fault("/v2/acme/tool/blobs/"+l["digest"].(string), fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
				if r.Header.Get("Authorization") == "" {
					honest(w, r)
					return
				}
				http.Redirect(w, r, other.URL+"/storage", http.StatusTemporaryRedirect)
			}))
			other.File("/storage", []byte(linuxARM))
			p.oci(`"linux-aarch64"`, "oci://"+o.Host+"/acme/tool:v{version}", "")
			if tt.class != 0 {
				if text := p.fails(tt.class, append(tt.want, "tool 1.2.0"), "update"); strings.Contains(text, canary) {
					t.Errorf("a secret is shown: %s", text)
				}
			} else {
				p.ok("update")
				if data, err := os.ReadFile(filepath.Join(helper, "pid")); err == nil {
					if stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(data)) + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
						t.Errorf("its child lives on: %s", stat)
					}
				}
				if other.Count("/storage") == 0 {
					t.Error("nothing came from the storage")
				}
			}
			for _, r := range other.Requests("") {
				if r.Header.Get("Authorization") != "" || r.Path == "/token" {
					t.Errorf("another host got %v", r)
				}
			}
		})
	}
}

func gunzip(t *testing.T, to *bytes.Buffer, data []byte) {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
}
