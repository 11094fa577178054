package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fake/signed"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/provenance"
)

// attested is where a source has what is signed about a file.
func attested(s *stand, key string, f lock.File) string {
	switch {
	case s.kind == lock.NPM:
		return "/-/npm/v1/attestations/" + f.Name + "@" + f.Version
	case s.kind == lock.Pip:
		return "/integrity/" + key
	}
	return "/api/repos/acme/tool/attestations/sha256:" + f.SHA256
}

// attest publishes statements about files that an identity signed; about says another
// digest than that of the file, or is "".
func (r *ring) attest(a *signed.Authority, files map[string]lock.File, identity, predicate, about string) {
	r.t.Helper()
	for key, f := range files {
		bundle := a.Bundle(identity, signed.GitHub, signed.Statement(predicate, key, "sha256", cmp.Or(about, f.SHA256)))
		text := fmt.Appendf(nil, `{"attestations": [{"bundle": %s}]}`, bundle)
		if r.stand.kind == lock.Pip {
			text = signed.PyPI(r.t, bundle)
		}
		at := attested(r.stand, key, f)
		r.server.File(at, text)
		r.server.Fault(at)
	}
}

// TestSigned: who signed the files of a version is verified and locked, told, and may
// not change or be lost in silence.
func TestSigned(t *testing.T) {
	t.Parallel()
	const evil = "https://github.com/evil/tool/.github/workflows/release.yml@refs/tags/v1"
	slsa := provenance.Predicates[0]
	for _, s := range stands(t) {
		name := cmp.Or(s.name, s.kind)
		if name != lock.NPM && name != lock.Pip && name != "github" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.need != nil {
				s.need(t)
			}
			row := testenv.Rows(t, "who signed a new version, where the locked one is signed: locked, or exit 6 or 5 and the lock untouched", name)
			r := s.newRing(t)
			a := signed.New(t)
			none := r.read("plugins.lock.toml")
			files := map[string]map[string]lock.File{}
			for _, version := range []string{"1.3.0", "1.2.0"} {
				r.stand.publish(r, release{version: version, salt: "a", platforms: []string{arm}})
				r.asks(version, "", arm)
				r.ok("update")
				files[version] = r.locked().Plugins["tool"][version].Files
			}
			if text := r.read("plugins.lock.toml"); strings.Contains(text, "signer") {
				t.Fatalf("without roots:\n%s", text)
			}
			unruled := r.read("plugins.toml")
			const policy = "\n[policy]\ntrusted-root = \"roots.json\"\n"
			r.write("plugins.toml", unruled+policy)
			if none == "" {
				if err := os.Remove(r.path("plugins.lock.toml")); err != nil {
					t.Fatal(err)
				}
			} else {
				r.write("plugins.lock.toml", none)
			}
			r.fails(fault.Usage, []string{"trusted-root of [policy]", "cosign trusted-root create"}, "update")
			r.write("roots.json", "{}")
			r.fails(fault.Usage, []string{"roots.json, trusted-root of [policy]", "cosign trusted-root create"}, "update")
			r.write("roots.json", string(a.Root(false)))
			r.attest(a, files["1.2.0"], signed.Workflow, slsa, "")
			r.ok("update")
			r.ok("check")
			const signer = "https://github.com/acme/tool/.github/workflows/release.yml via " + signed.GitHub
			v := r.locked().Plugins["tool"]["1.2.0"]
			for key, f := range v.Files {
				if f.Signer != signer || v.Trust != "provenance" {
					t.Errorf("%s: trust %s, signer %q", key, v.Trust, f.Signer)
				}
			}
			if out, _ := r.ok("explain", "tool"); !strings.Contains(out, "trust: provenance") || !strings.Contains(out, "signed by: "+signer) {
				t.Errorf("explained as\n%s", out)
			}
			manifest, locked := r.read("plugins.toml"), r.read("plugins.lock.toml")

			next := files["1.3.0"]
			fail := func(f fake.Fault) func() {
				return func() {
					for key, file := range next {
						r.server.Fault(attested(s, key, file), f)
					}
				}
			}
			by := func(of *signed.Authority, identity, predicate, about string) func() {
				return func() { r.attest(of, next, identity, predicate, about) }
			}
			other := strings.Repeat("0", 63) + "1"
			for _, tt := range []struct {
				name  string
				set   func()
				class fault.Class
				parts []string
			}{
				{"the same workflow", by(a, signed.Workflow, slsa, ""), 0, nil},
				{"nobody", fail(fake.Status(404)), fault.Policy, []string{"its trust would drop from provenance (tool 1.2.0 in the lock)", "lockgen remove tool"}},
				{"another repository", by(a, evil, slsa, ""), fault.Policy, []string{"is signed by https://github.com/evil/tool via", "1.2.0 in the lock by https://github.com/acme/tool via", "lockgen remove tool"}},
				{"another workflow", by(a, "https://github.com/Acme/Tool/.github/workflows/other.yml@refs/heads/main", slsa, ""), 0, nil},
				{"of another file", by(a, signed.Workflow, slsa, other), fault.Integrity, []string{"the signed statement about", "does not verify"}},
				{"an unknown authority", by(signed.New(t), signed.Workflow, slsa, ""), fault.Integrity, []string{"does not verify", "cosign trusted-root create"}},
				{"a bill of materials", by(a, signed.Workflow, "https://spdx.dev/Document", ""), fault.Policy, []string{"trust would drop"}},
				{"an error", fail(fake.Status(500)), fault.Upstream, []string{"who made", "500"}},
				{"a login page", fail(fake.HTML()), fault.Upstream, []string{"who made", "HTML"}},
				{"garbage", fail(fake.Answer("application/json", `{"attestations": [{"bundle": 1`)), fault.Upstream, []string{"who made", "malformed"}},
			} {
				t.Run(tt.name, func(t *testing.T) {
					if s.slow && tt.name != "nobody" && tt.name != "the same workflow" {
						testenv.OnlyFull(t, "all are tried with github")
					}
					row(t)
					r.t = t
					r.write("plugins.toml", manifest)
					r.write("plugins.lock.toml", locked)
					tt.set()
					if tt.class != 0 {
						r.fails(tt.class, tt.parts, "add", "tool@1.3.0")
						return
					}
					r.ok("add", "tool@1.3.0")
					r.ok("check")
					if v := r.locked().Plugins["tool"]["1.3.0"]; v == nil || v.Trust != "provenance" {
						t.Errorf("locked %+v", v)
					}
				})
			}
			r.t = t
			// Without the roots nothing is asked, and what was known is not forgotten.
			by(a, signed.Workflow, slsa, "")()
			r.write("plugins.toml", unruled)
			r.write("plugins.lock.toml", locked)
			r.server.Forget()
			r.fails(fault.Policy, []string{"trust would drop"}, "add", "tool@1.3.0")
			for key, f := range next {
				if n := r.server.Count(attested(s, key, f)); n > 0 {
					t.Errorf("%d requests for what is signed about %s", n, key)
				}
			}
		})
	}
}

// TestSignedLater: what was locked before there was trusted-root is not asked who signed
// it, so check and update say the command that asks.
func TestSignedLater(t *testing.T) {
	t.Parallel()
	r := gitHubStand().newRing(t)
	r.locks()
	a := signed.New(t)
	r.attest(a, r.locked().Plugins["tool"]["1.2.0"].Files, signed.Workflow, provenance.Predicates[0], "")
	r.write("roots.json", string(a.Root(false)))
	r.write("plugins.toml", r.read("plugins.toml")+"\n[policy]\ntrusted-root = \"roots.json\"\n")
	for _, command := range []string{"check", "update"} {
		_, talk := r.ok(command)
		says(t, talk, "no file in the lock has a signer", "lockgen update --all")
	}
	r.ok("update", "--all")
	v := r.locked().Plugins["tool"]["1.2.0"]
	for key, f := range v.Files {
		if f.Signer == "" || v.Trust != "provenance" {
			t.Errorf("%s: trust %s, signer %q", key, v.Trust, f.Signer)
		}
	}
	for _, command := range []string{"check", "update"} {
		if _, talk := r.ok(command); strings.Contains(talk, "signer") {
			t.Errorf("%s says\n%s", command, talk)
		}
	}
}
