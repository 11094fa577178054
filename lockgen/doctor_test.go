package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/doctor"
)

// A patient is a machine for doctor: its programs, its environment, and a folder
// that it works in.
type patient struct {
	*place
	env map[string]string
	bin string
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the programs of this test are shell scripts")
	}
	p := &patient{place: newPlace(t), env: map[string]string{}, bin: t.TempDir()}
	p.env["BUCK2_PROTOBUF_CACHE_DIR"] = p.cache
	t.Setenv("PATH", p.bin)
	t.Setenv("HOME", t.TempDir())
	t.Chdir(p.dir)
	return p
}

// has puts a program on PATH that prints a line, whatever it is asked.
func (p *patient) has(name, says string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.bin, name), []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) doctor(args ...string) (status int, stdout, stderr string) {
	p.t.Helper()
	var out, talk bytes.Buffer
	status = newProgram(func(k string) string { return p.env[k] }, &out, &talk).run(context.Background(), append([]string{"doctor"}, args...))
	return status, out.String(), talk.String()
}

// says runs doctor and demands a status and parts of what it says.
func (p *patient) says(status int, parts []string, args ...string) string {
	p.t.Helper()
	got, stdout, stderr := p.doctor(args...)
	text := stdout + stderr
	if got != status {
		p.t.Errorf("doctor %v: status %d, want %d\n%s", args, got, status, text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			p.t.Errorf("doctor %v: %q is not in\n%s", args, part, text)
		}
	}
	return text
}

func (p *patient) diagnosis(status int) (d doctor.Diagnosis) {
	p.t.Helper()
	got, stdout, stderr := p.doctor("--json")
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || got != status || stderr != "" {
		p.t.Errorf("--json: status %d, want %d, %v\n%s%s", got, status, err, stdout, stderr)
	}
	if d.OK != (status == 0) {
		p.t.Errorf("status %d, ok %v", status, d.OK)
	}
	return d
}

func toolOf(d doctor.Diagnosis, name string) doctor.ToolFinding {
	for _, t := range d.Tools {
		if t.Name == name {
			return t
		}
	}
	return doctor.ToolFinding{}
}

// locks writes a lock with one plugin of each of the kinds, and node where it is
// asked for.
func (p *patient) locks(kinds ...string) {
	p.t.Helper()
	sum := strings.Repeat("a", 64)
	text := "schema = 1\n"
	cells := func(binary, more string) (s string) {
		for _, name := range lock.PlatformNames() {
			s += name + " = { binary = \"" + binary + "\"" + more + " }\n"
		}
		return s
	}
	tree := `, tree = "` + sum + `"`
	for _, kind := range kinds { // in the order of their names
		switch kind {
		case lock.Cargo:
			text += "\n[plugins.a-crate.\"0.4.0\"]\nsource = \"cargo\"\npackage = \"a-crate\"\ntrust = \"registry\"\n\n[plugins.a-crate.\"0.4.0\".files]\n\"a-crate-0.4.0.crate\" = { name = \"a-crate\", version = \"0.4.0\", sha256 = \"" + sum + "\", size = 1 }\n\n[plugins.a-crate.\"0.4.0\".platforms]\n" + cells("bin/a", "")
		case "python":
			text += "\n[plugins.c-python.\"1.0\"]\nsource = \"pip\"\npackage = \"c-python\"\npython = [\"3.11\", \"3.12\"]\nprogram = \"c-python\"\nentry = \"c:main\"\ntrust = \"registry\"\n\n[plugins.c-python.\"1.0\".files]\n\"c_python-1.0-py3-none-any.whl\" = { sha256 = \"" + sum + "\", size = 1 }\n\n[plugins.c-python.\"1.0\".platforms]\n" + cells("c/main.py", tree)
		case lock.Pip:
			text += "\n[plugins.b-wheel.\"1.0\"]\nsource = \"pip\"\npackage = \"b-wheel\"\ntrust = \"registry\"\n\n[plugins.b-wheel.\"1.0\".files]\n\"b_wheel-1.0-py3-none-any.whl\" = { sha256 = \"" + sum + "\", size = 1 }\n\n[plugins.b-wheel.\"1.0\".platforms]\n" + cells("b", tree)
		}
	}
	p.write("plugins.lock.toml", text)
}

