package npm

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

var (
	cooldownNow = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	young       = cooldownNow.Add(time.Hour)
)

// TestNPMCooldown: the real npm chooses among what the rule lets through.
func TestNPMCooldown(t *testing.T) {
	t.Parallel()
	n := realNPM(t)
	s := fake.New(t)
	for version, when := range map[string]time.Time{"1.0.0": {}, "1.1.0": cooldownNow, "1.2.0": young} {
		s.Package(fake.Package{Name: "@x/dep", Version: version, Released: when})
	}
	s.Package(fake.Package{Name: "gen", Version: "1.0.0", Released: young, Manifest: map[string]any{"dependencies": map[string]any{"@x/dep": "^1.0.0"}}})
	s.Package(fake.Package{Name: "tagged", Version: "1.0.0", Manifest: map[string]any{"dependencies": map[string]any{"@x/dep": "latest"}}})
	s.Package(fake.Package{Name: "strict", Version: "1.0.0", Manifest: map[string]any{"dependencies": map[string]any{"@x/dep": "1.2.0"}}})
	here := registryAt(s.URL)
	const dep = "node_modules/@x/dep"
	for _, tt := range []struct {
		name string
		rule *cooldown.Rule
		dep  string // version, "" for none to be had
		when time.Time
	}{
		{"gen", nil, "1.2.0", time.Time{}},
		{"gen", &cooldown.Rule{}, "1.2.0", young},
		{"gen", &cooldown.Rule{Before: cooldownNow}, "", time.Time{}},
		{"gen", &cooldown.Rule{Before: cooldownNow, Except: []string{"gen@1.0.0"}}, "1.1.0", cooldownNow},
		{"gen", &cooldown.Rule{Before: cooldownNow, Except: []string{"gen@1.0.0", "@x/dep@1.2.0"}}, "1.2.0", young},
		{"gen", &cooldown.Rule{Before: cooldownNow.Add(-time.Second), Except: []string{"gen@1.0.0"}}, "1.0.0", fake.Released},
		{"tagged", &cooldown.Rule{Before: cooldownNow}, "1.1.0", cooldownNow},
		{"strict", &cooldown.Rule{Before: cooldownNow}, "", time.Time{}},
		{"strict", &cooldown.Rule{Before: young}, "1.2.0", young},
	} {
		l, err := n.Resolve(t.Context(), here, tt.name, "1.0.0", nil, tt.rule)
		if tt.dep == "" {
			if !errors.Is(err, fs.ErrNotExist) || fault.Of(err) != fault.Upstream {
				t.Errorf("%s %+v: %v", tt.name, tt.rule, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %+v: %v", tt.name, tt.rule, err)
			continue
		}
		if p := l.Packages[dep]; p.Version != tt.dep || !p.Released.Equal(tt.when.Truncate(time.Millisecond)) {
			t.Errorf("%s %+v: %s of %v, want %s of %v", tt.name, tt.rule, p.Version, p.Released, tt.dep, tt.when)
		}
	}
	// A registry without a clock: nothing passes, and nothing is said.
	s.NoTimes(true)
	if _, err := n.Resolve(t.Context(), here, "strict", "1.0.0", nil, &cooldown.Rule{Before: young}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a clock: %v", err)
	}
	l, err := n.Resolve(t.Context(), here, "strict", "1.0.0", nil, &cooldown.Rule{})
	if err != nil || !l.Packages[dep].Released.IsZero() {
		t.Errorf("without a clock: %+v, %v", l, err)
	}
}
