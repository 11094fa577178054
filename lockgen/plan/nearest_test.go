package plan

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func TestNear(t *testing.T) {
	t.Parallel()
	list := func(versions string) (releases []Release) {
		for _, v := range strings.Fields(versions) {
			r := Release{Version: strings.TrimRight(v, "!*")}
			if strings.HasSuffix(v, "!") {
				r.Yanked = "not good"
			}
			r.Early = strings.HasSuffix(v, "*")
			releases = append(releases, r)
		}
		return releases
	}
	for _, tt := range []struct {
		kind, releases, version string
		want                    string // newest below above
		there                   bool
	}{
		{lock.NPM, "1.0.0 2.7.2 2.7.12 2.8.0 2.18.0", "2.7.99", "2.18.0 2.7.12 2.8.0", false},
		{lock.NPM, "1.0.0 2.18.0", "99.0.0", "2.18.0 2.18.0 -", false},
		{lock.NPM, "1.0.0 2.18.0", "0.1.0", "2.18.0 - 1.0.0", false},
		{lock.NPM, "1.0.0 1.1.0! 2.0.0-rc.1", "1.2.0", "1.0.0 1.0.0 -", false},
		{lock.NPM, "1.0.0 2.0.0-rc.1", "2.0.0-rc.2", "2.0.0-rc.1 2.0.0-rc.1 -", false},
		{lock.NPM, "1.0.0 3.0.0*", "2.0.0", "1.0.0 1.0.0 3.0.0", false},
		{lock.NPM, "1.0.0 1.1.0!", "1.1.0", "1.0.0 1.0.0 -", true},
		{lock.Pip, "30.2 31.0rc1 31.0.post1 32.0", "31.0.1", "32.0 31.0.post1 32.0", false},
		{lock.Pip, "30.2.0", "30.2", "30.2.0 - -", true},
		{lock.Go, "1.36.0 1.36.11", "1.36.12", "1.36.11 1.36.11 -", false},
		{lock.HTTP, "1.0.0", "nightly", "1.0.0 - -", false},
		{lock.HTTP, "nightly", "1.0.0", "- - -", false},
		{lock.HTTP, "", "1.0.0", "- - -", false},
	} {
		newest, below, above, there := Near(tt.kind, list(tt.releases), tt.version)
		got := ""
		for _, v := range []string{newest, below, above} {
			if v == "" {
				v = "-"
			}
			got += " " + v
		}
		if got[1:] != tt.want || there != tt.there {
			t.Errorf("%s of %s: %s %v, want %s %v", tt.version, tt.releases, got[1:], there, tt.want, tt.there)
		}
	}
}