func TestDoctor(t *testing.T) {
	p := newPatient(t)
	p.says(0, []string{"lock  none here or above, so nothing is needed yet", "folder      " + p.cache, "proxy  none set", "no .buckconfig here or above"})

	p.locks(lock.Cargo, lock.Pip)
	text := p.says(7, []string{
		"bad   cargo", "needed by a-crate 0.4.0 (compiles it)", "cargo is not on PATH", "hint: install rustup",
		"bad   pip", "needed by b-wheel 1.0 (names the index)",
		"error: this machine does not meet the requirements: cargo, rustc, pip", "hint: install rustup (rustup.rs), then run: rustup default stable; then run lockgen doctor again",
	})
	if strings.Contains(text, "bun") {
		t.Errorf("what nobody needs is talked about:\n%s", text)
	}
	d := p.diagnosis(7)
	if cargo := toolOf(d, "cargo"); cargo.State != "bad" || len(cargo.NeededBy) != 1 || cargo.Least != "1.78" || cargo.Hint == "" {
		t.Errorf("%+v", cargo)
	}
	if bun := toolOf(d, "bun"); bun.State != "-" || len(bun.NeededBy) != 0 {
		t.Errorf("%+v", bun)
	}
	if filepath.Base(d.Lock) != "plugins.lock.toml" || len(d.Tools) < 13 {
		t.Errorf("%+v", d)
	}

	p.has("cargo", "cargo 1.77.9 (abc)")
	p.has("rustc", "rustc 1.95.0 (abc)")
	p.has("python3", "pip 25.0 from x (python 3.12)")
	p.says(7, []string{"bad   cargo   1.77.9 " + filepath.Join(p.bin, "cargo"), "too old: 1.78 or later is required, which reads a Cargo.lock of version 4", "hint: rustup update stable", "hint: rustup update stable\n"})
	p.has("cargo", "cargo 1.100.0 (abc)")
	d = p.diagnosis(0)
	if cargo := toolOf(d, "cargo"); cargo.State != "ok" || cargo.Version != "1.100.0" || cargo.Path != filepath.Join(p.bin, "cargo") {
		t.Errorf("%+v", cargo)
	}
	// A tool that nobody needs may be too old, or broken.
	p.has("go", "go1.20.1")
	p.has("uv", "hello")
	if d = p.diagnosis(0); toolOf(d, "go").State != "note" || toolOf(d, "uv").State != "note" || toolOf(d, "uv").Why == "" {
		t.Errorf("%+v\n%+v", toolOf(d, "go"), toolOf(d, "uv"))
	}
	// With the registry in the manifest nobody needs pip.
	p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n\n[plugins]\n\n[registries]\npip = \"https://pip.example.com/simple/\"\n")
	os.Remove(filepath.Join(p.bin, "python3"))
	p.says(0, []string{"pip  https://pip.example.com/simple/", "[registries] of plugins.toml"})
	// A manager that is asked for must be there.
	p.env["BUCK2_PROTOBUF_NODE_MANAGER"] = "pnpm"
	p.says(7, []string{"needed by BUCK2_PROTOBUF_NODE_MANAGER", "hint: npm install --global pnpm\n"})
	p.env["BUCK2_PROTOBUF_NODE_MANAGER"] = "pnmp"
	p.says(2, []string{`BUCK2_PROTOBUF_NODE_MANAGER: unknown manager "pnmp"`, "hint: use one of "})
	delete(p.env, "BUCK2_PROTOBUF_NODE_MANAGER")
	p.env["BUCK2_PROTOBUF_WHEEL_MANAGER"] = "uv"
	p.says(7, []string{"needed by BUCK2_PROTOBUF_WHEEL_MANAGER"})
	delete(p.env, "BUCK2_PROTOBUF_WHEEL_MANAGER")

	p.write("plugins.toml", "node-manager = \"bun\"\nplatforms = [\"linux-x86_64\"]\n\n[plugins]\n")
	p.says(7, []string{"needed by node-manager of plugins.toml", "hint: npm install --global bun"})
	p.write("plugins.lock.toml", "schema = 1\n[")
	p.says(3, []string{"plugins.lock.toml"})
}

func TestDoctorPython(t *testing.T) {
	p := newPatient(t)
	p.locks("python")
	p.has("python3", "cpython\n3.10\n/usr/bin/python3")
	p.says(7, []string{"bad   python", "needed by c-python 1.0 (runs on Python 3.11, 3.12)", "it needs CPython 3.11, 3.12, and none was found"})
}

func TestDoctorManager(t *testing.T) {
	p := newPatient(t)
	p.has("cargo", "cargo 1.95.0 (abc)")
	p.has("buck2", "buck2 d5f0e457312e806e00194d31d7e6c7534e0e366c <build-id>")
	p.says(0, []string{"cargo 1.95.0 " + filepath.Join(p.bin, "cargo") + "\n"}, "--manager", "cargo", "--min-version", "1.70.0")
	p.says(0, nil, "--manager", "cargo")
	p.says(7, []string{"error: cargo 1.95.0: too old: 1.100 or later is required", "hint: rustup update stable"}, "--manager", "cargo", "--min-version", "1.100")
	p.says(7, []string{"error: uv: uv is not on PATH", "hint: "}, "--manager", "uv")
	p.says(7, []string{`cannot tell whether "d5f0`}, "--manager", "buck2")
	p.says(2, []string{`unknown tool "carg"`, "did you mean cargo?"}, "--manager", "carg")
	p.says(2, []string{`--min-version "new" is not a version`}, "--manager", "cargo", "--min-version", "new")
	p.says(2, []string{"--min-version needs --manager"}, "--min-version", "1.0")
	var f doctor.ToolFinding
	status, stdout, stderr := p.doctor("--json", "--manager", "cargo", "--min-version", "1.100")
	if err := json.Unmarshal([]byte(stdout), &f); err != nil || status != 7 || stderr != "" || f.State != "bad" || f.Version != "1.95.0" || f.Least != "1.100" {
		t.Errorf("status %d, %+v, %v, %s", status, f, err, stderr)
	}
}

