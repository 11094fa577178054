package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

var hintedCommand = regexp.MustCompile(`lockgen (init|update|check)\b( [a-z0-9@.-]+)*|git (checkout|add) [^;]*`)

// follow does what a hint says, word for word.
func (p *place) follow(t *testing.T, hint string) {
	t.Helper()
	if strings.Contains(hint, "delete it") {
		if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
			t.Fatal(err)
		}
	}
	commands := hintedCommand.FindAllString(hint, -1)
	if len(commands) == 0 {
		t.Errorf("no command in the hint %q", hint)
	}
	for _, command := range commands {
		words := strings.Fields(command)
		if words[0] == "git" {
			if out, err := p.tryGit(words[1:]...); err != nil {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
			continue
		}
		if status, _, talk := p.run(words[1:]...); status != 0 {
			t.Errorf("%s: status %d\n%s", command, status, talk)
		}
	}
}

// TestHintsOfLocks: what is said about a lock that is malformed or does not fit
// mends it, when it is followed word for word; each of the ways where there are two.
func TestHintsOfLocks(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		p.server.File("/rel/"+version+"/gen", []byte(linuxARM+version))
	}
	entry := func(name, version string) string {
		return "[plugins." + name + "]\nversion = \"" + version + "\"\nsource = \"" + p.server.URL + "/rel/{version}/gen\"\nbinary = \"" + name + "\"\n"
	}
	p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n"+entry("gen-a", "1.0.0")+entry("gen-b", "1.0.0"))
	p.ok("update")
	good := p.read("plugins.lock.toml")
	p.git("init", "--quiet", "--initial-branch=main")
	p.commit("one")

	digest := regexp.MustCompile(`sha256 = "([0-9a-f]{64})"`).FindStringSubmatch(good)[1]
	replaced := func(old, new string, n int) string { return strings.Replace(good, old, new, n) }
	utf16LE := func(text string) string {
		b := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(text)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	for name, bad := range map[string]string{
		"empty":                       "",
		"cut in a table":              good[:len(good)/2],
		"cut in a string":             good[:strings.Index(good, digest)+5],
		"no schema":                   replaced("schema = 1\n", "", 1),
		"schema 0":                    replaced("schema = 1", "schema = 0", 1),
		"a schema that is a text":     replaced("schema = 1", `schema = "1"`, 1),
		"unknown key":                 replaced("schema = 1", "schema = 1\nhash = 1", 1),
		"unknown key of a file":       replaced("sha256 = ", "sha255 = ", 1),
		"a key twice":                 replaced("schema = 1", "schema = 1\nschema = 1", 1),
		"a table twice":               good + good[strings.Index(good, "[plugins."):],
		"weak hash":                   replaced(digest, digest[:40], 1),
		"no hash":                     replaced(digest, "", -1),
		"negative size":               replaced("size = ", "size = -", 1),
		"no size":                     regexp.MustCompile(`, size = \d+`).ReplaceAllString(good, ""),
		"binary that leaves":          replaced(`binary = "gen-a"`, `binary = "../gen-a"`, 1),
		"control character":           replaced(`binary = "gen-a"`, `binary = "gen\u001b-a"`, 1),
		"source that nobody knows":    replaced(`source = "http"`, `source = "ftp"`, 1),
		"URL with a password":         replaced("http://", "http://me:secret@", 1),
		"platform that nobody knows":  replaced("linux-aarch64 =", "linux-mips =", 1),
		"renamed version":             replaced(`gen-a."1.0.0"`, `gen-a."1.1.0"`, -1),
		"renamed plugin":              replaced("gen-a.", "gen-c.", -1),
		"name that is none":           replaced("gen-a.", `"Gen A".`, -1),
		"a file with two digests":     replaced(digest, strings.Repeat("0", 64), 1),
		"comment":                     replaced("schema = 1", "# mine\nschema = 1", 1),
		"spaces":                      replaced("schema = 1", "schema  = 1", 1),
		"other order":                 replaced("schema = 1\n", "", 1) + "\n",
		"line ends of Windows":        replaced("\n", "\r\n", -1),
		"byte order mark":             "\ufeff" + good,
		"UTF-16, as PowerShell pipes": utf16LE(good),
		"not UTF-8":                   replaced("gen-a", "gen-\xff", 1),
		"zero bytes":                  strings.Repeat("\x00", len(good)),
		"JSON":                        `{"schema": 1}`,
		"HTML":                        "<!DOCTYPE html>\n<title>Log in</title>\n",
	} {
		p.write("plugins.lock.toml", bad)
		text := p.fails(fault.Lock, nil, "check")
		hint := hintOf(text)
		ways := strings.Split(hint, "; or ")
		for _, way := range ways {
			p.write("plugins.lock.toml", bad)
			p.follow(t, way)
			if status, _, talk := p.run("check"); status != 0 || p.read("plugins.lock.toml") != good {
				t.Errorf("%s: %q leads to status %d\n%s\n%s", name, way, status, talk, p.read("plugins.lock.toml"))
			}
		}
		// Update replaces what it can read, and has the same to say of all else.
		p.write("plugins.lock.toml", bad)
		if status, _, talk := p.run("update"); status != 0 && hintOf(talk) != hint || status == 0 && !strings.Contains(ways[0], "lockgen update") && name != "a file with two digests" {
			t.Errorf("%s: update ends with %d, and check says %q\n%s", name, status, hint, talk)
		}
		p.write("plugins.lock.toml", good)
		if err := os.RemoveAll(p.path(".gitattributes")); err != nil {
			t.Fatal(err)
		}
		p.git("reset", "--quiet", "--hard")
	}

	// A conflict, as git leaves it: both sides moved the same lines.
	for _, side := range []string{"1.1.0", "1.2.0"} {
		p.git("checkout", "--quiet", "-b", "to-"+side, "main")
		p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n"+entry("gen-a", side)+entry("gen-b", side))
		p.ok("update")
		p.commit(side)
	}
	if out, err := p.tryGit("merge", "to-1.1.0"); err == nil {
		t.Fatalf("no conflict\n%s", out)
	}
	p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n"+entry("gen-a", "1.1.0")+entry("gen-b", "1.2.0"))
	p.follow(t, hintOf(p.fails(fault.Lock, []string{"unresolved merge"}, "check")))
	p.ok("check")

	if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
		t.Fatal(err)
	}
	p.follow(t, hintOf(p.fails(fault.Lock, []string{"does not exist"}, "check")))
	p.ok("check")
}

// hintOf is the hint in what a program said.
func hintOf(text string) string {
	_, hint, _ := strings.Cut(text, "lockgen: hint: ")
	hint, _, _ = strings.Cut(hint, "\n")
	return hint
}
