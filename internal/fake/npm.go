package fake

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// A Package is one version of an npm package.
type Package struct {
	Name, Version string
	// Manifest has the other fields of package.json: "bin", "dependencies",
	// "os", "deprecated", …
	Manifest map[string]any
	// Files are the package's files, without the folder "package" around them.
	// Unless Files has a package.json, it is generated from the fields above.
	Files map[string]string
	Exec  []string // those of Files with the executable bit

	Released time.Time      // zero is [Released]
	Tarball  []byte         // instead of one made of Files
	Dist     map[string]any // over the fields of "dist" that are made here; nil values remove
}

// An Artifact is a file that the server serves.
type Artifact struct {
	URL, Path string // Path is that of the URL, decoded
	Name      string // base name
	Body      []byte
	Size      int64
	SHA256    string // hexadecimal
	Integrity string // sha512-…, as npm has it
}

// artifact serves a body at a path. The caller holds the lock.
func (s *Server) artifact(p string, body []byte) Artifact {
	s.files[p] = file{body, "application/octet-stream"}
	strong := sha512.Sum512(body)
	return Artifact{
		URL: s.URL + p, Path: p, Name: path.Base(p), Body: body, Size: int64(len(body)), SHA256: sum(body),
		Integrity: "sha512-" + base64.StdEncoding.EncodeToString(strong[:]),
	}
}

// Package publishes a version of a package. Publishing it again replaces it.
func (s *Server) Package(p Package) Artifact {
	manifest := map[string]any{"name": p.Name, "version": p.Version}
	maps.Copy(manifest, p.Manifest)
	body := p.Tarball
	if body == nil {
		files := maps.Clone(p.Files)
		if files == nil {
			files = map[string]string{}
		}
		if _, ok := files["package.json"]; !ok {
			text, err := json.MarshalIndent(manifest, "", "  ")
			if err != nil {
				panic("fake: " + err.Error())
			}
			files["package.json"] = string(text) + "\n"
		}
		body = Tarball("package", files, p.Exec...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.artifact("/"+p.Name+"/-/"+path.Base(p.Name)+"-"+p.Version+".tgz", body)
	weak := sha1.Sum(body)
	dist := map[string]any{"tarball": a.URL, "integrity": a.Integrity, "shasum": hex.EncodeToString(weak[:])}
	for key, value := range p.Dist {
		if dist[key] = value; value == nil {
			delete(dist, key)
		}
	}
	manifest["dist"] = dist
	manifest["_id"] = p.Name + "@" + p.Version
	if scripts, ok := manifest["scripts"].(map[string]any); ok {
		for _, hook := range []string{"preinstall", "install", "postinstall"} {
			if scripts[hook] != nil {
				manifest["hasInstallScript"] = true
			}
		}
	}
	if s.packages[p.Name] == nil {
		s.packages[p.Name] = map[string]map[string]any{}
	}
	s.packages[p.Name][p.Version] = manifest
	s.released[p.Name+"@"+p.Version] = p.Released
	return a
}

// Latest sets a package's dist-tag "latest"; the default is the newest version.
func (s *Server) Latest(name, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[name] = version
}

// Unpublish removes a version of a package from the registry. Its tarball stays.
func (s *Server) Unpublish(name, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.packages[name], version)
}

// abbreviated lists the fields of a version in an abbreviated packument:
// github.com/npm/registry docs/responses/package-metadata.md.
var abbreviated = []string{"name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies",
	"bundleDependencies", "peerDependencies", "peerDependenciesMeta", "bin", "directories", "dist", "engines", "os", "cpu", "libc",
	"hasInstallScript", "_hasShrinkwrap"}

// npmDocument returns the packument or the version document of a decoded path.
func (s *Server) npmDocument(p, accept string) (file, bool) {
	name, version := p, ""
	if s.packages[p] == nil {
		i := strings.LastIndex(p, "/")
		if i < 0 {
			return file{}, false
		}
		name, version = p[:i], p[i+1:]
	}
	versions := s.packages[name]
	if len(versions) == 0 {
		return file{}, false
	}
	latest := slices.MaxFunc(slices.Collect(maps.Keys(versions)), newer)
	if tag := s.tags[name]; tag != "" {
		latest = tag
	}
	if version == "latest" {
		version = latest
	}
	if version != "" {
		if versions[version] == nil {
			return file{}, false
		}
		return jsonFile(versions[version], "application/json")
	}
	released := Released.Format("2006-01-02T15:04:05.000Z")
	doc := map[string]any{"name": name, "dist-tags": map[string]string{"latest": latest}}
	if strings.Contains(accept, "application/vnd.npm.install-v1+json") {
		short := map[string]any{}
		for v, manifest := range versions {
			fields := map[string]any{}
			for _, key := range abbreviated {
				if value, ok := manifest[key]; ok {
					fields[key] = value
				}
			}
			short[v] = fields
		}
		doc["versions"], doc["modified"] = short, released
		return jsonFile(doc, "application/vnd.npm.install-v1+json")
	}
	doc["_id"], doc["versions"] = name, versions
	if !s.noTimes {
		times := map[string]string{"created": released, "modified": released}
		for v := range versions {
			times[v] = orReleased(s.released[name+"@"+v]).Format("2006-01-02T15:04:05.000Z")
		}
		doc["time"] = times
	}
	return jsonFile(doc, "application/json")
}

func orReleased(t time.Time) time.Time {
	if t.IsZero() {
		t = Released
	}
	return t.UTC()
}

// newer compares versions, with releases above prereleases, as a registry does
// for its tag latest.
func newer(a, b string) int {
	if pa, pb := strings.Contains(a, "-"), strings.Contains(b, "-"); pa != pb {
		if pa {
			return -1
		}
		return 1
	}
	return semver.Compare("v"+a, "v"+b)
}

// Tarball builds a tar.gz of files in a folder, or in none for "", sorted by
// name. Equal files give equal bytes.
func Tarball(folder string, files map[string]string, exec ...string) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	t := tar.NewWriter(z)
	prefix := ""
	if folder != "" {
		prefix = folder + "/"
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := int64(0o644)
		if slices.Contains(exec, name) {
			mode = 0o755
		}
		must(t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: prefix + name, Mode: mode, Size: int64(len(files[name])), ModTime: Released}))
		_, err := t.Write([]byte(files[name]))
		must(err)
	}
	must(t.Close())
	must(z.Close())
	return buf.Bytes()
}

// must panics on an error. It is for writes to memory.
func must(err error) {
	if err != nil {
		panic("fake: " + err.Error())
	}
}
