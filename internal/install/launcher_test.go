package install

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func TestCmdLauncher(t *testing.T) {
	const cache = `C:\Users\Jürgen & 100%!\cache`
	got := cmdLauncher(cache, "abc-def/protoc-gen-x.cmd", []string{"NODE_OPTIONS"},
		[]string{cache + `\trees\abc\node.exe`, cache + `\trees\def\a%b&c\main`, `D:\50%\python.exe`, "-I", "a,b", ""})
	want := "@echo off\r\nsetlocal DisableDelayedExpansion\r\nset NODE_OPTIONS=\r\n" +
		`"%~dp0..\..\trees\abc\node.exe" "%~dp0..\..\trees\def\a%%b&c\main" "D:\50%%\python.exe" "-I" "a,b" "" %*` + "\r\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestNodeLauncher: nothing that the user says to node reaches a plugin.
func TestNodeLauncher(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	env := testenv.Program(t, "env", "true")
	launcher := filepath.Join(t.TempDir(), "launcher")
	if err := os.WriteFile(launcher, []byte(shLauncher(nodeVariables, []string{env})), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range nodeVariables {
		t.Setenv(name, "canary")
	}
	t.Setenv("KEPT", "kept")
	out, err := exec.Command(launcher).Output()
	if err != nil || bytes.Contains(out, []byte("canary")) || !bytes.Contains(out, []byte("KEPT=kept")) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestShLauncher: bytes in, bytes out, arguments and status as they are, from
// paths that a shell could misread.
func TestShLauncher(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := filepath.Join(t.TempDir(), "it's a $HOME & `x` \"y\" ü")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, launcher := filepath.Join(dir, "program"), filepath.Join(dir, "launcher")
	for name, text := range map[string]string{
		program:  "#!/bin/sh\nprintf '%s|' \"$#\" \"$@\" \"$GONE\" \"$KEPT\"\ncat\nexit 42\n",
		launcher: shLauncher([]string{"GONE"}, []string{program, "first $(x)", ""}),
	} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := []byte("\x00\xff\r\n\x1a end")
	cmd := exec.Command(launcher, "a b", "*", "")
	cmd.Env = []string{"GONE=no", "KEPT=yes", "PATH=" + os.Getenv("PATH")}
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if want := append([]byte("5|first $(x)||a b|*|||yes|"), in...); !bytes.Equal(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	if cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("%v", err)
	}
}

// TestCommand: what a plugin is called in a shell.
func TestCommand(t *testing.T) {
	t.Parallel()
	node := &lock.Entry{Name: "node", Version: "24.0.0", Locked: &lock.Version{Source: lock.Pip}}
	for _, tt := range []struct {
		name, source, binary string
		runtime              *lock.Entry
		want                 string
	}{
		{"protoc", lock.NPM, "node_modules/protoc/bin/protoc-linux-x86_64", nil, "protoc"},
		{"protoc", lock.NPM, "node_modules/protoc/bin/protoc-win64.exe", nil, "protoc"},
		{"protoc", lock.Pip, "protoc/data/bin/protoc.exe", nil, "protoc"},
		{"other", lock.NPM, "node_modules/protoc/bin/protoc-linux-x86_64", nil, "protoc-linux-x86_64"},
		{"protoc-gen-es", lock.NPM, "node_modules/x/protoc-gen-es-cli.js", node, "protoc-gen-es-cli"},
		{"protoc-gen-es", lock.NPM, "node_modules/x/protoc-gen-es", node, "protoc-gen-es"},
		{"buf", lock.HTTP, "buf-Linux", nil, "buf-Linux"},
	} {
		e := &lock.Entry{Name: tt.name, Version: "1.0.0", Locked: &lock.Version{Source: tt.source}, Runtime: tt.runtime}
		if got := Command(e, lock.Cell{Binary: tt.binary}); got != tt.want {
			t.Errorf("%s %s is called %s, want %s", tt.name, tt.binary, got, tt.want)
		}
	}
}

// TestNodeVariables: each variable that node documents (`node --help`) is decided on:
// cut by the launcher of a plugin, or left, because it says how to reach servers, which
// time it is, or how fast and in what colour, and not what a plugin writes.
func TestNodeVariables(t *testing.T) {
	left := strings.Fields(`FORCE_COLOR NO_COLOR NODE_DISABLE_COLORS NODE_NO_WARNINGS NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED NODE_USE_ENV_PROXY
		NODE_USE_SYSTEM_CA SSL_CERT_DIR SSL_CERT_FILE TZ UV_THREADPOOL_SIZE NODE_REPL_HISTORY NODE_SKIP_PLATFORM_CHECK NODE_DISABLE_COMPILE_CACHE
		NODE_PENDING_PIPE_INSTANCES HTTP_PROXY HTTPS_PROXY NO_PROXY`)
	help, err := exec.CommandContext(t.Context(), testenv.Program(t, "node"), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, listed, ok := strings.Cut(string(help), "Environment variables:")
	names := regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]+)(?:\s|$)`).FindAllStringSubmatch(listed, -1)
	if !ok || len(names) < 15 {
		t.Fatalf("node documents only %v", names)
	}
	for _, m := range names {
		if cut, stays := slices.Contains(nodeVariables, m[1]), slices.Contains(left, m[1]); cut == stays {
			t.Errorf("%s: cut %t, left %t", m[1], cut, stays)
		}
	}
}

// TestVariablesOfRules: the rules of Buck2 start Java and node without the variables
// that the launchers of fetch leave out.
func TestVariablesOfRules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "prelude", "plugins.bzl"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"_JAVA_VARIABLES": javaVariables, "_NODE_VARIABLES": nodeVariables} {
		_, rest, _ := strings.Cut(string(text), name+" = [")
		list, _, ok := strings.Cut(rest, "]")
		var got []string
		for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list, -1) {
			got = append(got, m[1])
		}
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%s is %v, of fetch %v", name, got, want)
		}
	}
}
