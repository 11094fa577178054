package pip

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestSameAnswer: pip resolves once for all targets of which the answer is the same,
// and each has the closure that it has when it is asked for alone.
func TestSameAnswer(t *testing.T) {
	testenv.OnlyFull(t, "it starts pip for each form of a requirement; TestIndex has the usual way")
	cleanPipEnv(t)
	p := warmPip(t)
	s := fake.New(t)
	index := s.URL + "/simple/"
	empty := map[string]string{"x": ""}
	pure := func(name, version, python string, requires ...string) {
		s.Wheel(fake.Wheel{Name: name, Version: version, Python: python, Requires: requires, Files: empty})
	}
	tags := map[string]string{"linux-x86_64": "manylinux2014_x86_64", "linux-aarch64": "manylinux2014_aarch64", "macos-aarch64": "macosx_11_0_arm64", "windows-x86_64": "win_amd64"}
	platforms := []string{"linux-x86_64", "linux-aarch64", "macos-aarch64", "windows-x86_64"}
	pythons := []string{"3.11", "3.12", "3.13"}
	native := func(name, version, tag string, requires func(platform string) []string) {
		for _, platform := range platforms {
			var r []string
			if requires != nil {
				r = requires(platform)
			}
			s.Wheel(fake.Wheel{Name: name, Version: version, Tag: tag + "-" + tags[platform], Requires: r, Files: empty})
		}
	}

	pure("base", "1.0", "")
	pure("base", "1.1", ">=3.8")
	pure("pure", "1.0", "", "base>=1")
	// A wheel for each platform, all of which say the same.
	native("everywhere", "1.0", "cp39-abi3", func(string) []string { return []string{"base"} })
	pure("on-native", "1.0", "", "everywhere")
	// A wheel for each Python and platform, of the version that is taken; older ones have fewer.
	for _, python := range []string{"cp311-cp311", "cp312-cp312", "cp313-cp313"} {
		native("each", "2.0", python, nil)
	}
	native("each", "1.0", "cp311-cp311", nil)
	// The same, and a second one for each of Linux, of which pip takes the better.
	for _, python := range []string{"cp311-cp311", "cp312-cp312", "cp313-cp313"} {
		native("many", "2.0", python, nil)
		for _, platform := range []string{"linux-x86_64", "linux-aarch64"} {
			s.Wheel(fake.Wheel{Name: "many", Version: "2.0", Tag: python + "-" + strings.Replace(tags[platform], "manylinux2014", "manylinux_2_28", 1), Files: empty})
		}
	}
	pure("on-many", "1.0", "", "many")
	pure("on-each", "1.0", "", "each")
	// A marker of a system, and one of Python.
	pure("on-windows", "1.0", "", `base; sys_platform == "win32"`)
	pure("on-old", "1.0", "", `base; python_version < "3.12"`)
	// A marker that is the same for all of them.
	pure("on-ancient", "1.0", "", `base; python_version < "3.8"`)
	// Versions for some Pythons: the others have an older one.
	pure("young", "2.0", ">=3.12")
	pure("young", "1.0", "")
	pure("on-young", "1.0", "", "young")
	// Wheels that say something else on one platform.
	native("other", "1.0", "py3-none", func(platform string) []string {
		if platform == "macos-aarch64" {
			return []string{"base==1.0"}
		}
		return []string{"base"}
	})
	// A version that one platform lacks.
	native("gap", "1.0", "py3-none", nil)
	s.Wheel(fake.Wheel{Name: "gap", Version: "1.1", Tag: "py3-none-" + tags["windows-x86_64"], Files: empty})
	pure("on-gap", "1.0", "", "gap")
	// Two wheels of one version, of which pip prefers one on each platform.
	native("two", "1.0", "cp39-abi3", nil)
	pure("two", "1.0", "")
	pure("on-two", "1.0", "", "two")
	// What is newer and too new for everybody is looked at, and left.
	pure("base-next", "2.0", "", "absent")
	pure("base-next", "1.0", "")
	pure("back", "1.0", "", "base-next")
	// A prerelease is taken where there is no other.
	pure("early", "2.0a1", ">=3.12")
	pure("early", "1.0a1", "")
	pure("on-early", "1.0", "", "early")

	var targets []Target
	for _, platform := range platforms {
		for _, python := range pythons {
			targets = append(targets, Target{Platform: fake.Platform(t, platform), Python: python})
		}
	}
	for _, tt := range []struct {
		name string
		runs int64 // of 12
	}{
		{"pure", 1}, {"everywhere", 1}, {"on-native", 1}, {"on-each", 1}, {"on-many", 3}, {"on-windows", 2}, {"on-old", 2}, {"on-ancient", 1}, {"on-young", 2},
		{"other", 2}, {"on-gap", 2}, {"on-two", 4}, {"back", 1}, {"on-early", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := Requirement{Package: tt.name, Version: "1.0", Targets: targets}
			before := p.ran.Load()
			together, err := p.Report(t.Context(), indexAt(index), req)
			if err != nil {
				t.Fatal(err)
			}
			if n := p.ran.Load() - before; n != tt.runs {
				t.Errorf("pip resolved %d times, want %d", n, tt.runs)
			}
			text := func(c Closure) string {
				data, err := json.MarshalIndent(c.Wheels, "", " ")
				return fmt.Sprintf("%s %v %v %v", data, err, c.Err, c.Not)
			}
			for i := range targets {
				if i != 4 && i != 9 && !testenv.Full() {
					continue
				}
				req.Targets = targets[i : i+1]
				alone, err := p.Report(t.Context(), indexAt(index), req)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := text(together[i]), text(alone[0]); got != want || len(alone[0].Wheels) == 0 {
					t.Errorf("%s %s: together\n%s\nalone\n%s", targets[i].Platform.Name, targets[i].Python, got, want)
				}
			}
		})
	}
}
