package npm

import (
	"strings"
	"testing"
)

// TestAllowed has the cases of npm-install-checks.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		list string
		want bool // for linux
	}{
		{"", true}, {"any", true}, {"linux", true}, {"darwin", false}, {"darwin linux", true},
		{"!linux", false}, {"!win32", true}, {"!win32 !darwin", true}, {"!linux linux", false}, {"!win32 darwin", false},
	} {
		if got := allowed(strings.Fields(tt.list), "linux"); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.list, got, tt.want)
		}
	}
}
