package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A findable publishes packages that have programs of some names, in one kind of
// source.
type findable struct {
	name string
	need func(t *testing.T)
	base func(r *ring) string // its line of [plugins]
	// publish publishes version 1.0.0, and returns the source.
	publish func(r *ring, programs ...string) (source string)
	tail    string // of the manifest
	binary  string // as an entry names protoc-gen-one
	choose  string // what the hint says of several
	one     bool   // it has one program at most
}

func findables() []findable {
	inFile := func(programs []string, platform, dir string) []byte {
		files, exec := map[string]string{"README": "", "lib/data": ""}, []string{}
		for _, name := range append(programs, "helper") {
			if platform == win {
				name += ".exe"
			}
			files[dir+name] = (release{version: name, salt: "a"}).program(platform)
			exec = append(exec, dir+name)
		}
		return fake.Tarball("", files, exec...)
	}
	return []findable{
		{
			name: "npm", need: needNPM, binary: "protoc-gen-one", choose: `binary = "protoc-gen-one"`,
			base: func(r *ring) string {
				r.publishNode("24.19.0")
				return "node = \"24.19.0\"\n"
			},
			publish: func(r *ring, programs ...string) string {
				bin, files := map[string]any{"helper": "helper"}, map[string]string{"helper": "#!/usr/bin/env node\n"}
				for _, name := range programs {
					bin[name], files[name] = name, "#!/usr/bin/env node\n"
				}
				r.server.Package(fake.Package{Name: "@acme/tools", Version: "1.0.0", Manifest: map[string]any{"bin": bin}, Files: files})
				return "npm:@acme/tools"
			},
		},
		{
			name: "pip, a console script", need: needPip, binary: "protoc-gen-one", choose: `binary = "protoc-gen-one"`,
			publish: func(r *ring, programs ...string) string {
				points := "[console_scripts]\nhelper = acme:main\n"
				for _, name := range programs {
					points += name + " = acme:main\n"
				}
				r.server.Wheel(fake.Wheel{Name: "acme", Version: "1.0.0", EntryPoints: points, Files: map[string]string{"acme.py": "def main(): pass\n"}})
				return "pip:acme"
			},
		},
		{
			name: "pip, a program", need: needPip, binary: "acme-{version}.data/scripts/protoc-gen-one", choose: `binary = "acme-{version}.data/scripts/protoc-gen-one"`,
			publish: func(r *ring, programs ...string) string {
				for platform, tag := range map[string]string{arm: "py3-none-manylinux2014_aarch64", win: "py3-none-win_amd64"} {
					files, exec := map[string]string{}, []string{}
					for _, name := range append(programs, "helper") {
						file := "acme-1.0.0.data/scripts/" + name
						if platform == win {
							file += ".exe"
						}
						files[file] = (release{version: name, salt: "a"}).program(platform)
						exec = append(exec, file)
					}
					r.server.Wheel(fake.Wheel{Name: "acme", Version: "1.0.0", Tag: tag, Files: files, Exec: exec})
				}
				return "pip:acme"
			},
		},
		{
			name: "cargo", binary: "protoc-gen-one", choose: `binary = "protoc-gen-one"`,
			need: func(t *testing.T) {
				testenv.Real(t, "it starts cargo")
				if _, err := cargo.Find(t.Context()); err != nil {
					t.Skipf("no cargo to try with: %v", err)
				}
			},
			publish: func(r *ring, programs ...string) string {
				files := map[string]string{"src/bin/helper.rs": "fn main() {}\n"}
				for _, name := range programs {
					files["src/bin/"+name+".rs"] = "fn main() {}\n"
				}
				r.server.Crate(fake.Crate{Name: "acme", Version: "1.0.0", Files: files})
				return "cargo:acme"
			},
		},
		{
			name: "http, an archive", binary: "tools-{version}-{os}/protoc-gen-one", choose: `binary = "tools-{version}-{os}/protoc-gen-one"`,
			publish: func(r *ring, programs ...string) string {
				for _, platform := range []string{arm, win} {
					os, _, _ := strings.Cut(platform, "-")
					r.server.File("/v1.0.0/"+platform+".tar.gz", inFile(programs, platform, "tools-1.0.0-"+os+"/"))
				}
				return r.server.URL + "/v{version}/{os}-{arch}.tar.gz"
			},
		},
		{
			name: "http, a program", one: true, binary: "protoc-gen-one",
			publish: func(r *ring, programs ...string) string {
				for _, platform := range []string{arm, win} {
					r.server.File("/v1.0.0/"+programs[0]+"-"+platform, []byte((release{version: "1", salt: "a"}).program(platform)))
				}
				return r.server.URL + "/v{version}/" + programs[0] + "-{os}-{arch}"
			},
		},
		{
			name: "github", binary: "bin/protoc-gen-one", choose: `binary = "bin/protoc-gen-one"`,
			tail: "asset = \"tools-{os}-{arch}.tar.gz\"\n\n[[mirror]]\nfrom = \"https://github.com/\"\nto = \"SERVER/github/\"\n\n[[mirror]]\nfrom = \"https://api.github.com/\"\nto = \"SERVER/api/\"\n",
			publish: func(r *ring, programs ...string) string {
				assets := []map[string]any{}
				for _, platform := range []string{arm, win} {
					body, name := inFile(programs, platform, "bin/"), "tools-"+platform+".tar.gz"
					r.server.File("/github/acme/tools/releases/download/v1.0.0/"+name, body)
					assets = append(assets, map[string]any{"name": name, "state": "uploaded", "digest": "sha256:" + hexSum(body), "created_at": fake.Released, "updated_at": fake.Released})
				}
				body, err := json.Marshal(map[string]any{"id": 7, "tag_name": "v1.0.0", "prerelease": false, "draft": false, "published_at": fake.Released, "assets": assets})
				if err != nil {
					r.t.Fatal(err)
				}
				r.server.File("/api/repos/acme/tools/releases/tags/v1.0.0", body)
				return "github:acme/tools"
			},
		},
		{
			name: "oci", binary: "protoc-gen-one", choose: `binary = "protoc-gen-one"`,
			publish: func(r *ring, programs ...string) string {
				of := map[string]fake.Desc{}
				for _, platform := range []string{arm, win} {
					of[platform] = r.oci.Manifest("", r.oci.Blob(fake.OCILayer, "", inFile(programs, platform, "")))
				}
				r.oci.Index("v1.0.0", of[arm].For("linux", "arm64"), of[win].For("windows", "amd64"))
				return "oci://" + strings.TrimPrefix(r.server.URL, "http://") + "/acme/tool:v{version}"
			},
		},
		{
			name: "maven", one: true, binary: "protoc-gen-one",
			publish: func(r *ring, programs ...string) string {
				r.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: programs[0], Version: "1.0.0", Files: map[string][]byte{
					"-linux-aarch_64.exe": []byte(linuxARM), "-windows-x86_64.exe": []byte(winX64)}})
				return "maven:com.acme:" + programs[0]
			},
		},
		{
			name: "go", binary: "protoc-gen-one", choose: `binary = "protoc-gen-one" and package = "cmd/protoc-gen-one"`,
			need: func(t *testing.T) {
				testenv.Real(t, "it starts go")
				if _, err := goVersion(); err != nil {
					t.Skipf("no go that works: %v", err)
				}
			},
			base: func(r *ring) string {
				version, _ := goVersion()
				r.publishGo(version)
				return "go = \"" + version + "\"\n"
			},
			publish: func(r *ring, programs ...string) string {
				files := map[string]string{"go.mod": "module example.com/tools\n\ngo 1.21\n", "cmd/helper/main.go": "package main\n\nfunc main() {}\n"}
				for _, name := range programs {
					files["cmd/"+name+"/main.go"] = "package main\n\nfunc main() {}\n"
				}
				r.server.Module(fake.Module{Path: "example.com/tools", Version: "v1.0.0", Files: files})
				return "go:example.com/tools"
			},
		},
	}
}

