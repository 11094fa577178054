package plan

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

var policyNow = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// TestAgeTable is the decision table of minimum-release-age: age and clock, who
// chose the version, whether it is locked already, and exceptions.
func TestAgeTable(t *testing.T) {
	const day = 24 * time.Hour
	clocks := []struct {
		name     string
		released time.Time
		old      bool // enough by itself
		says     string
	}{
		{"old", policyNow.Add(-100 * day), true, ""},
		{"exactly 7 days", policyNow.Add(-7 * day), true, ""},
		{"a second less", policyNow.Add(-7*day + time.Second), false, "6 days ago"},
		{"an hour", policyNow.Add(-time.Hour), false, "1 hour ago"},
		{"now", policyNow, false, "0 hours ago"},
		{"future", policyNow.Add(time.Second), false, "in the future"},
		{"far future", policyNow.Add(1000 * day), false, "clock"},
		{"missing", time.Time{}, false, "does not say"},
	}
	exceptions := []struct {
		name  string
		e     *manifest.Exception
		helps bool
	}{
		{"no exception", nil, false},
		{"exception", &manifest.Exception{Name: "dep", Version: "1.2.3", Reason: "x", Until: policyNow.Add(day)}, true},
		{"with its kind", &manifest.Exception{Name: "npm:dep", Version: "1.2.3", Reason: "x", Until: policyNow.Add(time.Second)}, true},
		{"of another kind", &manifest.Exception{Name: "pip:dep", Version: "1.2.3", Reason: "x", Until: policyNow.Add(day)}, false},
		{"of another version", &manifest.Exception{Name: "dep", Version: "1.2.4", Reason: "x", Until: policyNow.Add(day)}, false},
		{"of another name", &manifest.Exception{Name: "dep2", Version: "1.2.3", Reason: "x", Until: policyNow.Add(day)}, false},
		{"ended", &manifest.Exception{Name: "dep", Version: "1.2.3", Reason: "x", Until: policyNow}, false},
	}
	cells, refused := 0, 0
	for _, clock := range clocks {
		for _, exception := range exceptions {
			for _, written := range []bool{false, true} { // a direct one by its exact version, or a range and transitive ones
				for _, locked := range []bool{false, true} {
					for _, off := range []bool{false, true} {
						cells++
						p := &manifest.Policy{MinimumAge: 7 * day}
						if off {
							p.MinimumAge = 0
						}
						if exception.e != nil {
							p.Exceptions = []manifest.Exception{*exception.e}
						}
						why := NewRules(p, nil, policyNow).refuse(subject{
							kind: lock.NPM, name: "dep", version: "1.2.3", released: clock.released, written: written, locked: locked,
						})
						name := fmt.Sprintf("%s, %s, written %v, locked %v, off %v", clock.name, exception.name, written, locked, off)
						want := clock.old || exception.helps || written || locked || off
						if (why == "") != want {
							t.Errorf("%s: %q", name, why)
						}
						if why == "" {
							continue
						}
						refused++
						if !strings.Contains(why, clock.says) || exception.name == "ended" && !strings.Contains(why, "ended on 2026-06-14") {
							t.Errorf("%s: %q", name, why)
						}
					}
				}
			}
		}
	}
	if cells < 200 || refused != 6*5 {
		t.Errorf("%d cells, %d refused", cells, refused)
	}
	if !t.Failed() {
		testenv.Held(t, "age of a version, its clock, who chose it, exceptions: taken or refused by the table", "", cells, cells)
	}
}

