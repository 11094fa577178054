package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// snapshot is every file of the place, with what shows that somebody wrote it.
func (p *place) snapshot() map[string]string {
	p.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(p.dir, func(name string, _ os.DirEntry, err error) error {
		info, err2 := os.Lstat(name)
		if err != nil || err2 != nil {
			return fmt.Errorf("%w %w", err, err2)
		}
		files[name] = fmt.Sprint(info.Mode(), info.ModTime(), info.Size())
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// dry runs a command with --dry-run and then without. The first writes nothing, and
// says on stdout the differences that the second makes; their statuses are one.
func (p *place) dry(class fault.Class, args ...string) (talk string) {
	p.t.Helper()
	before := p.snapshot()
	names := []string{"plugins.toml", "plugins.lock.toml", ".gitattributes", "ours"}
	was := map[string][]byte{}
	for _, name := range names {
		if data, err := os.ReadFile(p.path(name)); err == nil {
			was[name] = data
		}
	}
	status, stdout, talk := p.run(append(slices.Clone(args), "--dry-run")...)
	if status != int(class) {
		p.t.Errorf("%v --dry-run: status %d, want %d\n%s%s", args, status, class, stdout, talk)
	}
	if after := p.snapshot(); !maps.Equal(before, after) {
		p.t.Errorf("%v --dry-run has written: %v, before: %v", args, after, before)
	}
	if status, _, text := p.run(args...); status != int(class) {
		p.t.Fatalf("%v: status %d, want %d\n%s", args, status, class, text)
	}
	want := ""
	for _, name := range names {
		w := files.Write{Name: p.path(name), Before: was[name], After: []byte(p.read(name))}
		if len(w.After) > 0 && w.Changes() {
			want += files.Diff(w)
		}
	}
	if stdout != want {
		p.t.Errorf("%v --dry-run printed\n%s\nand what it does is\n%s", args, stdout, want)
	}
	return talk
}

// TestDryRun: every command that writes can be asked what it would write.
func TestDryRun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, version := range []string{"1.2.0", "1.3.0"} {
		p.server.File("/dl/tool-"+version+"-linux-aarch64.tar.gz", toolTar(linuxARM))
		p.server.File("/dl/other-"+version+"-linux-aarch64.tar.gz", toolTar(linuxARM))
	}
	entry := func(name, versions string) string {
		return name + " = { " + versions + ", source = \"" + p.server.URL + "/dl/" + name + "-{version}-{os}-{arch}.tar.gz\", binary = \"tool\" }\n"
	}
	manifest := func(entries string) {
		p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n\n[plugins]\n"+entries)
	}
	one := entry("tool", `version = "1.2.0"`) + entry("other", `version = "1.2.0"`)
	manifest(one)
	p.ok("update")
	first := p.read("plugins.lock.toml")
	for _, tt := range []struct {
		entries string
		class   fault.Class
		args    []string
		says    []string
	}{
		{one, 0, []string{"add", "tool@1.3.0"}, []string{"would lock tool 1.3.0", "would write ", "nothing was written"}},
		{one, 0, []string{"update", "tool@1.3.0"}, []string{"would lock tool 1.3.0", "would drop tool 1.2.0"}},
		{entry("tool", `version = "1.3.0"`), 0, []string{"update"}, []string{"would lock tool 1.3.0", "would drop other 1.2.0"}},
		{one, 0, []string{"update"}, []string{"is up to date; nothing was downloaded"}},
		{one, 0, []string{"remove", "tool"}, []string{"would drop tool 1.2.0"}},
		{one, 0, []string{"upgrade"}, []string{"is up to date"}},
		{one, fault.Upstream, []string{"add", "tool@99.0.0"}, []string{"tool 99.0"}},
		{one, fault.Usage, []string{"add", "nothing-like-it"}, []string{"unknown plugin"}},
		{one, fault.Usage, []string{"remove", "nothing-like-it"}, []string{"does not ask for"}},
	} {
		manifest(tt.entries)
		p.write("plugins.lock.toml", first)
		says(t, p.dry(tt.class, tt.args...), tt.says...)
	}
	manifest(one)
	p.write("plugins.lock.toml", first)
	stdout, _ := p.ok("remove", "tool", "--json", "--dry-run")
	for _, part := range []string{`"dry_run": true`, `"written": false`, `"tool 1.2.0"`, `-tool = { version = \"1.2.0\"`} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%s is not in %s", part, stdout)
		}
	}
	if err := os.Chmod(p.path("plugins.lock.toml"), 0o444); err != nil {
		t.Fatal(err)
	}
	p.dry(fault.Machine, "remove", "tool")
}

