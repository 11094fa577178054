package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A stand publishes a plugin "tool" in one kind of source, for the conformance
// suite. Kinds with closures publish a second package that it needs.
type stand struct {
	kind string
	name string             // of its tests, "" for kind
	need func(t *testing.T) // skips where a client program is missing; nil for none
	slow bool               // its client takes a second for each case
	env  map[string]string  // of its places
	// base publishes what the plugin runs on or is compiled by, and returns its
	// line of [plugins]; nil for none.
	base func(p *place) string
	// entry is the lines of [plugins.tool] but for the version; SERVER and HOST
	// are replaced.
	entry string
	tail  string // of the manifest, behind the entry
	// publish publishes a release, or replaces the bytes of one, and returns
	// where its documents and its file for linux-aarch64 are.
	publish func(r *ring, rel release) (document, artifact string)
	label   string // what messages call the file of 1.2.0, besides its URL

	missing       fault.Class // of a platform that upstream does not have
	missingReason string      // in the lock, where it is optional

	// cannot has the cases that the kind cannot have, with the reason.
	cannot map[string]string
	// says has the words that a message has instead of the table's, for those
	// that a client program says in its own way.
	says map[string][]string
	// withdraws says how a version is withdrawn in this kind, "" for not at all.
	withdraws string
	// class has the classes that differ from the table's.
	class map[string]fault.Class
	log   *fake.Server // the checksum database, of Go

	once sync.Once
	lock string // of base
}

// A release is a version of the plugin.
type release struct {
	version   string
	salt      string   // one letter; another one makes other bytes of the same length
	platforms []string // what upstream has

	released  time.Time // zero for years ago
	withdrawn bool      // yanked, retracted or deprecated, its bytes as before
}

func (rel release) has(platform string) bool { return slices.Contains(rel.platforms, platform) }

// program is the executable for a platform.
func (rel release) program(platform string) string {
	switch platform {
	case win:
		return winX64 + rel.text()
	case mac:
		return macX64 + rel.text()
	}
	return linuxARM + rel.text()
}

// text makes a release different from others, and so long, also compressed,
// that it can be cut several times.
func (rel release) text() string {
	text := rel.version + rel.salt
	for i := range 20 {
		text += fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), rel.salt[0]}))
	}
	return text
}

const (
	arm = "linux-aarch64"
	win = "windows-x86_64"
	mac = "macos-x86_64"
)

// A ring is one case of one stand: a place with a server of its own, on which
// version 1.2.0 is published and not locked.
type ring struct {
	*place
	stand *stand
	oci   *fake.OCI // kind OCI
	// releases is GitHub's list, by version.
	releases map[string]map[string]any

	document, artifact string // decoded paths, of 1.2.0
}

// newRing asks for the plugin on one platform; cases about platforms write
// another manifest.
func (s *stand) newRing(t *testing.T) *ring {
	t.Helper()
	r := &ring{place: &place{t: t, dir: t.TempDir(), cache: t.TempDir(), env: s.env}, stand: s}
	r.timeouts = remote.Timeouts{RetryWait: 10 * time.Millisecond}
	if s.kind == lock.OCI {
		r.oci = fake.NewOCI(t, "")
		r.server = r.oci.Server
	} else {
		r.server = fake.New(t)
	}
	if s.base != nil {
		s.once.Do(func() { // the lock holds no address
			r.write("plugins.toml", r.text(s.base(r.place), arm, win))
			r.ok("update")
			s.lock = r.read("plugins.lock.toml")
		})
		r.write("plugins.lock.toml", s.lock)
	}
	r.keepGoBuild()
	r.document, r.artifact = s.publish(r, release{version: "1.2.0", salt: "a", platforms: []string{arm, win}})
	r.asks("1.2.0", "", arm)
	return r
}

// keepGoBuild takes Go's build cache from the last run.
func (r *ring) keepGoBuild() {
	if r.stand.kind == lock.Go {
		testenv.KeepGoCache(r.t, filepath.Join(r.cache, "go-build"))
	}
}