// TestChoose is what the rules make of lists of versions: VERSION[@DAYS][!FLAG],
// newest age 100 days, - for no clock; y yanked, d deprecated, e early.
func TestChoose(t *testing.T) {
	parse := func(list string) (releases []Release) {
		for _, s := range strings.Fields(list) {
			s, flags, _ := strings.Cut(s, "!")
			version, age, _ := strings.Cut(s, "@")
			r := Release{Version: version, Released: policyNow.AddDate(0, 0, -100), Early: strings.Contains(flags, "e")}
			var days int
			if _, err := fmt.Sscan(age, &days); err == nil {
				r.Released = policyNow.AddDate(0, 0, -days)
			} else if age == "-" {
				r.Released = time.Time{}
			}
			if strings.Contains(flags, "y") {
				r.Yanked = "broken"
			}
			if strings.Contains(flags, "d") {
				r.Deprecated = "old"
			}
			releases = append(releases, r)
		}
		return releases
	}
	for _, tt := range []struct {
		spec, list, locked string
		want, held         string // held: VERSION=WORD of why
		newest             string
	}{
		{"^1", "1.0.0 1.2.0 2.0.0", "", "1.2.0", "2.0.0=^1", "2.0.0"},
		{"^1", "1.0.0 1.2.0@3 1.1.0", "", "1.1.0", "1.2.0=ago", "1.2.0"},
		{"^1", "1.0.0 1.2.0@- 1.1.0", "", "1.1.0", "1.2.0=does-not-say", "1.2.0"},
		{"^1", "1.0.0 1.2.0@-5 1.1.0", "", "1.1.0", "1.2.0=future", "1.2.0"},
		{"^1", "1.0.0 1.2.0!y 1.1.0", "", "1.1.0", "1.2.0=withdrawn", "1.1.0"},
		{"^1", "1.0.0 1.2.0!d 1.1.0", "", "1.1.0", "1.2.0=deprecated", "1.2.0"},
		{"^1", "1.0.0!d 1.2.0!d", "", "1.2.0", "", "1.2.0"},
		{"^1", "1.0.0 1.2.0!e", "", "1.0.0", "1.2.0=latest", "1.0.0"},
		{"^2", "1.0.0 2.2.0!e", "", "2.2.0", "", "1.0.0"},
		{"latest", "1.0.0 2.0.0!e 1.5.0", "", "1.5.0", "2.0.0=latest", "1.5.0"},
		{"latest", "1.0.0 2.0.0-rc.1 1.5.0", "", "1.5.0", "", "1.5.0"},
		{"latest", "1.0.0 2.0.0@1", "", "1.0.0", "2.0.0=ago", "2.0.0"},
		{"latest", "1.0.0@1 2.0.0@1", "", "", "2.0.0=ago 1.0.0=ago", "2.0.0"},
		{"^3", "1.0.0 2.0.0", "", "", "2.0.0=^3 1.0.0=^3", "2.0.0"},
		{"^1", "", "", "", "", ""},
		{"^1", "x 1.0.0 v1.3.0 1.4.0_1", "", "1.0.0", "", "1.0.0"},
		// What is locked stays rather than going back.
		{"^1", "1.0.0 1.2.0@3 1.1.0", "1.2.0", "1.2.0", "", "1.2.0"},
		{"^1", "1.0.0 1.2.0 1.1.0@3", "1.1.0", "1.2.0", "", "1.2.0"},
		{"^1", "1.0.0 1.2.0@3 1.1.0@4", "1.1.0", "1.1.0", "1.2.0=ago", "1.2.0"},
		{"^1", "1.0.0 1.2.0!d 1.1.0@4", "1.1.0", "1.1.0", "1.2.0=deprecated", "1.2.0"},
		{"^1", "1.0.0 1.2.0!y 1.1.0", "1.2.0", "1.1.0", "1.2.0=withdrawn", "1.1.0"},
		{"^1", "1.0.0 1.1.0", "1.2.0", "1.1.0", "", "1.1.0"},
		// Exact versions are consent.
		{"1.2.0", "1.0.0 1.2.0@1 2.0.0", "", "1.2.0", "2.0.0=1.2.0", "2.0.0"},
		{"1.2.0", "1.0.0 1.2.0@-!d", "", "1.2.0", "", "1.2.0"},
	} {
		w := &Want{Name: "x", Asked: tt.spec, From: manifest.Source{Kind: lock.NPM, Name: "x"}}
		if err := w.plan(nil); err != nil {
			t.Fatal(err)
		}
		c := w.Choose(parse(tt.list), tt.locked, NewRules(&manifest.Policy{MinimumAge: manifest.DefaultReleaseAge}, nil, policyNow))
		if c.Version != tt.want || c.Newest != tt.newest {
			t.Errorf("%s of %s with %q locked: %q, newest %q; want %q, %q", tt.spec, tt.list, tt.locked, c.Version, c.Newest, tt.want, tt.newest)
		}
		want := strings.Fields(tt.held)
		if len(c.Held) != len(want) {
			t.Errorf("%s of %s: held %v, want %v", tt.spec, tt.list, c.Held, want)
			continue
		}
		for i, h := range c.Held {
			version, word, _ := strings.Cut(want[i], "=")
			if h.Version != version || !strings.Contains(h.Why, strings.ReplaceAll(word, "-", " ")) {
				t.Errorf("%s of %s: held %v, want %v", tt.spec, tt.list, h, want[i])
			}
			if h.Outside != (word == tt.spec && word != manifest.Latest) {
				t.Errorf("%s of %s: %s is outside of it: %t", tt.spec, tt.list, h.Version, h.Outside)
			}
		}
	}
}

