package pip

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// TestPipGuard: what our index never says, pip is told here all the same: that a
// wheel needs something at an address. Nothing foreign runs and nothing foreign
// is reached, whoever asks for it.
func TestPipGuard(t *testing.T) {
	p := realPip(t)
	home := cleanPipEnv(t)
	canary := filepath.Join(home, "canary")
	setup := fmt.Sprintf("open(%q, 'w')\n", canary)
	sdist := fake.Tarball("sdx-1.0", map[string]string{
		"setup.py": setup, "PKG-INFO": "Metadata-Version: 2.1\nName: sdx\nVersion: 1.0\n",
		"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"evil\"\nbackend-path = [\".\"]\n", "evil.py": setup,
	})
	legacy := fake.Tarball("sdx-1.0", map[string]string{"setup.py": setup, "PKG-INFO": "Metadata-Version: 2.1\nName: sdx\nVersion: 1.0\n"})
	fake.Write(t, filepath.Join(home, "sdx-1.0.tar.gz"), string(sdist))
	fake.Write(t, filepath.Join(home, "old", "sdx-1.0.tar.gz"), string(legacy))
	fake.Write(t, filepath.Join(home, "dir", "setup.py"), setup)
	for _, tool := range []string{"git", "hg", "svn", "bzr", "python", "python3"} {
		fake.Write(t, filepath.Join(home, "bin", tool), "#!/bin/sh\necho > "+canary+"\n")
		if err := os.Chmod(filepath.Join(home, "bin", tool), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached.Add(1); w.Write(sdist) }))
	defer other.Close()

	forms := []string{
		"sdx @ {index}/sdx-1.0.tar.gz", "sdx @ {index}/old/sdx-1.0.tar.gz", "sdx @ " + other.URL + "/sdx-1.0.tar.gz",
		"sdx @ file://" + filepath.ToSlash(home) + "/sdx-1.0.tar.gz", "sdx @ file://" + filepath.ToSlash(home) + "/old/sdx-1.0.tar.gz",
		"sdx @ file://" + filepath.ToSlash(home) + "/dir",
		"sdx @ git+file://" + filepath.ToSlash(home) + "/dir", "sdx @ git+" + other.URL + "/dir", "sdx @ hg+" + other.URL + "/dir",
		"sdx @ svn+" + other.URL + "/dir", "sdx @ bzr+" + other.URL + "/dir",
	}
	s, err := proc.NewLoopback(func(base, path string, w http.ResponseWriter, r *http.Request) {
		path = "/" + path
		var n int
		switch _, err := fmt.Sscanf(path, "/%d/", &n); {
		case strings.HasSuffix(path, "/old/sdx-1.0.tar.gz"):
			w.Write(legacy)
		case strings.HasSuffix(path, ".tar.gz"):
			w.Write(sdist)
		case err != nil || n >= len(forms):
			http.NotFound(w, r)
		case strings.HasSuffix(path, ".whl"):
			w.Write(fake.Wheel{Name: "gen", Version: "1.0", Requires: []string{strings.ReplaceAll(forms[n], "{index}", base)}}.Bytes())
		case strings.HasSuffix(path, "/gen/"):
			w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
			fmt.Fprintf(w, `{"meta":{"api-version":"1.0"},"name":"gen","files":[{"filename":"gen-1.0-py3-none-any.whl","url":"%s/%d/gen-1.0-py3-none-any.whl","hashes":{}}]}`, base, n)
		default:
			http.NotFound(w, r)
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	scratch := t.TempDir()
	if err := os.Mkdir(filepath.Join(scratch, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []bool{true, false} {
		var runs []pipRun
		for i := range forms {
			run, err := newPipRun(scratch, i, Target{Platform: fake.Platform(t, "linux-x86_64"), Python: "3.12"}, fmt.Sprintf("%s/%d/simple/", s.Base, i), []string{"gen==1.0"})
			if err != nil {
				t.Fatal(err)
			}
			runs = append(runs, run)
		}
		// Without a network of its own too: other systems have none.
		var answer pipAnswer
		if cut {
			a, err := p.ask(t.Context(), "pip", scratch, s, runs)
			if err != nil {
				t.Fatal(err)
			}
			answer = *a
		} else {
			job, err := json.Marshal(map[string]any{"port": s.Port, "runs": runs})
			if err != nil {
				t.Fatal(err)
			}
			fake.Write(t, filepath.Join(scratch, "job.json"), string(job))
			out, err := p.command("pip", scratch, 0, []string{"-c", pipReport, filepath.Join(scratch, "job.json")}).Run(t.Context())
			if err != nil || json.Unmarshal(out, &answer) != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		refused := strings.Join(answer.Refused, "\n")
		for i, run := range answer.Runs {
			if run.Code == 0 {
				t.Errorf("%s: pip is content", forms[i])
			}
		}
		if len(answer.Refused) < len(forms)-2 {
			t.Errorf("refused %d times for %d forms:\n%s", len(answer.Refused), len(forms), refused)
		}
		if _, err := os.Stat(canary); err == nil {
			t.Errorf("foreign code ran; refused was:\n%s", refused)
		}
		if n := reached.Load(); n > 0 {
			t.Errorf("another server was reached %d times", n)
		}
		t.Logf("cut off %v: refused %d times for %d forms", cut, len(answer.Refused), len(forms))
	}
}
