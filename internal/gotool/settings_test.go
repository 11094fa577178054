package gotool

import (
	"encoding/pem"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// The environment of every run of Go holds nothing of the user's but the way to
// servers, and where passwords are.
func TestGoEnv(t *testing.T) {
	scratch := t.TempDir()
	for _, name := range append(fake.Variables, "GOROOT", "LD_PRELOAD", "EDITOR", "SECRET", "XDG_CONFIG_HOME") {
		t.Setenv(name, "canary")
	}
	t.Setenv("NETRC", "mine")
	t.Setenv("https_proxy", "http://mine")
	t.Setenv("SSL_CERT_FILE", "mine")
	env := Config{Proxy: "https://proxy.invalid", Auth: "netrc"}.downloadEnv(scratch, filepath.Join(scratch, "mod"))
	for _, kv := range env {
		if strings.HasSuffix(kv, "=canary") || strings.HasPrefix(kv, "HOME=") || strings.Contains(kv, "127.0.0.1:9") {
			t.Errorf("%s is there", kv)
		}
	}
	for _, want := range []string{
		"NETRC=mine", "https_proxy=http://mine", "SSL_CERT_FILE=mine", "GOPROXY=https://proxy.invalid", "GOAUTH=netrc", "GOVCS=*:off",
		"GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "PATH=" + filepath.Join(scratch, "empty"),
	} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not there", want)
		}
	}
}

func TestGoAuth(t *testing.T) {
	for value, want := range map[string][2]string{
		"": {"", ""}, "netrc": {"netrc", ""}, "off": {"off", ""}, "git /home/me": {"off", "git"},
		"netrc; helper --x": {"netrc", "helper"}, "/bin/helper x;netrc": {"netrc", "/bin/helper"},
	} {
		if own, program := goAuth(value); own != want[0] || program != want[1] {
			t.Errorf("%q: %q, %q", value, own, program)
		}
	}
}

// TestGoConfigProxies: direct does nothing behind a proxy.
func TestGoConfigProxies(t *testing.T) {
	g := realGo(t)
	t.Setenv("GOENV", "off")
	for proxy, want := range map[string]string{
		"https://a.invalid,direct":                    "https://a.invalid",
		"https://a.invalid|direct":                    "https://a.invalid",
		"https://a.invalid, https://b.invalid|direct": "https://a.invalid,https://b.invalid",
		"https://a.invalid,direct,https://b.invalid":  "https://a.invalid",
		"https://a.invalid|https://b.invalid,off":     "https://a.invalid|https://b.invalid",
		"https://a.invalid,off,https://b.invalid":     "https://a.invalid",
		",https://a.invalid,,":                        "https://a.invalid",
		"file:///srv/go":                              "file:///srv/go",
	} {
		t.Setenv("GOPROXY", proxy)
		if c, err := g.Config(t.Context(), ""); err != nil || c.Proxy != want {
			t.Errorf("%s: %q, %v; want %q", proxy, c.Proxy, err, want)
		}
	}
	// The file of go env -w counts, and a variable more.
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("GOPROXY=https://file.invalid\nGOPRIVATE=corp.invalid\nGOFLAGS=-toolexec=/nonexistent\nGOAUTH=helper\nGOVCS=*:all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOENV", file)
	t.Setenv("GOPROXY", "")
	c, err := g.Config(t.Context(), "")
	if err != nil || c.Proxy != "https://file.invalid" || c.NoProxy != "corp.invalid" || c.NoSumDB != "corp.invalid" || c.Auth != "off" {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("GOPROXY", "https://a.invalid")
	if c, err = g.Config(t.Context(), ""); err != nil || c.Proxy != "https://a.invalid" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestGoLogin: what lets go mod download reach a proxy lets us; programs do not
// run for it.
func TestGoLogin(t *testing.T) {
	g := realGo(t)
	s := fake.NewTLS(t)
	s.GoLogin("me", "s3cret-canary")
	s.Module(fake.Module{Path: "example.com/m", Version: "v1.0.0"})
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Setenv("SSL_CERT_FILE", write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))))
	// Go compares with the host and its port.
	netrc := "machine " + strings.TrimPrefix(s.URL, "https://") + " login me password s3cret-canary\n"
	other := write("other", "machine other.invalid login me password s3cret-canary\n")
	home := filepath.Dir(write("home/.netrc", netrc))
	trace := filepath.Join(dir, "trace")
	program := write("helper", "#!/bin/sh\necho ran >> "+trace+"\n")
	for _, name := range []string{"GOPRIVATE", "GONOPROXY", "GONOSUMDB"} {
		t.Setenv(name, "")
	}
	t.Setenv("GOENV", "off")
	t.Setenv("GOSUMDB", "off")
	t.Setenv("PATH", dir)
	row := testenv.Rows(t, "a login of a module proxy in the settings of Go or in a netrc file: Go gets it, or says what is missing, and no program runs", "")
	inURL := strings.Replace(s.GoProxy(), "//", "//me:s3cret-canary@", 1)
	for _, tt := range []struct{ name, proxy, netrc, home, auth, says string }{
		{"in the address", inURL, "", dir, "", ""},
		{"in the netrc file", s.GoProxy() + ",direct", write("netrc", netrc), dir, "", ""},
		{"in that of the home", s.GoProxy(), "", home, "netrc", ""},
		{"beside a program", s.GoProxy(), "", home, "netrc; " + program + " x", ""},
		{"switched off", s.GoProxy(), "", home, "off", "401 Unauthorized"},
		{"for another host", s.GoProxy(), other, dir, "", "401 Unauthorized"},
		{"by a program", s.GoProxy(), "", home, program + " x", "the program "},
		{"by git", s.GoProxy(), "", home, "git " + dir, "GOAUTH has the program git"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row(t)
			t.Setenv("GOPROXY", tt.proxy)
			t.Setenv("NETRC", tt.netrc)
			t.Setenv("HOME", tt.home)
			t.Setenv("GOAUTH", tt.auth)
			c, err := g.Config(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			_, zip := g.Download(t.Context(), c, t.TempDir(), "example.com/m", "1.0.0")
			_, mod := g.DownloadMod(t.Context(), c, t.TempDir(), "example.com/m", "1.0.0")
			for _, err := range []error{zip, mod} {
				switch {
				case tt.says == "" && err != nil:
					t.Error(err)
				case tt.says != "" && (fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "canary")):
					t.Errorf("%v, want %q", err, tt.says)
				}
			}
			if _, err := os.Stat(trace); err == nil {
				t.Error("the helper ran")
			}
		})
	}
}