// TestTrust: every pair of levels, for sources of three kinds, and min-trust.
func TestTrust(t *testing.T) {
	cells, held := 0, 0
	cell := func(what string, less bool, err error, hint string) {
		cells++
		if (err != nil) != less || err != nil && (fault.Of(err) != fault.Policy || !strings.Contains(fault.Hint(err), hint)) {
			t.Errorf("%s: %v", what, err)
			return
		}
		held++
	}
	for i, before := range lock.Trusts {
		for j, now := range lock.Trusts {
			for _, source := range []string{lock.NPM, lock.Maven, lock.HTTP} {
				for _, version := range []string{"1.0.0", "2.0.0"} { // again, and another one
					old := &lock.Lock{Plugins: map[string]map[string]*lock.Version{"x": {"1.0.0": {Source: source, Trust: before}}}}
					err := NewRules(&manifest.Policy{}, old, policyNow).KeepsTrust(&Want{Name: "x", Version: version}, &lock.Version{Source: source, Trust: now})
					cell(fmt.Sprintf("%s %s: %s after %s", source, version, now, before), j < i, err, "lockgen remove x")
				}
			}
			cell(fmt.Sprintf("%s where %s is demanded", now, before), j < i, trusted(&manifest.Policy{MinTrust: before}, now), "")
		}
	}
	if cells != 5*5*(3*2+1) {
		t.Errorf("%d cells", cells)
	}
	testenv.Held(t, "evidence for a version, before and now, or as min-trust demands: less is refused", "", cells, held)
}

// TestSigners: who signed the files of a version, before and now.
func TestSigners(t *testing.T) {
	t.Parallel()
	const hub, lab = " via https://token.actions.githubusercontent.com", " via https://gitlab.com"
	const tool = "https://github.com/acme/tool/.github/workflows/"
	signers := []string{"", tool + "a.yml" + hub, tool + "b.yml" + hub, "https://github.com/ACME/Tool/.github/workflows/a.yml" + hub, tool + "a.yml" + lab,
		"https://github.com/acme/tool2/.github/workflows/a.yml" + hub, "https://github.com/acme/.github/.github/workflows/a.yml" + hub,
		"https://gitlab.com/acme/tool//.gitlab-ci.yml" + lab, "https://gitlab.com/acme/tool/sub//.gitlab-ci.yml" + lab, "me@example.com via https://accounts.example.com", "me@example.com" + lab}
	same := map[int]int{2: 1, 3: 1} // another workflow, and other letters, of one repository
	pairs, held := 0, 0
	for _, source := range []string{lock.HTTP, lock.NPM} {
		for i, before := range signers {
			for j, now := range signers {
				pairs++
				version := func(number, signer string) *lock.Version {
					return &lock.Version{Source: source, Trust: "registry", Files: map[string]lock.File{"node_modules/x": {Name: "x", Version: number, Signer: signer}, "other": {Name: "y", Version: number}}}
				}
				old := &lock.Lock{Plugins: map[string]map[string]*lock.Version{"x": {"1.0.0": version("1.0.0", before)}}}
				v := version("2.0.0", now)
				if source == lock.HTTP { // all files are of one publisher
					delete(v.Files, "other")
				}
				err := NewRules(&manifest.Policy{}, old, policyNow).KeepsTrust(&Want{Name: "x", Version: "2.0.0", From: manifest.Source{Kind: source}}, v)
				fits := before == "" || cmp.Or(same[i], i) == cmp.Or(same[j], j)
				if (err == nil) != fits || err != nil && (fault.Of(err) != fault.Policy || !strings.Contains(fault.Hint(err), "lockgen remove x")) {
					t.Errorf("%s: %q after %q: %v", source, now, before, err)
					continue
				}
				held++
			}
		}
	}
	testenv.Held(t, "who signed a version, before and now: another one is refused", "", pairs, held)
}