func TestDoctorNetwork(t *testing.T) {
	p := newPatient(t)
	cert := p.path("cert.pem")
	p.write("cert.pem", "")
	p.env["HTTPS_PROXY"] = "http://me:secret@proxy.example.com:3128"
	p.env["http_proxy"] = "me:secret@proxy.example.com:3128"
	p.env["NO_PROXY"] = "localhost,.example.com"
	p.env["SSL_CERT_FILE"] = cert
	text := p.says(0, []string{"HTTPS_PROXY    http://***@proxy.example.com:3128", "NO_PROXY       localhost,.example.com"})
	if strings.Contains(text, "secret") {
		t.Errorf("a password is shown:\n%s", text)
	}
	p.env["NODE_EXTRA_CA_CERTS"] = p.path("gone.pem")
	p.says(7, []string{"npm cannot read its certificates", "hint: unset NODE_EXTRA_CA_CERTS, or set it to an existing file"})
}

func TestDoctorCache(t *testing.T) {
	p := newPatient(t)
	p.write("thesis.tex", "")
	p.env["BUCK2_PROTOBUF_CACHE_DIR"] = p.dir
	p.says(7, []string{"is not a cache of buck2-protobuf", "hint: name the cache with --cache-dir or BUCK2_PROTOBUF_CACHE_DIR"})
	gone := filepath.Join(t.TempDir(), "not", "yet")
	p.env["BUCK2_PROTOBUF_CACHE_DIR"] = gone
	p.says(0, []string{"it is created on first use", "free space", "reflink"})
	if _, err := os.Stat(filepath.Dir(gone)); err == nil {
		t.Error("doctor made the cache")
	}
	p.write("file", "")
	p.env["BUCK2_PROTOBUF_CACHE_DIR"] = filepath.Join(p.path("file"), "cache")
	p.says(7, []string{"bad"})
}

func TestDoctorBuck2(t *testing.T) {
	p := newPatient(t)
	for _, dir := range []string{".buckconfig.d", "platforms", "below"} {
		if err := os.Mkdir(p.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.write(".buckroot", "")
	p.write("below/.buckconfig", "[buck2]\n  digest_algorithms = MD5\n") // of a cell, not of the project
	p.write(".buckconfig", "[cells]\n  root = .\n[build]\n  execution_platforms = root//platforms:exec\n[buck2]\n# digest_algorithms = SHA1\n  digest_algorithms = BLAKE3, \\\n    SHA1\n[buck2_protobuf]\n  node_manager = none\n")
	p.write(".buckconfig.d/10", "[buck2_protobuf]\n  cache_dir = /var/cache/elsewhere\n")
	p.write(".buckconfig.local", "[buck2]\n  sqlite_materializer_state = false\n")
	p.write("platforms/BUCK", "exec(name = \"exec\", local_enabled = False)\n")
	t.Chdir(p.path("below"))
	p.says(0, []string{
		"ok    project                            " + p.dir,
		"note  [buck2] digest_algorithms          BLAKE3, SHA1", "without this setting, every new daemon downloads",
		"note  [buck2] sqlite_materializer_state  false",
		"note  [build] execution_platforms        root//platforms:exec", "but no platform has local_enabled = True",
		"note  [buck2_protobuf] cache_dir         /var/cache/elsewhere", "hint: export BUCK2_PROTOBUF_CACHE_DIR=/var/cache/elsewhere",
		"ok    [buck2_protobuf] node_manager      none",
		"note  unzip                              not on PATH",
		"note  buck2", "note  go",
	})
	p.write("platforms/BUCK", "exec(name = \"exec\", local_enabled = True)\n")
	p.write(".buckconfig.local", "[buck2]\n  digest_algorithms = BLAKE3,SHA256\n  materializations = all\n")
	p.says(0, []string{"ok    [buck2] digest_algorithms", "has local_enabled = True in ", "off, for materializations = all"})
	if d := p.diagnosis(0); len(d.Buck2) < 7 {
		t.Errorf("%+v", d.Buck2)
	}
}