// text is a manifest whose registries are the fake server.
func (r *ring) text(entries string, platforms ...string) string {
	url := r.server.URL
	return fmt.Sprintf("platforms = [\"%s\"]\n\n[registries]\nnpm = \"%s/\"\npip = \"%s/simple/\"\ncargo = \"%s/index/\"\ngo = \"%s/go\"\nmaven = \"%s/maven\"\n\n[plugins]\n%s",
		strings.Join(platforms, `", "`), url, url, url, url, url, entries)
}

// asks writes the manifest.
func (r *ring) asks(version, lines string, platforms ...string) {
	r.t.Helper()
	base := ""
	if r.stand.base != nil {
		base = r.stand.base(r.place)
		// Otherwise it is locked for more than is asked for.
		platforms = slices.Compact(slices.Sorted(slices.Values(platforms)))
	}
	fill := strings.NewReplacer("SERVER", r.server.URL, "HOST", strings.TrimPrefix(r.server.URL, "http://"))
	r.write("plugins.toml", r.text(base+"\n[plugins.tool]\nversion = \""+version+"\"\n"+fill.Replace(r.stand.entry)+lines+fill.Replace(r.stand.tail), platforms...))
}

// stands lists every kind. Their clients have nothing of the person's who runs the
// test.
func stands(t *testing.T) []*stand {
	log := fake.New(t)
	crates, modules := cargoStand(), goStand(log)
	crates.env = map[string]string{"CARGO_HOME": t.TempDir(), "CARGO_NET_RETRY": "1"}
	modules.env = map[string]string{"GOENV": "off", "GOPROXY": "off", "GOPRIVATE": "", "GONOSUMDB": "", "GOSUMDB": log.SumDB()}
	return []*stand{npmStand(), pipStand(), crates, httpStand(), gitHubStand(), ociStand(), mavenStand(), modules}
}

const ownDocuments = " asks for its documents itself, by its own rules for redirects, lengths and time"

func npmStand() *stand {
	return &stand{
		kind: lock.NPM, need: needNPM, slow: true,
		base: func(p *place) string {
			p.publishNode("24.19.0")
			return "node = \"24.19.0\"\n"
		},
		entry: "source = \"npm:tool\"\nbinary = \"tool\"\n", label: "tool@1.2.0",
		publish: func(r *ring, rel release) (string, string) {
			r.server.Package(fake.Package{Name: "tool-dep", Version: "1.0.0", Files: map[string]string{"index.js": "1\n"}})
			p := fake.Package{Name: "tool", Version: rel.version, Released: rel.released, Files: map[string]string{"tool": "#!/usr/bin/env node\n// " + rel.text()},
				Manifest: map[string]any{"bin": map[string]any{"tool": "tool"}, "dependencies": map[string]any{"tool-dep": "^1.0.0"}}}
			switch {
			case rel.has(mac):
				p.Manifest["os"], p.Manifest["cpu"] = []string{"darwin"}, []string{"x64"}
			case !rel.has(win):
				p.Manifest["os"] = []string{"linux"}
			}
			a := r.server.Package(p)
			if rel.withdrawn {
				p.Tarball, p.Manifest["deprecated"] = a.Body, "not good"
				r.server.Package(p)
			}
			return "/tool", a.Path
		},
		withdraws: "deprecated",
		missing:   fault.Machine, missingReason: "npm package tool 1.4.0 does not support win32 x64",
	}
}

func pipStand() *stand {
	return &stand{
		kind: lock.Pip, need: needPip, slow: true,
		entry: "source = \"pip:tool\"\nbinary = \"tool/bin/tool\"\n", label: "tool-1.2.0-py2.py3-none-manylinux2014_aarch64.whl",
		publish: func(r *ring, rel release) (string, string) {
			r.server.Wheel(fake.Wheel{Name: "tool-dep", Version: "1.0.0", Files: map[string]string{"tool_dep.py": "1\n"}})
			tags := map[string]string{arm: "py2.py3-none-manylinux2014_aarch64", win: "py2.py3-none-win_amd64", mac: "py2.py3-none-macosx_11_0_x86_64"}
			paths := map[string]string{}
			yanked := ""
			if rel.withdrawn {
				yanked = "not good"
			}
			for _, platform := range rel.platforms {
				exe := "tool/bin/tool"
				if platform == win {
					exe += ".exe"
				}
				paths[platform] = r.server.Wheel(fake.Wheel{
					Name: "tool", Version: rel.version, Tag: tags[platform], Released: rel.released, Yanked: yanked, Requires: []string{"tool-dep>=1"},
					Files: map[string]string{exe: rel.program(platform)}, Exec: []string{exe},
				}).Path
			}
			return "/simple/tool/", paths[arm]
		},
		withdraws: "yanked",
		missing:   fault.Upstream, missingReason: "tool 1.4.0 has no wheel for it",
		says: map[string][]string{
			"document 404": {"the index has no package"}, "document 410": {"the index has no package"}, "document HTML": {"HTML of a proxy or login page"},
		},
	}
}

