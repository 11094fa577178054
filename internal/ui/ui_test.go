package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestFail(t *testing.T) {
	err := fault.Errorf(fault.Integrity, "run: lockgen check", "ts-proto 2.7.2: \x1b[31mgot a\nwant b")
	for _, tt := range []struct {
		name   string
		json   bool
		err    error
		status int
		stdout string
		stderr string
	}{
		{"nothing", false, nil, 0, "", ""},
		{"text", false, err, 5, "", "fetch: error: ts-proto 2.7.2: \\u001b[31mgot a\n    want b\nfetch: hint: run: lockgen check\nfetch: help: https://github.com/birbparty/buck2-protobuf/blob/main/docs/troubleshooting.md#wrong-bytes\n"},
		{"our fault", false, errors.New("x"), 1, "", "fetch: error: x\nfetch: hint: this is a bug in fetch; please report it\nfetch: help: https://github.com/birbparty/buck2-protobuf/blob/main/docs/troubleshooting.md#a-fault-of-ours\n"},
		{"json", true, err, 5, `"class": "integrity"`, ""},
		{"json, help", true, fault.About(fault.AboutCache, err), 5, `"help": "https://github.com/birbparty/buck2-protobuf/blob/main/docs/troubleshooting.md#damaged-cache"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			u := New("fetch", &stdout, &stderr)
			u.JSON = tt.json
			if got := u.Fail(tt.err); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			if tt.json && !json.Valid(stdout.Bytes()) {
				t.Errorf("not JSON: %s", stdout.String())
			}
			if !strings.Contains(stdout.String(), tt.stdout) || (tt.stdout == "" && stdout.Len() > 0) {
				t.Errorf("stdout %q, want %q", stdout.String(), tt.stdout)
			}
			if stderr.String() != tt.stderr {
				t.Errorf("stderr %q, want %q", stderr.String(), tt.stderr)
			}
		})
	}
}

func TestQuiet(t *testing.T) {
	var stdout, stderr bytes.Buffer
	u := New("fetch", &stdout, &stderr)
	u.Quiet = true
	u.Say("talk")
	u.Detail("detail")
	tr := u.Transfer(false)
	arrived := tr.Expect(t.Context(), "file", 10)
	tr.Step("a step")
	tr.Add(10)
	arrived(10)
	tr.Tell(t.Context())
	tr.Done()
	if stderr.Len() > 0 || stdout.Len() > 0 {
		t.Errorf("quiet printed %q %q", stdout.String(), stderr.String())
	}
	u.Warn("careful")
	if got := stderr.String(); got != "fetch: warning: careful\n" {
		t.Errorf("got %q", got)
	}
}

// TestColor: --color decides; auto asks NO_COLOR, then CLICOLOR_FORCE, then whether
// there is a terminal, which there is none of here.
func TestColor(t *testing.T) {
	const plain, colored = "fetch: error: x\nfetch: hint: y\n", "fetch: \x1b[1;31merror: \x1b[0mx\nfetch: \x1b[1;36mhint: \x1b[0my\n"
	for _, tt := range []struct{ when, none, force, want string }{
		{"always", "", "", colored},
		{"always", "1", "0", colored},
		{"never", "", "1", plain},
		{"auto", "", "", plain},
		{"auto", "", "0", plain},
		{"auto", "", "1", colored},
		{"auto", "1", "1", plain},
	} {
		t.Setenv("NO_COLOR", tt.none)
		t.Setenv("CLICOLOR_FORCE", tt.force)
		var stdout, stderr bytes.Buffer
		u := New("fetch", &stdout, &stderr)
		u.SetColor(tt.when)
		u.Fail(fault.Errorf(fault.Usage, "y", "x"))
		if got := stderr.String(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
