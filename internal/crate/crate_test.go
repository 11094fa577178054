package crate

import (
	"slices"
	"testing"
)

// TestUse: an item is read as it was written, and nothing else is one.
func TestUse(t *testing.T) {
	t.Parallel()
	for _, u := range []Use{{Crate: "bytes-1.0.0"}, {Crate: "wasi-0.11.1+wasi", Name: "w"}, {Crate: "sys-1.0.0", Name: "s_2", Platforms: []string{"linux-x86_64", "windows-x86_64"}}} {
		got, err := ParseUse(u.String())
		if err != nil || got.Crate != u.Crate || got.Name != u.Name || !slices.Equal(got.Platforms, u.Platforms) {
			t.Errorf("%q is %+v: %v", u.String(), got, err)
		}
	}
	for _, item := range []string{"", "=bytes-1.0.0", "a-b=bytes-1.0.0", "a=b=c", " x", "$(x)"} {
		if u, err := ParseUse(item); err == nil {
			t.Errorf("%q is %+v", item, u)
		}
	}
}

// TestSeries: which versions of a crate can replace each other.
func TestSeries(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"1.2.3": "1", "0.14.1": "0.14", "0.0.7": "0.0.7", "30.2": "30", "0.2": "0.2", "2": "2", "1.0.0-rc.1": "1"} {
		if got := Series(version); got != want {
			t.Errorf("%s is of series %s, want %s", version, got, want)
		}
	}
}