// TestFound: an entry that does not name the executable gets the only one of its
// package that is a plugin of protoc, and the lock is that of an entry that names it;
// of several the person chooses.
func TestFound(t *testing.T) {
	t.Parallel()
	for _, f := range findables() {
		t.Run(f.name, func(t *testing.T) {
			if f.need != nil {
				f.need(t)
			}
			t.Parallel()
			ring := func(programs ...string) (r *ring, asks func(lines string)) {
				r = f.ring(t)
				base := ""
				if f.base != nil {
					base = f.base(r)
				}
				source := f.publish(r, programs...)
				return r, func(lines string) {
					r.write("plugins.toml", r.text(base+"[plugins.tool]\nversion = \"1.0.0\"\nsource = \""+source+"\"\n"+lines+strings.ReplaceAll(f.tail, "SERVER", r.server.URL), arm, win))
				}
			}
			r, asks := ring("protoc-gen-one")
			asks("")
			r.ok("update", "--no-smoke")
			r.ok("check")
			found := r.read("plugins.lock.toml")
			// A client is started for each lock, so the ordinary suite makes fewer.
			brief := f.need != nil && !testenv.Full()
			if !brief {
				r.ok("update", "--all", "--no-smoke")
				r.ok("update", "--verify", "--no-smoke")
			}
			if r.read("plugins.lock.toml") != found {
				t.Error("locking again gives other bytes")
			}
			lines := "binary = \"" + f.binary + "\"\n"
			if f.name == "go" {
				lines += "package = \"cmd/protoc-gen-one\"\n"
			}
			asks(lines)
			r.ok("check")
			r.remove("plugins.lock.toml")
			r.ok("update", "--no-smoke")
			if named := r.read("plugins.lock.toml"); named != found {
				t.Errorf("found:\n%s\nnamed:\n%s", found, named)
			}
			asks(strings.Replace(lines, "protoc-gen-one", "protoc-gen-two", 1))
			r.fails(fault.Lock, []string{"protoc-gen-two"}, "check")
			if f.one || brief {
				return
			}

			r, asks = ring("protoc-gen-one", "protoc-gen-two")
			asks("")
			text := r.fails(fault.Usage, []string{"has several plugins: protoc-gen-one, protoc-gen-two", "choose one: write into the entry " + f.choose}, "update", "--no-smoke")
			if r.read("plugins.lock.toml") != "" {
				t.Error("a lock was written")
			}
			hint := regexp.MustCompile(`write into the entry (binary = "[^"]+")(?: and (package = "[^"]+"))?`).FindStringSubmatch(text)
			asks(hint[1] + "\n" + hint[2] + "\n")
			r.ok("update", "--no-smoke")
			r.ok("check")

			r, asks = ring()
			asks("")
			r.fails(fault.Usage, []string{"has no executable protoc-gen-…; it has helper", "if one of them is a plugin, choose it: write into the entry binary = "}, "update", "--no-smoke")
		})
	}
}

// ring is an empty place with a server of the kind.
func (f findable) ring(t *testing.T) *ring {
	t.Helper()
	r := &ring{place: newPlace(t)}
	switch f.name {
	case "oci":
		r.oci = fake.NewOCI(t, "")
		r.server = r.oci.Server
	case "go":
		r.setenv("GOSUMDB", r.server.SumDB())
		r.setenv("GOENV", "off")
		r.setenv("GOPRIVATE", "")
		r.setenv("GONOSUMDB", "")
		testenv.KeepGoCache(t, filepath.Join(r.cache, "go-build"))
	}
	return r
}
