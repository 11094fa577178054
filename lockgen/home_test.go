package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestNoHome: a user without a home, with / for one, or with one that cannot be
// written to, locks with the cache folder alone, where npm, pip,
// cargo or go resolves; and none of them writes to a home that can be.
func TestNoHome(t *testing.T) {
	testenv.Real(t, "it starts npm, pip, cargo and go")
	t.Parallel()
	empty, closed := t.TempDir(), t.TempDir()
	if err := os.Chmod(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	names := func(dir string) (all []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	for name, home := range map[string]string{"none": "", "root": "/", "closed": closed, "empty": empty} {
		t.Run(name, func(t *testing.T) {
			if name != "empty" {
				testenv.OnlyFull(t, "the same is written, or not, as with others")
			}
			before := names(cmp.Or(home, "/"))
			for _, s := range stands(t) {
				if !lock.KindOf(s.kind).Ecosystem {
					continue // no client
				}
				t.Run(s.kind, func(t *testing.T) {
					if s.need != nil {
						s.need(t)
					}
					own := map[string]string{"HOME": home, "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", "CARGO_HOME": "", "GOSUMDB": s.env["GOSUMDB"]}
					// What proxies in the place of the clients need of the home that there is.
					for name, below := range map[string]string{"RUSTUP_HOME": ".rustup", "PYENV_ROOT": ".pyenv"} {
						own[name] = cmp.Or(os.Getenv(name), filepath.Join(os.Getenv("HOME"), below))
					}
					s.env = own
					s.newRing(t).locks()
				})
			}
			if after := names(cmp.Or(home, "/")); len(after) != len(before) {
				t.Errorf("the home has %q, had %q", after, before)
			}
		})
	}
}

// TestOneCause: what no plugin can be locked for is said once, with its hint.
func TestOneCause(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if err := os.WriteFile(filepath.Join(p.cache, "blobs"), nil, 0o600); err != nil { // no folder, and never one
		t.Fatal(err)
	}
	p.server.File("/tool", []byte(linuxARM))
	text := "platforms = [\"linux-aarch64\"]\n[plugins]\n"
	for _, name := range []string{"tool-a", "tool-b", "tool-c"} {
		text += name + " = { version = \"1.0.0\", source = \"" + p.server.URL + "/tool\", binary = \"" + name + "\" }\n"
	}
	p.write("plugins.toml", text)
	said := p.fails(fault.Machine, nil, "update")
	if strings.Count(said, p.cache) > 2 || strings.Count(said, "hint: ") != 1 {
		t.Errorf("said more than once:\n%s", said)
	}
}
