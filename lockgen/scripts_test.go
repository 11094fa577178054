package main

import (
	"context"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// newRunning is a place with protoc-gen-prost, of which two crates run code when it
// is compiled.
func newRunning(t *testing.T) *place {
	t.Helper()
	p, _ := newCargoPlace(t)
	p.server.Crate(fake.Crate{Name: "loud", Version: "1.0.0", Files: map[string]string{
		"build.rs":   mainFile,
		"Cargo.toml": "[package]\nname = \"loud\"\nversion = \"1.0.0\"\nedition = \"2021\"\nauthors = [\"Ann Author <ann@example.com>\", \"Bob\"]\nrepository = \"https://example.com/loud\"\n",
	}})
	p.server.Crate(fake.Crate{Name: "derive", Version: "2.0.0", Extra: "\n[lib]\nproc-macro = true\n"})
	p.server.Crate(fake.Crate{Name: "protoc-gen-prost", Version: "0.5.0", Files: map[string]string{"src/main.rs": mainFile},
		Deps: []fake.CrateDep{{Name: "loud", Req: "^1"}, {Name: "derive", Req: "^2"}}})
	p.server.Crate(fake.Crate{Name: "protoc-gen-prost", Version: "0.5.1", Files: map[string]string{"src/main.rs": mainFile}})
	p.cargoManifest("[plugins] # ours\n")
	return p
}

const consented = "[plugins] # ours\nprotoc-gen-prost = \"0.5.0\"\n\n[policy]\nbuild-scripts = [\"protoc-gen-prost\"]\n"

// answered runs lockgen on a terminal where somebody answers.
func (p *place) answered(answer string, args ...string) (status int, talk string) {
	p.t.Helper()
	p.answer = strings.NewReader(answer)
	defer func() { p.answer = nil }()
	status, stdout, talk := p.run(args...)
	return status, stdout + talk
}

// TestConsent: a plugin whose crates run code is added after a yes, or with a flag;
// whose code it is, is said before.
func TestConsent(t *testing.T) {
	p := newRunning(t)
	refused := []string{"runs code of 2 of its crates", "derive-2.0.0, which does not say by whom; loud-1.0.0 by Ann Author, Bob", "add --allow-build-scripts to lockgen add", `build-scripts = ["protoc-gen-prost"]`}
	p.fails(fault.Policy, refused, "add", "protoc-gen-prost@0.5.0", "--no-smoke")

	before := p.read("plugins.toml")
	for _, no := range []string{"n\n", "\n", "", "yesterday\n"} {
		if status, talk := p.answered(no, "add", "protoc-gen-prost@0.5.0"); status != int(fault.Policy) || !strings.Contains(talk, "no consent to run code of protoc-gen-prost; nothing was written") {
			t.Errorf("%q: status %d\n%s", no, status, talk)
		}
		p.asBefore(before, "")
	}
	status, talk := p.answered("Yes\n", "add", "protoc-gen-prost@0.5.0")
	if status != 0 || !strings.HasSuffix(p.read("plugins.toml"), consented) {
		t.Fatalf("status %d\n%s\n%s", status, talk, p.read("plugins.toml"))
	}
	says(t, talk, "compiling protoc-gen-prost runs code of 2 crates, here and wherever it is compiled:\n      derive-2.0.0, which does not say by whom\n      loud-1.0.0 by Ann Author, Bob\n    allow this, and record it in [policy]? [y/N]",
		"added protoc-gen-prost to build-scripts of [policy]", "locked protoc-gen-prost 0.5.0")
	if strings.Count(talk, "runs code of") != 1 {
		t.Errorf("asked twice:\n%s", talk)
	}
	p.ok("check")

	// Nobody is asked for what is consented to already, or runs nothing.
	p.ok("update", "--verify")
	p.ok("add", "protoc-gen-prost@0.5.1")
	p.cargoManifest("[plugins] # ours\n")
	p.ok("add", "protoc-gen-prost@0.5.1", "--allow-build-scripts")
	if strings.Contains(p.read("plugins.toml"), "policy") {
		t.Errorf("consent to nothing:\n%s", p.read("plugins.toml"))
	}

	// The flag, where nobody can be asked.
	p.cargoManifest("[plugins] # ours\n")
	p.write("plugins.lock.toml", "schema = 1\n")
	_, talk = p.ok("add", "protoc-gen-prost@0.5.0", "--allow-build-scripts", "--dry-run")
	says(t, talk, "loud-1.0.0 by Ann Author, Bob", "nothing was written")
	stdout, _ := p.ok("add", "protoc-gen-prost@0.5.0", "--allow-build-scripts", "--json")
	if !strings.HasSuffix(p.read("plugins.toml"), consented) || !strings.HasPrefix(stdout, "{") {
		t.Errorf("%s\n%s", stdout, p.read("plugins.toml"))
	}
	p.ok("check")
	// Also for what somebody wrote by hand.
	p.cargoManifest("[plugins] # ours\nprotoc-gen-prost = \"0.5.0\"\n")
	p.fails(fault.Policy, refused[:2], "update", "protoc-gen-prost")
	p.ok("update", "protoc-gen-prost", "--allow-build-scripts")
	if !strings.HasSuffix(p.read("plugins.toml"), consented) {
		t.Errorf("%s", p.read("plugins.toml"))
	}
}

// TestConsentInterrupted: who is asked can end it.
func TestConsentInterrupted(t *testing.T) {
	t.Parallel()
	p := newRunning(t)
	p.env = nil // to know when it asks
	ctx, cancel := context.WithCancel(t.Context())
	p.answer = reads(func() { cancel(); select {} })
	before := p.read("plugins.toml")
	status, _, talk := p.runUntil(ctx, "add", "protoc-gen-prost@0.5.0")
	if status != int(fault.Interrupted) || !strings.Contains(talk, "interrupted; nothing was changed") {
		t.Errorf("status %d\n%s", status, talk)
	}
	p.asBefore(before, "")
}

// reads is a reader that does something else.
type reads func()

func (r reads) Read([]byte) (int, error) {
	r()
	return 0, nil
}
