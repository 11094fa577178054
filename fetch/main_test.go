package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// scratch is a folder for all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "fetch-test-"); err != nil {
		panic(err)
	}
	testenv.Overlap()
	stop := fake.WarmPip()
	status := m.Run()
	stop()
	os.RemoveAll(scratch)
	os.Exit(status)
}

// fetchProgram is fetch, compiled once for all tests.
func fetchProgram(t *testing.T) string {
	t.Helper()
	if text, err := buildFetch(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return filepath.Join(scratch, "fetch")
}

var buildFetch = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-o", filepath.Join(scratch, "fetch"), ".").CombinedOutput()
})

// TestTable: the table of verbs is whole, and its help is not too wide.
func TestTable(t *testing.T) {
	t.Parallel()
	if err := table.Check(&app{env: func(string) string { return "" }}); err != nil {
		t.Error(err)
	}
}

// TestCommandLine: what fetch says to a command line, before anything is
// installed.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   string
		status int
		want   string // on stdout for status 0, else on stderr
	}{
		{"", 2, "install a plugin if needed, then run it"}, // the commands
		{"help", 0, "install a plugin if needed, then run it"},
		{"--help", 0, "usage: fetch COMMAND"},
		{"-h", 0, "usage: fetch COMMAND"},
		{"get --help", 0, "usage: fetch get NAME[@VERSION] [flags]"},
		{"help get", 0, "usage: fetch get NAME[@VERSION] [flags]"},
		{"get tool -h", 0, "usage: fetch get"},
		{"run --help", 0, "usage: fetch run [flags] NAME[@VERSION] [ARG…]"},
		{"cache --help", 0, "usage: fetch cache clear"},
		{"help cache", 0, "usage: fetch cache verify"},
		{"help cache clear", 0, "--older-than AGE"},
		{"--offline get --help", 0, "usage: fetch get"},
		{"--version", 0, "fetch devel (lock schema 1"},
		{"get --version", 0, "fetch devel (lock schema 1"},
		{"version", 0, "fetch devel (lock schema 1"},
		{"gte tool", 2, "did you mean get?"},
		{"nothing", 2, "commands are get, run, install"},
		{"help gte", 2, "did you mean get?"},
		{"cache", 2, "fetch cache needs one of: verify, clear"},
		{"cache vrify", 2, "did you mean verify?"},
		{"cache --repair verify x", 2, `fetch cache verify takes no arguments, got "x"`},
		{"get --repair tool", 2, "--repair is a flag of fetch cache verify"},
		{"--repair get tool", 2, "--repair is a flag of fetch cache verify"},
		{"bundle --bundle x", 2, "--bundle is a flag of fetch env"},
		{"--ofline get tool", 2, "did you mean --offline?"},
		{"get --tiemout 1s tool", 2, "did you mean --timeout?"},
		{"get tool --platform", 2, "flag needs an argument: --platform"},
		{"get tool --platform=", 2, "it is empty"},
		{"get tool --platform a --platform b", 2, "it was a before"},
		{"get tool other", 2, "run: fetch help get"},
		{"get tool -- other", 2, "get takes one plugin"},
		{"run", 2, "run: fetch help run"},
		{"run --bogus tool", 2, "unknown flag: --bogus"},
		{"install --out x", 2, "run: fetch help install"},
		{"env --bundle x y", 2, "run: fetch help env"},
		{"stats x", 2, "fetch stats takes no argument"},
		{"stats --timeout -1s", 2, "--timeout -1s is negative"},
		{"stats --timeout soon", 2, "run: fetch help stats"},
		{"stats -x", 2, "unknown shorthand flag"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(context.Background(), strings.Fields(tt.args), func(string) string { return "" }, &stdout, &stderr)
		text := stderr.String()
		if tt.status == 0 {
			text = stdout.String()
		}
		if status != tt.status || !strings.Contains(text, tt.want) || status != 0 && (!strings.Contains(text, "fetch: hint: ") || stdout.Len() > 0) {
			t.Errorf("fetch %s: status %d, want %d with %q\n%s%s", tt.args, status, tt.status, tt.want, stdout.String(), stderr.String())
		}
	}
	for args, want := range map[string]string{"version --json": `"lock_schema": 1`, "--json --version": `"go": "go`, "--json gte": `did you mean get?`, "get --json --ofline": `did you mean --offline?`} {
		var stdout, stderr bytes.Buffer
		run(context.Background(), strings.Fields(args), func(string) string { return "" }, &stdout, &stderr)
		if !json.Valid(stdout.Bytes()) || !strings.Contains(stdout.String(), want) || stderr.Len() > 0 {
			t.Errorf("fetch %s: want %s in\n%s%s", args, want, stdout.String(), stderr.String())
		}
	}
	var v cli.Version
	var stdout, stderr bytes.Buffer
	if run(context.Background(), []string{"version", "--json"}, func(string) string { return "" }, &stdout, &stderr); json.Unmarshal(stdout.Bytes(), &v) != nil || v.Version == "" || v.Schema != 1 {
		t.Errorf("version --json: %s", stdout.String())
	}
}
