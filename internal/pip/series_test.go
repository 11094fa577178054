package pip

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestSeries: python = ["3.11"] stands for every patch release of it.
func TestSeries(t *testing.T) {
	p := warmPip(t)
	cleanPipEnv(t)
	s := fake.New(t)
	wheel := func(name, version, python string, requires ...string) {
		s.Wheel(fake.Wheel{Name: name, Version: version, Python: python, Requires: requires})
	}
	wheel("backport", "1.0", ">=3.8")
	wheel("tied", "1.0", "<3.11.4")
	wheel("dep", "1.0", "")
	wheel("dep", "2.0", ">=3.11.2, !=3.11.5")
	wheel("lib", "1.0", "")
	wheel("lib", "2.0", "")
	for _, tt := range []struct {
		name, python string
		requires     []string
		wheels       string // of 3.11, "" for an error
		not          string
		says         string
	}{
		{"plain", ">=3.8, !=3.9.1", []string{`backport; python_full_version < "3.10.4"`}, "plain-1.0", "", ""},
		{"marker", "", []string{`backport; python_full_version < "3.11.4"`}, "backport-1.0 marker-1.0", "", ""},
		{"implementation", "", []string{`backport; implementation_version >= "3.11.4"`}, "backport-1.0 implementation-1.0", "", ""},
		{"first", "", []string{`backport; python_full_version <= "3.11.0a6"`}, "first-1.0", "", ""},
		{"zero", "", []string{`backport; python_full_version == "3.11.0"`}, "backport-1.0 zero-1.0", "", ""},
		{"some", ">=3.11.2, !=3.11.5", nil, "some-1.0", "3.11.1 3.11.5", ""},
		{"old", "<3.11.4", nil, "old-1.0", "3.11.4 3.11.5", ""},
		{"newest", "", []string{"dep"}, "dep-2.0 newest-1.0", "3.11.1 3.11.5", ""},
		{"two", "", []string{`lib<2; python_full_version < "3.11.4"`, `lib>=2; python_full_version >= "3.11.4"`}, "", "", "its patch releases need different wheels, lib-1.0-py3-none-any.whl for 3.11.3 and lib-2.0"},
		{"ties", "", []string{`tied; python_full_version < "3.11.4"`}, "", "", "tied 1.0, which other patch releases need, requires Python <3.11.4"},
		{"short", ">3.11", nil, "short-1.0", "3.11.0", ""},
		{"short-first", "<=3.11", nil, "short_first-1.0", "3.11.1", ""},
		{"never", ">=3.12", nil, "", "", "never 1.0 requires Python >=3.12"},
		{"gone", "", []string{`gone-too; python_full_version < "3.11.4"`}, "", "", "the index has no package gone-too"},
	} {
		wheel(tt.name, "1.0", tt.python, tt.requires...)
		closures, err := p.Report(t.Context(), indexAt(s.URL+"/simple/"), Requirement{Package: tt.name, Version: "1.0", Targets: []Target{{Platform: fake.Platform(t, "linux-x86_64"), Python: "3.11"}}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		c := closures[0]
		var got []string
		for _, w := range c.Wheels {
			got = append(got, strings.TrimSuffix(w.Filename, "-py3-none-any.whl"))
		}
		slices.Sort(c.Not)
		switch {
		case tt.wheels == "":
			if c.Err == nil || !strings.Contains(c.Err.Error(), tt.says) || fault.Of(c.Err) == fault.Internal {
				t.Errorf("%s: %v, %v, want %q", tt.name, got, c.Err, tt.says)
			}
		case c.Err != nil || strings.Join(got, " ") != tt.wheels:
			t.Errorf("%s: %v, %v, want %s", tt.name, got, c.Err, tt.wheels)
		default:
			for _, release := range strings.Fields(tt.not) {
				if !slices.Contains(c.Not, release) {
					t.Errorf("%s: not for %v, want %s", tt.name, c.Not, release)
				}
			}
			if tt.not == "" && len(c.Not) > 0 {
				t.Errorf("%s: not for %v", tt.name, c.Not)
			}
		}
	}
}
