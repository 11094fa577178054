package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestUnknownAuthority: a server whose certificate nobody here believes, which is
// what a proxy that opens TLS looks like, is told at once by every kind of source,
// with what makes the client of that kind believe it; doctor finds it; and with
// that it works.
func TestUnknownAuthority(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stands(t) {
		own := map[string]string{
			"GOFLAGS": "", "CARGO_HTTP_CAINFO": "", "NODE_EXTRA_CA_CERTS": "", "PIP_CERT": "", "PIP_CONFIG_FILE": os.DevNull,
			"npm_config_cafile": "", "npm_config_ca": "", "npm_config_userconfig": filepath.Join(t.TempDir(), "user"), "npm_config_globalconfig": filepath.Join(t.TempDir(), "global"),
			"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": "",
		}
		maps.Copy(own, s.env)
		s.env = own
		variable := map[string]string{lock.NPM: "NODE_EXTRA_CA_CERTS", lock.Pip: "PIP_CERT", lock.Cargo: "CARGO_HTTP_CAINFO", lock.Go: "SSL_CERT_FILE", lock.HTTP: "SSL_CERT_FILE"}[s.kind]
		if variable == "" || s.name == "github" {
			continue // the same client as http
		}
		t.Run(s.kind, func(t *testing.T) {
			t.Parallel()
			if s.need != nil {
				s.need(t)
			}
			r := s.newRing(t)
			r.server = fake.NewTLS(t)
			if s.base != nil {
				s.base(r.place)
			}
			s.publish(r, release{version: "1.2.0", salt: "a", platforms: []string{arm, win}})
			r.asks("1.2.0", "", arm)
			// A process of its own: Go reads SSL_CERT_FILE once in each.
			run := func(env string, args ...string) (status int, said string) {
				cmd := exec.CommandContext(t.Context(), self, args...)
				cmd.Dir = r.dir
				cmd.Env = append(r.environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+r.cache, env)
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				_ = cmd.Run()
				return cmd.ProcessState.ExitCode(), out.String()
			}
			status, said := run("X=", "update")
			if status != int(fault.Upstream) || !strings.Contains(said, "export "+variable+"=FILE") || !strings.Contains(said, "troubleshooting.md#proxy") || !strings.Contains(said, "certificate") {
				t.Errorf("status %d\n%s", status, said)
			}
			if strings.Contains(said, "attempts") || strings.Contains(said, "tries remaining") {
				t.Errorf("with other attempts?\n%s", said)
			}
			// doctor asks all clients each time.
			doctor := s.kind != lock.HTTP && (s.kind == lock.NPM || testenv.Full())
			if doctor {
				status, said = run("X=", "doctor")
				if status != int(fault.Machine) || !strings.Contains(said, "certificate") || !strings.Contains(said, "export "+variable+"=FILE") {
					t.Errorf("doctor: status %d\n%s", status, said)
				}
			}

			file := filepath.Join(t.TempDir(), "authority.pem")
			if err := os.WriteFile(file, []byte(r.server.CertificatePEM()), 0o600); err != nil {
				t.Fatal(err)
			}
			if status, said = run(variable+"="+file, "update"); status != 0 {
				t.Errorf("with %s: status %d\n%s", variable, status, said)
			}
			if doctor {
				if _, said = run(variable+"="+file, "doctor"); strings.Contains(said, "export "+variable) {
					t.Errorf("doctor with %s:\n%s", variable, said)
				}
			}
		})
	}
}
