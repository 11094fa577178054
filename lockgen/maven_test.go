package main

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestMaven: a plugin that only repositories of Maven have is locked by URL, with
// the strongest checksum that lies beside it.
func TestMaven(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const (
		name   = "protoc-gen-grpc-java"
		folder = "/maven/io/grpc/protoc-gen-grpc-java/1.76.0/protoc-gen-grpc-java-1.76.0-"
	)
	manifest := func(registries, entry string) {
		p.write("plugins.toml", "platforms = [\"linux-aarch64\", \"macos-x86_64\", \"windows-x86_64\"]\n"+registries+"\n[plugins]\n"+entry)
	}
	here := "[registries]\nmaven = \"" + p.server.URL + "/maven\"\n"
	manifest("", name+" = \"1.76.0\"\n")
	p.fails(fault.Usage, []string{"plugins.toml:4", "io.grpc:protoc-gen-grpc-java", "[registries]", "maven = "}, "update")

	files := map[string][]byte{"linux-aarch_64.exe": []byte(linuxARM), "osx-x86_64.exe": []byte(macX64), "windows-x86_64.exe": []byte(winX64)}
	digest := func(data []byte) []byte { d := sha512.Sum512(data); return d[:] }
	publish := func() {
		for file, data := range files {
			p.server.File(folder+file, data)
			p.server.File(folder+file+".sha512", []byte(hex.EncodeToString(digest(data))))
			p.server.File(folder+file+".sha1", []byte("0000000000000000000000000000000000000000"))
		}
	}
	publish()
	manifest(here, name+" = \"1.76.0\"\n")
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins[name]["1.76.0"]
	f := v.Files["protoc-gen-grpc-java-1.76.0-osx-x86_64.exe"]
	if v.Source != "http" || v.Trust != "checksum-file" || f.URL != p.server.URL+folder+"osx-x86_64.exe" || f.SHA256 != hexSum(files["osx-x86_64.exe"]) ||
		f.Integrity != "sha512-"+base64.StdEncoding.EncodeToString(digest(files["osx-x86_64.exe"])) ||
		v.Platforms["macos-x86_64"].Binary != name || v.Platforms["windows-x86_64"].Binary != name+".exe" || v.Platforms["windows-aarch64"].Emulate != "windows-x86_64" {
		t.Errorf("%+v", v)
	}
	first := p.read("plugins.lock.toml")
	p.ok("update", name)
	p.ok("update", "--verify")
	p.ok("check", "--upstream")
	if got := p.read("plugins.lock.toml"); got != first {
		t.Errorf("locked again:\n%s\nbefore:\n%s", got, first)
	}
	files["osx-x86_64.exe"] = []byte(macX64 + "!")
	publish()
	p.fails(fault.Integrity, []string{"SECURITY", "osx-x86_64"}, "update", name)

	// Another artifact, by a person's entry: SHA-256 where there is no SHA-512,
	// and what is no digest is refused.
	entry := "acme = { version = \"2.0\", source = \"maven:com.acme.x:gen\", binary = \"protoc-gen-acme\" }\n"
	manifest(here, entry)
	const acme = "/maven/com/acme/x/gen/2.0/gen-2.0-"
	for file, data := range files {
		p.server.File(acme+file, data)
		p.server.File(acme+file+".sha256", []byte(hexSum(data)+"  gen\n"))
	}
	p.ok("update")
	if v := p.locked().Plugins["acme"]["2.0"]; v.Trust != "checksum-file" || v.Files["gen-2.0-osx-x86_64.exe"].Integrity != "" {
		t.Errorf("%+v", v)
	}
	p.remove("plugins.lock.toml")
	p.server.File(acme+"osx-x86_64.exe.sha256", []byte(hexSum([]byte("other"))))
	p.fails(fault.Integrity, []string{"macos-x86_64", "is not what the registry promises"}, "update")
	p.server.File(acme+"osx-x86_64.exe.sha256", []byte("abc"))
	p.fails(fault.Upstream, []string{"holds no digest"}, "update")

	// Without a checksum that counts nothing but the first download speaks for it.
	manifest(here, strings.Replace(entry, ":gen", ":bare", 1))
	for file, data := range files {
		p.server.File(strings.ReplaceAll(acme, "gen", "bare")+file, data)
		p.server.File(strings.ReplaceAll(acme, "gen", "bare")+file+".sha1", []byte("00"))
	}
	p.ok("update")
	if v := p.locked().Plugins["acme"]["2.0"]; v.Trust != "first-use" {
		t.Errorf("trust %s", v.Trust)
	}
}
