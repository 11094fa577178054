package pip

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var (
	today    = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	tooYoung = today.Add(time.Hour)
)

// TestPipCooldown: the same for pip.
func TestPipCooldown(t *testing.T) {
	t.Parallel()
	p := warmPip(t)
	s := fake.New(t)
	for version, when := range map[string]time.Time{"1.0": {}, "1.1": today, "1.2": tooYoung} {
		s.Wheel(fake.Wheel{Name: "Some.Dep", Version: version, Released: when})
	}
	s.Wheel(fake.Wheel{Name: "gen", Version: "1.0", Released: tooYoung, Requires: []string{"some-dep>=1"}})
	host, _ := lock.LookupPlatform("linux-x86_64")
	ask := func(rule *cooldown.Rule) ([]Wheel, error) {
		return report(t, p, s.URL+"/simple/", Requirement{Package: "gen", Version: "1.0", Cooldown: rule}, host, "3.12")
	}
	for _, tt := range []struct {
		rule *cooldown.Rule
		dep  string
		when time.Time
	}{
		{nil, "1.2", time.Time{}},
		{&cooldown.Rule{}, "1.2", tooYoung},
		{&cooldown.Rule{Before: today}, "", time.Time{}},
		{&cooldown.Rule{Before: today, Except: []string{"gen@1.0"}}, "1.1", today},
		{&cooldown.Rule{Before: today, Except: []string{"gen@1.0", "some-dep@1.2"}}, "1.2", tooYoung},
	} {
		wheels, err := ask(tt.rule)
		if tt.dep == "" {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%+v: %v", tt.rule, err)
			}
			continue
		}
		if err != nil || len(wheels) != 2 {
			t.Errorf("%+v: %v, %v", tt.rule, wheels, err)
			continue
		}
		if w := wheels[1]; w.Version != tt.dep || !w.Released.Equal(tt.when) || !strings.HasPrefix(w.Filename, "some_dep-"+tt.dep) {
			t.Errorf("%+v: %+v, want %s of %v", tt.rule, w, tt.dep, tt.when)
		}
	}
	for name, clockless := range map[string]func(bool){"HTML": s.HTMLOnly, "no times": s.NoTimes} {
		clockless(true)
		if _, err := ask(&cooldown.Rule{Before: tooYoung}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if wheels, err := ask(&cooldown.Rule{}); err != nil || len(wheels) != 2 || !wheels[0].Released.IsZero() {
			t.Errorf("%s: %v, %v", name, wheels, err)
		}
		clockless(false)
	}
}
