package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// nasty plays with a terminal: it colours, sets the title, reorders, hides and
// forges a line.
const nasty = "x\x1b[31m\x1b]0;t\x07\u009b\u202e\u2066\u200b\u2028\ufeff\ufe0f\U000e0041\r\nfetch: forged"

// tells runs fetch, and demands that a hostile text was shown, escaped and on no
// line of its own; that nothing else is printed raw is what fake.Speech demands of
// every run.
func (w *world) tells(status int, args ...string) {
	w.Helper()
	for _, json := range []bool{false, true} {
		w.told++
		if json {
			args = append(args, "--json")
		}
		got, stdout, stderr := w.fetch(args...)
		text := stdout + stderr
		if got != status || !strings.Contains(text, `\u202e`) || strings.Contains(text, "\nfetch: forged") {
			w.Errorf("fetch %q: status %d, want %d and the text\n%s", args, got, status, text)
			continue
		}
		w.held++
	}
}

// TestHostileText: text of servers, of the lock, of the manifest, of the command
// line and of the cache does not reach a terminal as it is, whichever command
// shows it.
func TestHostileText(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "makes every error of the program")
	w := newWorld(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	place := filepath.Join(t.TempDir(), "entry.json")
	install := func(entry string) []string {
		if err := os.WriteFile(place, []byte(entry), 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{"install", "--entry", place, "--platform", host(t), "--out", filepath.Join(t.TempDir(), "out")}
	}

	// The command line.
	for _, args := range [][]string{
		{"get", "tool\u202e"}, {"get", "tool@1\u202e"}, {"run", "tool\u202e"}, {"bundle", "b\u202e"}, {"env", "tool\u202e"}, {"env", "--bundle", "b\u202e"},
		{"get", "tool", "--platform", "linux\u202e"}, {"get", "tool", "--from", "oci://a\u202e/b"}, {"env", "--shell", "\u202e"}, {"cache", "clear", "--older-than", "1\u202e"}, {"g\u202eet"},
	} {
		if args[0] == "run" {
			status, stdout, stderr := w.fetch(args...)
			fake.Speech(t, args, status, stdout, stderr)
			continue
		}
		w.tells(2, args...)
	}

	// Servers.
	oci, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": "DENIED", "message": nasty}}})
	if err != nil {
		t.Fatal(err)
	}
	registry := fake.NewOCI(t, "")
	says := func(status int, contentType, text string) fake.Fault {
		return fake.Do(func(rw http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			rw.Header().Set("Content-Type", contentType)
			rw.WriteHeader(status)
			fmt.Fprint(rw, text)
		})
	}
	for _, path := range []string{"/files/bare-linux", "/simple/tool-wheel/"} {
		w.registry.Fault(path, says(http.StatusForbidden, "text/plain", nasty))
	}
	w.tells(4, "get", "bare")
	w.tells(4, "get", "tool")
	w.registry.Fault("/files/bare-linux", says(http.StatusForbidden, "text/plain", strings.Repeat(nasty, 1<<20/len(nasty))))
	w.tells(4, "get", "bare")
	if _, stdout, stderr := w.fetch("get", "bare"); len(stdout)+len(stderr) > 4<<10 {
		t.Errorf("a megabyte is told in %d bytes", len(stdout)+len(stderr))
	}
	w.registry.Fault("/simple/tool-wheel/", says(http.StatusOK, "application/vnd.pypi.simple.v1+json", `{"files": "`+strings.ReplaceAll(nasty, "\n", "")+`"`))
	w.fetch("get", "tool")
	w.registry.Fault("/simple/tool-wheel/")
	w.registry.Fault("/files/bare-linux", fake.Redirect(302, "https://127.0.0.1/\u202e"))
	w.fetch("get", "bare")
	w.registry.Fault("/files/bare-linux")
	registry.Fault("/v2/", fake.Do(func(rw http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		rw.WriteHeader(http.StatusForbidden)
		rw.Write(oci)
	}))
	w.fetch("get", "bare", "--from", "oci://"+registry.Host+"/acme/plugins", "-v")

	// The lock: what is unavailable says why. It is the whole lock or one entry.
	v := *w.lock.Plugins["tool"]["1.0.0"]
	v.Platforms = map[string]lock.Cell{}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: nasty}
	}
	v.Files = nil
	w.lock.Plugins["away"] = map[string]*lock.Version{"1.0.0": &v}
	w.write()
	for _, args := range [][]string{{"get", "away"}, {"run", "away"}, {"env", "away"}} {
		w.tells(7, args...)
	}
	w.tells(0, "env") // leaves it out, and says so
	entry, err := json.Marshal(w.lock.Entry("away", "1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	w.tells(7, install(string(entry))...)
	w.tells(3, install(`{"name": "x\u202e"}`)...)
	write(lock.FileName, "schema = 1\n\n[plugins.\"a\\u202e\".\"1\"]\n")
	w.tells(3, "get", "tool")
	w.write()

	// The manifest.
	text, err := os.ReadFile(filepath.Join(w.dir, manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	write(manifest.FileName, string(text)+"\n[bundles]\n\"b\\u202e\" = [\"tool\"]\n")
	w.tells(2, "bundle", "b")
	w.write()

	// The cache.
	w.must("get", "tool")
	if err := os.WriteFile(filepath.Join(w.cache, "warm", "a\u202e\x1b[31m.json"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.tells(5, "cache", "verify")
	if err := os.WriteFile(filepath.Join(w.cache, statsFile), []byte(`{"since": "`+nasty+`"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	w.fetch("stats")
	w.fetch("get", "tool")
	w.cache = filepath.Join(t.TempDir(), "cache\u202e")
	w.fails(7, []string{`\u202e`, "--json"}, "get", "bare")
	w.fetch("bundle", "b")
	w.fetch("stats")
	w.fetch("cache", "clear", "-v")
	testenv.Held(t, "hostile text of servers, locks, manifests, the cache and the command line that gets into fetch: shown escaped, by lines and by --json, raw nowhere", "", w.told, w.held)
}
