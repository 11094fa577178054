package pkgmgr

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var (
	gateNow = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	young   = gateNow.Add(time.Hour)
)

// TestNPMGate: the real npm chooses among what the gate lets through.
func TestNPMGate(t *testing.T) {
	n, err := FindNPM(t.Context())
	if err != nil {
		t.Skipf("no npm to try with: %v", err)
	}
	s := fake.New(t)
	for version, when := range map[string]time.Time{"1.0.0": {}, "1.1.0": gateNow, "1.2.0": young} {
		s.Package(fake.Package{Name: "@x/dep", Version: version, Released: when})
	}
	s.Package(fake.Package{Name: "gen", Version: "1.0.0", Released: young, Manifest: map[string]any{"dependencies": map[string]any{"@x/dep": "^1.0.0"}}})
	s.Package(fake.Package{Name: "tagged", Version: "1.0.0", Manifest: map[string]any{"dependencies": map[string]any{"@x/dep": "latest"}}})
	s.Package(fake.Package{Name: "strict", Version: "1.0.0", Manifest: map[string]any{"dependencies": map[string]any{"@x/dep": "1.2.0"}}})
	here := registryAt(s.URL)
	const dep = "node_modules/@x/dep"
	for _, tt := range []struct {
		name string
		gate *Gate
		dep  string // version, "" for none to be had
		when time.Time
	}{
		{"gen", nil, "1.2.0", time.Time{}},
		{"gen", &Gate{}, "1.2.0", young},
		{"gen", &Gate{Before: gateNow}, "", time.Time{}},
		{"gen", &Gate{Before: gateNow, Except: []string{"gen@1.0.0"}}, "1.1.0", gateNow},
		{"gen", &Gate{Before: gateNow, Except: []string{"gen@1.0.0", "@x/dep@1.2.0"}}, "1.2.0", young},
		{"gen", &Gate{Before: gateNow.Add(-time.Second), Except: []string{"gen@1.0.0"}}, "1.0.0", fake.Released},
		{"tagged", &Gate{Before: gateNow}, "1.1.0", gateNow},
		{"strict", &Gate{Before: gateNow}, "", time.Time{}},
		{"strict", &Gate{Before: young}, "1.2.0", young},
	} {
		l, err := n.Resolve(t.Context(), here, tt.name, "1.0.0", tt.gate)
		if tt.dep == "" {
			if !errors.Is(err, fs.ErrNotExist) || fault.Of(err) != fault.Upstream {
				t.Errorf("%s %+v: %v", tt.name, tt.gate, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %+v: %v", tt.name, tt.gate, err)
			continue
		}
		if p := l.Packages[dep]; p.Version != tt.dep || !p.Released.Equal(tt.when.Truncate(time.Millisecond)) {
			t.Errorf("%s %+v: %s of %v, want %s of %v", tt.name, tt.gate, p.Version, p.Released, tt.dep, tt.when)
		}
	}
	// A registry without a clock: nothing passes, and nothing is said.
	s.NoTimes(true)
	if _, err := n.Resolve(t.Context(), here, "strict", "1.0.0", &Gate{Before: young}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a clock: %v", err)
	}
	l, err := n.Resolve(t.Context(), here, "strict", "1.0.0", &Gate{})
	if err != nil || !l.Packages[dep].Released.IsZero() {
		t.Errorf("without a clock: %+v, %v", l, err)
	}
}

// TestPipGate: the same for pip.
func TestPipGate(t *testing.T) {
	p, err := FindPip(t.Context())
	if err != nil {
		t.Skipf("no pip to try with: %v", err)
	}
	s := fake.New(t)
	for version, when := range map[string]time.Time{"1.0": {}, "1.1": gateNow, "1.2": young} {
		s.Wheel(fake.Wheel{Name: "Some.Dep", Version: version, Released: when})
	}
	s.Wheel(fake.Wheel{Name: "gen", Version: "1.0", Released: young, Requires: []string{"some-dep>=1"}})
	host, _ := lock.LookupPlatform("linux-x86_64")
	ask := func(gate *Gate) ([]Wheel, error) {
		return report(t, p, s.URL+"/simple/", Requirement{Package: "gen", Version: "1.0", Gate: gate}, host, "3.12")
	}
	for _, tt := range []struct {
		gate *Gate
		dep  string
		when time.Time
	}{
		{nil, "1.2", time.Time{}},
		{&Gate{}, "1.2", young},
		{&Gate{Before: gateNow}, "", time.Time{}},
		{&Gate{Before: gateNow, Except: []string{"gen@1.0"}}, "1.1", gateNow},
		{&Gate{Before: gateNow, Except: []string{"gen@1.0", "some-dep@1.2"}}, "1.2", young},
	} {
		wheels, err := ask(tt.gate)
		if tt.dep == "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%+v: %v", tt.gate, err)
			}
			continue
		}
		if err != nil || len(wheels) != 2 {
			t.Errorf("%+v: %v, %v", tt.gate, wheels, err)
			continue
		}
		if w := wheels[1]; w.Version != tt.dep || !w.Released.Equal(tt.when) || !strings.HasPrefix(w.Filename, "some_dep-"+tt.dep) {
			t.Errorf("%+v: %+v, want %s of %v", tt.gate, w, tt.dep, tt.when)
		}
	}
	for name, clockless := range map[string]func(bool){"HTML": s.HTMLOnly, "no times": s.NoTimes} {
		clockless(true)
		if _, err := ask(&Gate{Before: young}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if wheels, err := ask(&Gate{}); err != nil || len(wheels) != 2 || !wheels[0].Released.IsZero() {
			t.Errorf("%s: %v, %v", name, wheels, err)
		}
		clockless(false)
	}
}