// TestGoVariables: of every variable that this machine's Go documents or prints,
// those of goSettings count, by what [Config] makes of them, and no other one reaches
// a run with the network.
func TestGoVariables(t *testing.T) {
	testenv.Real(t, "it starts go")
	g, err := Find(t.Context())
	if err != nil {
		t.Skip(err)
	}
	help, err := exec.CommandContext(t.Context(), g.path, "help", "environment").Output()
	if err != nil {
		t.Fatal(err)
	}
	env, err := exec.CommandContext(t.Context(), g.path, "env").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t([A-Z][A-Z0-9_]+)(?:, ([A-Z][A-Z0-9_]+))*$|^(?:set )?([A-Z][A-Z0-9_]+)=`).FindAllStringSubmatch(string(help)+string(env), -1) {
		for _, name := range m[1:] {
			names[name] = name != ""
		}
	}
	if delete(names, ""); len(names) < 50 || !names["GOFLAGS"] || !names["GOVCS"] || !names["GOTOOLCHAIN"] {
		t.Fatalf("Go documents only %v", slices.Sorted(maps.Keys(names)))
	}
	scratch := t.TempDir()
	for name := range names {
		t.Setenv(name, "canary")
	}
	for _, kv := range (Config{Proxy: "https://proxy.invalid"}).downloadEnv(scratch, "cache") {
		if strings.Contains(kv, "canary") {
			t.Errorf("%s is there", kv)
		}
	}
	for name, value := range map[string]string{"GOPROXY": "https://proxy.invalid,direct", "GONOPROXY": "a", "GOPRIVATE": "b", "GOSUMDB": "off", "GONOSUMDB": "c", "GOAUTH": "netrc", "GOENV": "off"} {
		t.Setenv(name, value)
	}
	c, err := g.Config(t.Context(), "")
	if want := (Config{Proxy: "https://proxy.invalid", NoProxy: "a", SumDB: "off", NoSumDB: "c", Auth: "netrc"}); err != nil || c != want {
		t.Errorf("%+v, %v, expected %+v", c, err, want)
	}
}