func cargoStand() *stand {
	const noPlatforms = "a crate does not say which platforms it is for: who compiles it finds out"
	return &stand{
		kind: lock.Cargo, slow: true, need: needCargo,
		entry: "source = \"cargo:tool\"\nbinary = \"tool\"\n", label: "tool-1.2.0.crate",
		publish: func(r *ring, rel release) (string, string) {
			r.server.Crate(fake.Crate{Name: "tool-dep", Version: "1.0.0"})
			a := r.server.Crate(fake.Crate{Name: "tool", Version: rel.version, Released: rel.released, Yanked: rel.withdrawn, Deps: []fake.CrateDep{{Name: "tool-dep", Req: "^1"}},
				Files: map[string]string{"src/main.rs": "fn main() {} // " + rel.text()}})
			return fake.CrateIndexPath("tool"), a.Path
		},
		withdraws: "yanked",
		cannot: map[string]string{
			"document redirected in clear": "cargo" + ownDocuments,
			"a platform is missing":        noPlatforms, "a platform is missing, optional": noPlatforms, "a platform emulates": noPlatforms,
		},
		says: map[string][]string{
			"document 404": {"the registry has no crate tool"}, "document 410": {"server answered 410 Gone", "/index/to/ol/tool"}, "document 451": {"server answered 451"},
			"document empty":   {"the server answered with nothing"},
			"document no HTTP": {"failed to download from"}, "document HTML": {"got what looks like HTML", "/index/to/ol/tool"},
		},
	}
}

func httpStand() *stand {
	return &stand{
		kind:  lock.HTTP,
		entry: "source = \"SERVER/v{version}/tool-{os}-{arch}.tar.gz\"\nbinary = \"tool{exe}\"\nchecksums = \"checksums.txt\"\n",
		label: "tool-linux-aarch64.tar.gz",
		publish: func(r *ring, rel release) (string, string) {
			dir := "/v" + rel.version + "/"
			sums, path := "", ""
			for _, platform := range rel.platforms {
				exe := "tool"
				if platform == win {
					exe += ".exe"
				}
				body := fake.Tarball("", map[string]string{exe: rel.program(platform)}, exe)
				name := "tool-" + platform + ".tar.gz"
				r.server.File(dir+name, body)
				sums += hexSum(body) + "  " + name + "\n"
				if platform == arm {
					path = dir + name
				}
			}
			r.server.File(dir+"checksums.txt", []byte(sums))
			return dir + "checksums.txt", path
		},
		missing: fault.Upstream, missingReason: "the checksum file has no line for it",
		says: map[string][]string{"document 404": {"there is no checksum file"}, "document 410": {"there is no checksum file"}},
		cannot: map[string]string{
			"a range waits": noList, "a range leaves out what is not good": noList, "add without a version": noList, "nothing new": noList, "a version that is not there": noList,
			"upstream: a document is gone": "what is asked is whether the file is there",
		},
	}
}

const noList = "the template of a URL has no list of versions"

