package proc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func TestSaidVersion(t *testing.T) {
	for said, want := range map[string]string{
		"cargo 1.95.0 (f2d3ce0bd 2026-03-21)\n":         "1.95.0",
		"rustc 1.96.0-nightly (aaaaaaaaa 2026-03-21)\n": "1.96.0-nightly",
		"11.19.1\n":                          "11.19.1",
		"v20.20.2\n":                         "20.20.2",
		"go1.26.8\n":                         "1.26.8",
		"go1.27-devel_abc1234 Tue\n":         "1.27-devel_abc1234",
		"go version go1.26rc1 linux/amd64\n": "1.26rc1",
		"Python 3.14.0rc1\n":                 "3.14.0rc1",
		"pip 23.2.1 from /home/x/site-packages/pip (python 3.11)\n":      "23.2.1",
		"git version 2.47.1.windows.1\n":                                 "2.47.1.windows.1",
		"git version 2.39.5 (Apple Git-154)\n":                           "2.39.5",
		"uv 0.9.2 (abc 2026-01-01)\nmore\n":                              "0.9.2",
		"buck2 2026-06-11-e822b9b031aa\n":                                "2026-06-11-e822b9b031aa",
		"buck2 d5f0e457312e806e00194d31d7e6c7534e0e366c <build-id>\n":    "d5f0e457312e806e00194d31d7e6c7534e0e366c",
		"buck2 25f0e457312e806e00194d31d7e6c7534e0e366c <build-id>\n":    "25f0e457312e806e00194d31d7e6c7534e0e366c",
		"Python was not found; run without arguments to install it from": "",
		"": "",
	} {
		if got := SaidVersion(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

func TestCompareToolVersions(t *testing.T) {
	// Each is older than the next.
	for _, rising := range [][]string{
		{"1.9.9", "1.10.0", "1.70.0", "1.78.0", "1.100.0", "2"},
		{"11.9.0", "11.10", "11.10.1", "12.0.0-pre.0", "12.0.0"},
		{"3.13", "3.14.0.dev1", "3.14.0a1", "3.14.0b2", "3.14.0rc1", "3.14.0rc9", "3.14.0rc10", "3.14.0"},
		{"1.21", "1.26rc1", "1.26.0", "1.26.8", "1.27-devel_abc", "1.27"},
		{"2025-11-14", "2025-11-15-0123456789ab", "2026-06-11"},
		{"1.22.22", "4.0.0-rc.1", "4.9.1"},
	} {
		for i := 1; i < len(rising); i++ {
			if c, ok := CompareToolVersions(rising[i-1], rising[i]); c >= 0 || !ok {
				t.Errorf("%s < %s: got %d, %v", rising[i-1], rising[i], c, ok)
			}
			if c, ok := CompareToolVersions(rising[i], rising[i-1]); c <= 0 || !ok {
				t.Errorf("%s > %s: got %d, %v", rising[i], rising[i-1], c, ok)
			}
		}
	}
	for _, same := range [][2]string{{"1.70", "1.70.0"}, {"2.47.1.windows.1", "2.47.1"}, {"23.2.1.post1", "23.2.1"}, {"1.2.3+build", "1.2.3"}, {"01.2", "1.2"}} {
		if c, ok := CompareToolVersions(same[0], same[1]); c != 0 || !ok {
			t.Errorf("%s = %s: got %d, %v", same[0], same[1], c, ok)
		}
	}
	for _, no := range []string{"", "x", "d5f0e457312e806e00194d31d7e6c7534e0e366c", "-1", "99999999999.0"} {
		if _, ok := CompareToolVersions(no, "1.0"); ok {
			t.Errorf("%q counts as a version", no)
		}
	}
}

// script puts a program into dir that prints text and ends with status.
func script(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// onlyPath makes a folder the only one of PATH.
func onlyPath(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	return dir
}

func TestFind(t *testing.T) {
	dir, ctx := onlyPath(t), t.Context()
	tool, err := Find(ctx, "pnpm")
	if fault.Of(err) != fault.Machine || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "pnpm is not on PATH") || fault.Hint(err) != "npm install --global pnpm" {
		t.Errorf("missing: %+v, %v, hint %q", tool, err, fault.Hint(err))
	}
	script(t, dir, "pnpm", `[ "$1 $COREPACK_ENABLE_NETWORK" = "--version 0" ] && [ -z "$(echo *)" -o "$(echo *)" = "*" ] && echo 10.4.1`)
	tool, err = Find(ctx, "pnpm")
	if err != nil || tool.Version != "10.4.1" || tool.Path != filepath.Join(dir, "pnpm") || tool.Name != "pnpm" {
		t.Errorf("pnpm: %+v, %v", tool, err)
	}
	if yes, ok := tool.AtLeast("9"); !yes || !ok {
		t.Errorf("10.4.1 is at least 9: %v %v", yes, ok)
	}
	if yes, ok := tool.AtLeast("10.10"); yes || !ok {
		t.Errorf("10.4.1 is at least 10.10: %v %v", yes, ok)
	}
	script(t, dir, "uv", `echo hello`)
	if _, err := Find(ctx, "uv"); fault.Of(err) != fault.Machine || !strings.Contains(err.Error(), `does not print a version but "hello`) {
		t.Errorf("no version: %v", err)
	}
	if _, err := Find(ctx, "make"); fault.Of(err) != fault.Usage || !strings.Contains(fault.Hint(err), "cargo, rustc, npm, yarn") {
		t.Errorf("unknown: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Find(cancelled, "pnpm"); fault.Of(err) != fault.Interrupted {
		t.Errorf("cancelled: %v", err)
	}
}

// TestFindPython: the first of several that works counts, as where python3 is a stub.
func TestFindPython(t *testing.T) {
	dir, ctx := onlyPath(t), t.Context()
	script(t, dir, "python3", `echo "Python was not found"; exit 9009`)
	if _, err := Find(ctx, "python"); fault.Of(err) != fault.Machine || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no python on PATH works") {
		t.Errorf("broken: %v", err)
	}
	script(t, dir, "python", `[ "$*" = "-I -m pip --version" ] && echo "pip 25.1 from x (python 3.12)" && exit; echo Python 3.12.1`)
	if tool, err := Find(ctx, "python"); err != nil || tool.Version != "3.12.1" {
		t.Errorf("python: %+v, %v", tool, err)
	}
	if tool, err := Find(ctx, "pip"); err != nil || tool.Version != "25.1" || strings.Join(tool.Args, " ") != "-I -m pip" {
		t.Errorf("pip: %+v, %v", tool, err)
	}
}

// TestRecipes: every tool can be asked, installed on any machine and renewed.
func TestRecipes(t *testing.T) {
	all := recipes()
	if len(all) < 13 {
		t.Fatalf("%d tools only", len(all))
	}
	for _, r := range all {
		if len(r.programs) == 0 || len(r.ask) == 0 || r.install[""] == "" || r.renew == "" || (r.least == "") != (r.why == "") {
			t.Errorf("%s: %+v", r.name, r)
		}
		if _, ok := canonical(r.least); r.least != "" && !ok {
			t.Errorf("%s: least version %q", r.name, r.least)
		}
	}
}

// TestFindReal asks the tools that this machine has.
func TestFindReal(t *testing.T) {
	testenv.Real(t, "it starts every client")
	tool, err := Find(context.Background(), "go")
	if err != nil {
		t.Fatal(err) // the test itself was built by it
	}
	if yes, ok := tool.AtLeast("1.26"); !yes || !ok {
		t.Errorf("%+v", tool)
	}
	for _, name := range Tools() {
		tool, err := Find(context.Background(), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, broken := testenv.Find(name); err != nil && broken != nil {
			t.Logf("%s does not run: %v", name, broken)
			continue
		}
		if err != nil || tool.Version == "" || !filepath.IsAbs(tool.Path) {
			t.Errorf("%s: %+v, %v", name, tool, err)
		}
		t.Logf("%+v", tool)
	}
}

// TestToolEnvironments: what a child sees is built from nothing.
func TestToolEnvironments(t *testing.T) {
	const canary = "canary-of-the-user"
	for _, name := range []string{"NODE_OPTIONS", "NPM_CONFIG_SCRIPT_SHELL", "npm_config_node_options", "YARN_YARN_PATH", "PNPM_CONFIG_PNPMFILE", "BUN_OPTIONS",
		"BASH_ENV", "LD_PRELOAD", "https_proxy", "ALL_PROXY", "NPM_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"} {
		t.Setenv(name, canary)
	}
	yarn, err := recipeOf("yarn")
	if err != nil {
		t.Fatal(err)
	}
	for what, env := range map[string][]string{"a shim": ShimEnv(), "a version": yarn.env(), "an installation": PrivateEnv("home")} {
		for _, kv := range env {
			if strings.HasSuffix(kv, canary) {
				t.Errorf("%s sees %s", what, kv)
			}
		}
	}
}