// TestDryRunFresh: also of files that are not there yet.
func TestDryRunFresh(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.fromEnvironment()
	p.publishProtoc("30.2")
	talk := p.dry(0, append([]string{"add", "protoc"}, twoPlatforms...)...)
	says(t, talk, "would write ", "plugins.toml and ", ".gitattributes", "nothing was written")
	if strings.Contains(talk, "in a BUCK file") {
		t.Errorf("what comes next is said of what is not there:\n%s", talk)
	}
}

// TestDryMerge: git's merge driver shows what it would write, and tells of conflicts.
func TestDryMerge(t *testing.T) {
	t.Parallel()
	p := five(t)
	base := p.read("plugins.lock.toml")
	p.write("base", base)
	for _, tt := range []struct {
		class        fault.Class
		ours, theirs string
	}{
		{0, bumped(base, "protoc", "30.2", "31.0"), bumped(base, "ts-proto", "2.7.2", "2.8.0")},
		{fault.Lock, bumped(base, "protoc", "30.2", "31.0"), bumped(base, "protoc", "30.2", "32.0")},
	} {
		p.write("ours", tt.ours)
		p.write("theirs", tt.theirs)
		p.dry(tt.class, "merge-driver", p.path("base"), p.path("ours"), p.path("theirs"))
	}
}

// TestDryMirror: what a mirror lacks is named and counted, and nothing is pushed.
func TestDryMirror(t *testing.T) {
	t.Parallel()
	p := newMirrored(t)
	to := filepath.Join(t.TempDir(), "mirror")
	stdout, talk := p.ok("mirror", "--to", "oci-layout:"+to, "--dry-run")
	if _, err := os.Stat(to); err == nil {
		t.Error("something was pushed")
	}
	for _, part := range []string{"tool-1.2.0-linux-aarch64.tar.gz\n", "protoc-30.2\n", "bundle-all\n"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is not in:\n%s", part, stdout)
		}
	}
	p.server.Forget()
	dry := p.pushed("--to", "oci-layout:"+to, "--dry-run")
	if n := p.server.Count(""); n > 0 {
		t.Errorf("%d requests", n)
	}
	wet := p.pushed("--to", "oci-layout:"+to)
	if dry.Pushed != wet.Pushed || dry.Bytes != wet.Bytes || dry.Present != wet.Present || !slices.Equal(dry.Tags, wet.Tags) || dry.Pushed == 0 {
		t.Errorf("dry %+v\nwet %+v", dry, wet)
	}
	says(t, talk, fmt.Sprintf("has 0 and lacks %d (", dry.Pushed), "nothing was pushed")
	if _, talk := p.ok("mirror", "--to", "oci-layout:"+to, "--dry-run"); !strings.Contains(talk, "lacks 0 ") {
		t.Errorf("%s", talk)
	}
	// A tag that is somebody else's is told, as without.
	p.mirrored(`"linux-aarch64"`, "")
	p.ok("update")
	if _, talk := p.ok("mirror", "--to", "oci-layout:"+to, "--dry-run"); !strings.Contains(talk, "lists other files and is not changed") {
		t.Errorf("%s", talk)
	}
}

// TestDryOutput: what writes a result into a file tells whether that would change it.
func TestDryOutput(t *testing.T) {
	t.Parallel()
	p := five(t)
	out := p.path("result")
	for _, args := range [][]string{{"report", "--html", out}, {"sbom", "--output", out}, {"sbom", "--format", "spdx", "--output", out}} {
		dry := func(class fault.Class, want string) {
			t.Helper()
			before := p.snapshot()
			status, stdout, talk := p.run(append(slices.Clone(args), "--dry-run")...)
			if status != int(class) || stdout != "" || !strings.Contains(talk, want) {
				t.Errorf("%v: status %d, want %d\n%s%s", args, status, class, stdout, talk)
			}
			if after := p.snapshot(); !maps.Equal(before, after) {
				t.Errorf("%v --dry-run has written: %v, before: %v", args, after, before)
			}
		}
		os.Remove(out)
		dry(0, "would create "+out+" (")
		p.ok(args...)
		dry(0, out+" is up to date; nothing was written")
		p.write("result", "another")
		dry(0, "would replace "+out+" (")
		if err := os.Chmod(out, 0o444); err != nil {
			t.Fatal(err)
		}
		dry(fault.Machine, out)
		if status, _, _ := p.run(args...); status != int(fault.Machine) {
			t.Errorf("%v: status %d", args, status)
		}
		if err := os.Chmod(out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