// gitHubStand publishes releases, the fake server standing in for GitHub.
func gitHubStand() *stand {
	return &stand{
		kind: lock.HTTP, name: "github",
		entry: "source = \"github:acme/tool\"\nasset = \"tool-{os}-{arch}.tar.gz\"\nbinary = \"tool{exe}\"\n",
		tail: "\n[[mirror]]\nfrom = \"https://github.com/\"\nto = \"SERVER/github/\"\n\n" +
			"[[mirror]]\nfrom = \"https://api.github.com/\"\nto = \"SERVER/api/\"\n",
		label: "tool-linux-aarch64.tar.gz",
		publish: func(r *ring, rel release) (string, string) {
			if rel.released.IsZero() {
				rel.released = fake.Released
			}
			path := ""
			assets := []map[string]any{}
			for _, platform := range rel.platforms {
				exe := "tool"
				if platform == win {
					exe += ".exe"
				}
				body := fake.Tarball("", map[string]string{exe: rel.program(platform)}, exe)
				name := "tool-" + platform + ".tar.gz"
				file := "/github/acme/tool/releases/download/v" + rel.version + "/" + name
				r.server.File(file, body)
				// What came last counts.
				assets = append(assets, map[string]any{"name": name, "state": "uploaded", "digest": "sha256:" + hexSum(body),
					"created_at": fake.Released, "updated_at": rel.released})
				if platform == arm {
					path = file
				}
			}
			doc := map[string]any{"id": 7, "tag_name": "v" + rel.version, "prerelease": rel.withdrawn, "draft": false, "published_at": fake.Released, "assets": assets}
			if r.releases == nil {
				r.releases = map[string]map[string]any{}
			}
			r.releases[rel.version] = doc
			put := func(path string, doc any) {
				body, err := json.Marshal(doc)
				if err != nil {
					r.t.Fatal(err)
				}
				r.server.File(path, body)
			}
			const list = "/api/repos/acme/tool/releases"
			put(list, slices.Collect(maps.Values(r.releases)))
			put(list+"/tags/v"+rel.version, doc)
			return list + "/tags/v" + rel.version, path
		},
		missing: fault.Upstream, missingReason: "the release has no file for it",
		says:   map[string][]string{"document 404": {"GitHub has no release v1.2.0"}},
		cannot: map[string]string{"upstream: a document is gone": "what is asked is whether the file is there"},
	}
}

// mavenStand has its documents in three places: the POM says that there is such a
// version, the checksums are the evidence, and the metadata is the list.
func mavenStand() *stand {
	return &stand{
		kind:  lock.Maven,
		entry: "source = \"maven:com.acme:tool\"\nbinary = \"tool\"\n", label: "com.acme:tool:1.2.0:linux-aarch_64",
		publish: func(r *ring, rel release) (string, string) {
			files := map[string][]byte{}
			for _, platform := range rel.platforms {
				files[map[string]string{arm: "-linux-aarch_64.exe", win: "-windows-x86_64.exe", mac: "-osx-x86_64.exe"}[platform]] = []byte(rel.program(platform))
			}
			dir := r.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "tool", Version: rel.version, Files: files})
			return dir + "tool-" + rel.version + ".pom", dir + "tool-" + rel.version + "-linux-aarch_64.exe"
		},
		missing: fault.Upstream, missingReason: "the server has no file for it",
		cannot: map[string]string{
			"document 404":                 "a program needs no POM, as for mvn",
			"document 410":                 "a program needs no POM, as for mvn",
			"upstream: a document is gone": "what is asked is whether the file is there, and its checksum",
		},
	}
}

func ociStand() *stand {
	return &stand{
		kind:  lock.OCI,
		entry: "source = \"oci://HOST/acme/tool:v{version}\"\nbinary = \"tool{exe}\"\n", label: "tool.tar.gz",
		publish: func(r *ring, rel release) (string, string) {
			var manifests []fake.Desc
			path := ""
			for _, platform := range rel.platforms {
				switch platform {
				case arm:
					l := r.oci.Blob(fake.OCILayer, "", toolTar(rel.program(arm)))
					path = "/v2/acme/tool/blobs/" + l["digest"].(string)
					manifests = append(manifests, r.oci.Manifest("", l).For("linux", "arm64"))
				case mac:
					l := r.oci.Blob(fake.OCILayer, "", toolTar(rel.program(mac)))
					manifests = append(manifests, r.oci.Manifest("", l).For("darwin", "amd64"))
				default:
					l := r.oci.Blob(fake.OCILayer, "", fake.Tarball("", map[string]string{"tool.exe": rel.program(win)}, "tool.exe"))
					manifests = append(manifests, r.oci.Manifest("", l).For("windows", "amd64"))
				}
			}
			r.oci.Index("v"+rel.version, manifests...)
			return "/v2/acme/tool/manifests/v" + rel.version, path
		},
		missing: fault.Usage, missingReason: "the index has no manifest for it",
		// Its size and its digest are known before.
		says: map[string][]string{
			"artifact longer": {"expected ", "the server announced"}, "artifact shorter": {"expected ", "the server announced"},
			"artifact endless": {"the server sent more"},
			"document 404":     {"the registry has nothing with that name"},
		},
		class: map[string]fault.Class{"document shorter": fault.Integrity, "artifact empty": fault.Integrity},
	}
}

