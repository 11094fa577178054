package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	gomodule "golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

const trial = "v0.9.1-rc.1"

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-05-04T03:02:01Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-05-04T03:02:01Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// tagged is a repository with one commit of the files of this checkout, as they
// are now, and the tag of a trial release.
func tagged(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "one")
	n := 0
	for name := range strings.SplitSeq(git(t, "../..", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		info, err := os.Lstat(filepath.Join("../..", name))
		if name == "" || errors.Is(err, fs.ErrNotExist) { // removed, not yet committed
			continue
		}
		data, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "CHANGELOG.md" {
			data = bytes.Replace(data, []byte("## Unreleased\n"), []byte("## Unreleased\n\n## "+trial[1:]+" - 2026-05-04\n\n- A trial.\n"), 1)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n < 300 {
		t.Fatalf("%d files only", n)
	}
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "a trial")
	git(t, dir, "tag", trial)
	return dir
}

func needGo(t *testing.T) {
	t.Helper()
	testenv.Real(t, "it compiles both programs")
	if v := runtime.Version(); v != toolchain {
		t.Skipf("this is %s, releases are made by %s", v, toolchain)
	}
}

// TestReproducible: two clones on two paths make equal bytes, which are what a
// release is to hold.
func TestReproducible(t *testing.T) {
	testenv.OnlyFull(t, "it compiles everything for six platforms, twice; TestReproducibleHere does so for this one")
	reproduces(t, lock.PlatformNames(), true)
}

// TestReproducibleHere is TestReproducible for the platform of this machine, with what
// Go has compiled before.
func TestReproducibleHere(t *testing.T) {
	testenv.OnlyFull(t, "as a release has it, all packages once more take a minute of two processors")
	host, ok := lock.Host()
	if !ok {
		t.Skip("no release is for this machine")
	}
	reproduces(t, []string{host.Name}, false)
}

// reproduces makes a release for some platforms out of two clones; anew, each compiles
// everything itself.
func reproduces(t *testing.T, platforms []string, anew bool) {
	t.Helper()
	needGo(t)
	first := tagged(t)
	second := filepath.Join(t.TempDir(), "elsewhere", "a longer path")
	git(t, ".", "clone", "-q", first, second)
	commit := strings.TrimSpace(git(t, first, "rev-parse", "HEAD"))

	dist := make([]string, 2)
	for i, dir := range []string{first, second} {
		if dist[i] = filepath.Join(t.TempDir(), "dist"); anew {
			t.Setenv("GOCACHE", t.TempDir())
		}
		if err := run(t.Context(), filepath.Join(dir, "release"), []string{"--version", trial, "--out", dist[i], "--platform", strings.Join(platforms, ",")}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	one, two := files(t, dist[0]), files(t, dist[1])
	for name := range one {
		if !bytes.Equal(one[name], two[name]) {
			t.Errorf("%s differs", name)
		}
	}
	want := []string{"SHA256SUMS", "buck2-protobuf-0.9.1-rc.1.cdx.json"}
	for _, name := range platforms {
		p, _ := lock.LookupPlatform(name)
		form := ".tar.gz"
		if p.OS == "windows" {
			form = ".zip"
		}
		alone, folder := "fetch-0.9.1-rc.1-"+name+p.Exe(), "buck2-protobuf-0.9.1-rc.1-"+name
		want = append(want, alone, folder+form)
		packed := unpack(t, one[folder+form], form)
		if !bytes.Equal(packed[folder+"/fetch"+p.Exe()], one[alone]) {
			t.Errorf("%s is not the one in the archive", alone)
		}
		for _, program := range programs {
			info, err := buildinfo.Read(bytes.NewReader(packed[folder+"/"+program+p.Exe()]))
			if err != nil {
				t.Fatal(err)
			}
			text := info.String()
			for _, part := range []string{"\tgithub.com/birbparty/buck2-protobuf\t" + trial + "\t", "vcs.revision=" + commit, "GOOS=" + p.GOOS + "\n", "GOARCH=" + p.GOARCH + "\n", "CGO_ENABLED=0", "-trimpath=true"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s %s: no %q in\n%s", name, program, part, text)
				}
			}
			if bytes.Contains(packed[folder+"/"+program+p.Exe()], []byte(first)) {
				t.Errorf("%s %s knows where it was built", name, program)
			}
			for name, part := range map[string]string{
				"completions/" + program + ".bash": "complete -F _" + program, "completions/_" + program: "#compdef " + program,
				"completions/" + program + ".fish": "complete", "completions/" + program + ".ps1": "Register-ArgumentCompleter",
				"man/man1/" + program + ".1": ".TH " + strings.ToUpper(program), "LICENSE": "Apache License", "CHANGELOG.md": "A trial.", "README.md": "lockgen",
			} {
				if !strings.Contains(string(packed[folder+"/"+name]), part) {
					t.Errorf("%s: no %q in %s", folder, part, name)
				}
			}
		}
		if p.GOOS == runtime.GOOS && p.GOARCH == runtime.GOARCH {
			file := filepath.Join(dist[0], alone)
			said, err := exec.Command(file, "--version").CombinedOutput()
			if err != nil || !strings.Contains(string(said), "fetch "+trial+" (") || !strings.Contains(string(said), "commit "+commit[:12]) {
				t.Errorf("--version: %v %s", err, said)
			}
		}
	}
	var got []string
	for name := range one {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("made %q\nwant %q", got, want)
	}
	checkSums(t, one)
	checkBill(t, string(one["buck2-protobuf-0.9.1-rc.1.cdx.json"]), one, platforms)
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if got[f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// unpack reads an archive whose files are sorted, of one time, and executable
// where they are programs.
func unpack(t *testing.T, data []byte, form string) map[string][]byte {
	t.Helper()
	got, names := map[string][]byte{}, []string{}
	take := func(name string, mode fs.FileMode, at time.Time, r io.Reader) {
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = text
		names = append(names, name)
		base := strings.TrimSuffix(name[strings.LastIndex(name, "/")+1:], ".exe")
		if want := slices.Contains(programs, base); (mode&0o111 != 0) != want || mode.Perm()&0o444 != 0o444 {
			t.Errorf("%s has mode %v", name, mode)
		}
		if want := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC); at.Sub(want).Abs() > time.Second { // zip counts in twos
			t.Errorf("%s has time %v", name, at)
		}
	}
	if form == ".zip" {
		z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			take(f.Name, f.Mode(), f.Modified, r)
		}
	} else {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			take(h.Name, h.FileInfo().Mode(), h.ModTime, r)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %q", names)
	}
	return got
}

// TestPack: both forms hold what they are given, in any order.
func TestPack(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for form, write := range map[string]func(io.Writer, string, []member, time.Time) error{".tar.gz": tarred, ".zip": zipped} {
		var packed [2][]byte
		for i := range packed {
			file := filepath.Join(t.TempDir(), "x"+form)
			members := []member{{"lockgen", []byte("l"), true}, {"man/man1/fetch.1", []byte("m"), false}, {"fetch", []byte("f"), true}}
			if i == 1 {
				slices.Reverse(members)
			}
			if err := pack(file, "folder", members, at.In(time.FixedZone("", 3600*i)), write); err != nil {
				t.Fatal(err)
			}
			var err error
			if packed[i], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		got := unpack(t, packed[0], form)
		if len(got) != 3 || string(got["folder/fetch"]) != "f" || string(got["folder/lockgen"]) != "l" || string(got["folder/man/man1/fetch.1"]) != "m" {
			t.Errorf("%s: %q", form, got)
		}
		if !bytes.Equal(packed[0], packed[1]) {
			t.Errorf("%s: order or time zone shows", form)
		}
	}
}

func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	n := 0
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if got := sha256.Sum256(files[name]); hex.EncodeToString(got[:]) != sum {
			t.Errorf("SHA256SUMS: %s", line)
		}
		n++
	}
	if n != len(files)-1 {
		t.Errorf("SHA256SUMS has %d lines for %d files", n, len(files)-1)
	}
}

func checkBill(t *testing.T, text string, files map[string][]byte, platforms []string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := testenv.CycloneDX(t).Validate(doc); err != nil {
		t.Error(err)
	}
	want := []string{`"pkg:golang/stdlib@` + strings.TrimPrefix(toolchain, "go"), `"pkg:golang/oras.land/oras-go/v2@`, `"version": "` + trial}
	for _, platform := range platforms {
		p, _ := lock.LookupPlatform(platform)
		sum := sha256.Sum256(files["fetch-0.9.1-rc.1-"+platform+p.Exe()])
		want = append(want, hex.EncodeToString(sum[:]), `"lockgen-`+platform+`"`)
	}
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("the bill has no %s", part)
		}
	}
}

