package remote_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

func TestVersions(t *testing.T) {
	s := fake.New(t)
	when := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	s.Package(fake.Package{Name: "@x/a", Version: "1.0.0", Manifest: map[string]any{"deprecated": "use b"}})
	s.Package(fake.Package{Name: "@x/a", Version: "2.0.0", Released: when})
	s.Latest("@x/a", "1.0.0")
	s.Wheel(fake.Wheel{Name: "a.b", Version: "1.0", Yanked: "broken"})
	s.Wheel(fake.Wheel{Name: "a.b", Version: "1.1", Released: when})
	s.Release("a.b", "a_b-2.0.tar.gz", []byte("x"))
	c := remote.New(remote.Options{Attempts: 1})
	for _, clock := range []bool{true, false} {
		s.NoTimes(!clock)
		releases, latest, err := c.NPMVersions(t.Context(), s.URL, "@x/a")
		if err != nil || latest != "1.0.0" || len(releases) != 2 {
			t.Fatalf("%v %s %v", releases, latest, err)
		}
		for _, r := range releases {
			if old := r.Version == "1.0.0"; (r.Deprecated == "use b") != old || r.Released.Equal(when) != (clock && !old) || r.Released.IsZero() == clock {
				t.Errorf("clock %v: %+v", clock, r)
			}
		}
		for _, page := range []bool{false, true} {
			s.HTMLOnly(page)
			wheels, err := c.PyPIWheels(t.Context(), s.URL+"/simple/", "A-b")
			if err != nil || len(wheels) != 2 {
				t.Fatalf("%v %v", wheels, err)
			}
			if w := wheels[0]; w.Yanked != "broken" || w.Filename != "a_b-1.0-py3-none-any.whl" {
				t.Errorf("%+v", w)
			}
			if w := wheels[1]; w.Yanked != "" || w.Uploaded.Equal(when) != (clock && !page) {
				t.Errorf("clock %v, HTML %v: %+v", clock, page, w)
			}
		}
	}
	if n := s.Count("/@x/a"); n != 2 {
		t.Errorf("%d requests for two lists", n)
	}
	_, _, err := c.NPMVersions(t.Context(), s.URL, "nothing")
	if !errors.Is(err, fs.ErrNotExist) || fault.Of(err) != fault.Upstream {
		t.Error(err)
	}
	for _, body := range []string{"null", "[]", "{", `{"versions": 1}`, `{"versions": {"1.0.0": 7}}`} {
		s.Fault("/@x/a", fake.Answer("application/json", body))
		if _, _, err := c.NPMVersions(t.Context(), s.URL, "@x/a"); fault.Of(err) != fault.Upstream {
			t.Errorf("%s: %v", body, err)
		}
		s.Fault("/simple/a-b/", fake.Answer("application/vnd.pypi.simple.v1+json", body))
		if _, err := c.PyPIWheels(t.Context(), s.URL+"/simple/", "a-b"); fault.Of(err) != fault.Upstream {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestAllow: a server that is not allowed gets no request, neither the first nor
// one by a redirect.
func TestAllow(t *testing.T) {
	good, evil := fake.New(t), fake.New(t)
	target := evil.File("/x", []byte("x"))
	address := good.File("/x", []byte("good"))
	var asked []string
	c := remote.New(remote.Options{Attempts: 1, Allow: func(u *url.URL) error {
		asked = append(asked, u.Path)
		if !strings.HasPrefix(good.URL, u.Scheme+"://"+u.Host) {
			return fault.Errorf(fault.Policy, "allow it", "%s is not allowed", u.Host)
		}
		return nil
	}})
	if _, _, err := c.Document(t.Context(), address, "*/*", 100); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Document(t.Context(), target, "*/*", 100); fault.Of(err) != fault.Policy || fault.Hint(err) != "allow it" {
		t.Error(err)
	}
	good.Fault("/x", fake.Redirect(http.StatusFound, good.URL+"/y"))
	good.Fault("/y", fake.Redirect(http.StatusFound, target))
	if _, _, err := c.Document(t.Context(), address, "*/*", 100); fault.Of(err) != fault.Policy || fault.Hint(err) != "allow it" || !strings.Contains(err.Error(), "redirected") {
		t.Error(err)
	}
	if evil.Count("") != 0 {
		t.Errorf("%d requests to a server that is not allowed", evil.Count(""))
	}
	if want := []string{"/x", "/x", "/x", "/y", "/x"}; !slices.Equal(asked, want) {
		t.Errorf("asked of %v, want %v", asked, want)
	}
}
