package build

import "testing"

func TestPage(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		built Info
		at    string
	}{
		{Info{Version: "devel"}, "main"},
		{Info{Version: "devel", Commit: commit}, commit},
		{Info{Version: "devel", Commit: commit, Dirty: true}, commit},
		{Info{Version: "v0.1.0", Commit: commit}, "v0.1.0"},
		{Info{Version: "v0.2.0-rc.1"}, "v0.2.0-rc.1"},
		{Info{Version: "v0.1.1-0.20261129010101-0123456789ab"}, "0123456789ab"},
		{Info{Version: "v0.1.1-0.20261129010101-0123456789ab", Commit: commit}, commit},
		{Info{Version: "v0.1.0+dirty", Commit: commit, Dirty: true}, commit},
	} {
		const want = "https://github.com/birbparty/buck2-protobuf/blob/"
		if got := c.built.Page("docs/x.md#y"); got != want+c.at+"/docs/x.md#y" {
			t.Errorf("%+v: %s", c.built, got)
		}
	}
}