// goVersion is that of the go of this machine, which stands in for a locked
// one; "" where there is none that can.
var goVersion = sync.OnceValues(func() (string, error) {
	g, err := gotool.Find(context.Background())
	if err != nil {
		return "", err
	}
	version, err := g.Version(context.Background())
	if err != nil {
		return "", err
	}
	if manifest.CheckExact(version) != nil || runtime.GOOS == "linux" && runtime.GOARCH == "arm64" || runtime.GOOS == "windows" {
		return "", fmt.Errorf("go %s of this machine cannot stand in for a locked one", version)
	}
	return version, nil
})

// goStand has one checksum database for all servers: it knows what was
// published first.
func goStand(log *fake.Server) *stand {
	const module = "example.com/tool"
	return &stand{
		kind: lock.Go, slow: true, log: log, need: func(t *testing.T) {
			testenv.Real(t, "it starts go")
			if _, err := goVersion(); err != nil {
				t.Skipf("no go that works: %v", err)
			}
		},
		base: func(p *place) string {
			version, _ := goVersion()
			p.publishGo(version)
			(&place{server: log}).publishGo(version)
			return "go = \"" + version + "\"\n"
		},
		entry: "source = \"go:" + module + "\"\npackage = \"cmd/tool\"\nbinary = \"tool\"\n", label: module + "@v1.2.0",
		publish: func(r *ring, rel release) (string, string) {
			dep := fake.Module{Path: module + "-dep", Version: "v1.0.0", Files: map[string]string{"dep.go": "package dep\n"}}
			tool := fake.Module{Path: module, Version: "v" + rel.version, Files: map[string]string{
				"go.mod":           "module " + module + "\n\ngo 1.21\n\nrequire " + module + "-dep v1.0.0\n",
				"cmd/tool/main.go": "package main\n\nimport _ \"" + module + "-dep\"\n\nfunc main() {}\n\nvar _ = `" + rel.text() + "`\n",
			}}
			if !rel.has(win) {
				tool.Files["cmd/tool/main.go"] = "//go:build !windows\n\n" + tool.Files["cmd/tool/main.go"]
			}
			log.Module(dep)
			log.Module(tool)
			r.server.Module(dep)
			if rel.withdrawn {
				last := fake.Module{Path: module, Version: "v" + rel.version[:len(rel.version)-1] + "9", Files: map[string]string{
					"go.mod": "module " + module + "\n\ngo 1.21\n\nretract [v" + rel.version + ", v" + rel.version[:len(rel.version)-1] + "9] // not good\n"}}
				r.server.Module(last)
				log.Module(last)
			}
			return "/go/" + module + "/@v/v" + rel.version + ".info", r.server.Module(tool).Path
		},
		withdraws: "retracted",
		missing:   fault.Usage, missingReason: "no Go files for windows/amd64",
		cannot: map[string]string{
			"document redirected in clear": "go" + ownDocuments,
			"artifact redirected in clear": "go follows the redirects of a module proxy by its own rules; the checksum database answers for the bytes",
			"artifact slow":                "go has no floor of speed: its whole run has half an hour",
			"a platform emulates":          "Go compiles for Apple silicon what it compiles for Intel",
		},
		says: map[string][]string{
			"replaced bytes are an alarm": {"SECURITY ERROR", "checksum mismatch", "downloaded: h1:"},
			"document HTML":               {"invalid response from proxy"},
			"artifact 500":                {"500"},
			"artifact cut":                {"unexpected EOF"},
			"artifact of other bytes":     {"zip: checksum error"},
			"artifact longer":             {"after its end record"},
			"artifact shorter":            {"zip: not a valid zip file"},
			"artifact HTML":               {"zip: not a valid zip file"},
			"artifact endless":            {"downloaded zip file too large"},
		},
		class: map[string]fault.Class{"artifact empty": fault.Integrity},
	}
}