// TestRefused: what is no release is refused before anything is compiled.
func TestRefused(t *testing.T) {
	t.Parallel()
	if v := runtime.Version(); v != toolchain {
		t.Skipf("this is %s, releases are made by %s", v, toolchain)
	}
	dir := filepath.Join(t.TempDir(), "checkout")
	commit := func(changelog string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), []byte(changelog), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, dir, "init", "-q", "-b", "main")
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "-q", "--allow-empty", "-m", "x")
	}
	out := filepath.Join(dir, "dist")
	refused := func(version, part string) {
		t.Helper()
		err := run(t.Context(), dir, []string{"--version", version, "--out", out}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %s", version, err, part)
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: made something: %v", version, err)
		}
	}
	const good = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-01-02\n\n### Added\n\n- This.\n\n## 0.1.0 - 2026-01-01\n\n## 0.0.1\n\n- That.\n"
	commit(good)
	refused("0.2.0", "is not of the form v1.2.3")
	refused("v0.2", "is not of the form v1.2.3")
	refused("v0.2.0+x", "is not of the form v1.2.3")
	refused("v0.3.0", "CHANGELOG.md has no 0.3.0; move what is unreleased below a heading: ## 0.3.0 - 2")
	refused("v0.2.0-rc.1", "CHANGELOG.md has no 0.2.0-rc.1")
	refused("v0.1.0", "CHANGELOG.md says nothing about 0.1.0")
	refused("v0.0.1", "CHANGELOG.md has no 0.0.1") // without a date
	refused("v0.2.0", "has not the tag v0.2.0; run: git tag v0.2.0")
	git(t, dir, "tag", "v0.2.0")
	if err := os.WriteFile(filepath.Join(dir, "new.go"), []byte("package x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("v0.2.0", "the checkout is not that of the tag:\n?? new.go")
	commit("# Changelog\n\n## 0.2.0 - 2026-01-02\n\n- This.\n")
	refused("v0.2.0", `the first section is not "## Unreleased"`)
	commit(good)
	refused("v0.2.0", "has not the tag") // which an older commit has
	git(t, dir, "tag", "-f", "v0.2.0")
	refused("v0.2.0", "LICENSE") // which is packed
	if err := run(t.Context(), dir, []string{"--version", "v0.2.0"}, io.Discard); err == nil {
		t.Error("made it nowhere")
	}
}

// TestGoInstall: go install of the module from a proxy gives both programs, which
// know their version, and so does the job for GitLab.
func TestGoInstall(t *testing.T) {
	testenv.OnlyFull(t, "it compiles all packages once more: TestAction of docs runs what a job runs")
	dir := tagged(t)
	const path = "github.com/birbparty/buck2-protobuf"
	var archive bytes.Buffer
	if err := modzip.CreateFromVCS(&archive, gomodule.Version{Path: path, Version: trial}, dir, trial, ""); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	others := http.FileServer(http.Dir(filepath.Join(strings.TrimSpace(string(cache)), "cache", "download")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, ok := strings.CutPrefix(r.URL.Path, "/"+path+"/@v/")
		switch {
		case !ok:
			others.ServeHTTP(w, r)
		case own == "list":
			fmt.Fprintln(w, trial)
		case own == trial+".info":
			fmt.Fprintf(w, `{"Version":%q,"Time":"2026-05-04T03:02:01Z"}`, trial)
		case own == trial+".mod":
			w.Write(mod)
		case own == trial+".zip":
			w.Write(archive.Bytes())
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	env := append(os.Environ(), "GOPROXY="+server.URL, "GOSUMDB=off", "GOPRIVATE=", "GONOPROXY=none", "GOFLAGS=-trimpath -modcacherw", "GOMODCACHE="+t.TempDir(), "GOCACHE="+testenv.GoCache(t), "CGO_ENABLED=0", "GOWORK=off", "GOTOOLCHAIN=local")
	bin := t.TempDir()
	for _, program := range programs {
		cmd := exec.Command("go", "install", path+"/"+program+"@"+trial)
		cmd.Dir = t.TempDir()
		cmd.Env = append(env, "GOBIN="+bin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go install: %v\n%s", err, out)
		}
		said, err := exec.Command(filepath.Join(bin, program), "--version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(said), program+" "+trial+" (") {
			t.Errorf("--version: %v %s", err, said)
		}
	}

	// The commands of ci/gitlab.yml, in an empty home and a checkout with a lock.
	if _, err := testenv.Find("bash"); err != nil {
		t.Skipf("no bash: %v", err)
	}
	job, err := os.ReadFile("../../ci/gitlab.yml")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env = append(env, "HOME="+home, "GOPATH="+filepath.Join(home, "go"), "GOBIN=")
	_, variables, _ := strings.Cut(string(job), "\n  variables:\n")
	variables, _, _ = strings.Cut(variables, "\n  rules:\n")
	for line := range strings.SplitSeq(variables, "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		env = append(env, name+"="+strings.Trim(value, `"`))
	}
	_, script, _ := strings.Cut(string(job), "\n  script:\n")
	script = strings.ReplaceAll("\n"+script, "\n    - ", "\n")
	if strings.Count(script, "lockgen") < 2 {
		t.Fatalf("script\n%s", script)
	}
	run := func() (string, error) {
		cmd := exec.Command("bash", "-eo", "pipefail", "-c", script)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil {
		t.Errorf("ci/gitlab.yml: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, lock.FileName), []byte("schema = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil || !strings.Contains(out, "lockgen: error: ") {
		t.Errorf("ci/gitlab.yml with another lock: %v\n%s", err, out)
	}
}
