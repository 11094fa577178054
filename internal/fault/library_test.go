package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestLibraryHint: what speaks of a library has its own hint, also where an error around
// it copies the hint of what it wraps; an error with another hint has that one for both.
func TestLibraryHint(t *testing.T) {
	t.Parallel()
	elsewhere := Elsewheref(Policy, "it is not from a registry")
	for _, tt := range []struct {
		name                string
		err                 error
		ofPlugin, ofLibrary string
	}{
		{"of a plugin alone", Errorf(Usage, "do this", "x"), "do this", "do this"},
		{"both", elsewhere, "use another version or another source of this plugin", OtherLibrary},
		{"wrapped", fmt.Errorf("node: %w", About(AboutDirect, elsewhere)), "use another version or another source of this plugin", OtherLibrary},
		{"joined", errors.Join(errors.New("x"), elsewhere), "use another version or another source of this plugin", OtherLibrary},
		{"copied", Errorf(Of(elsewhere), Hint(elsewhere), "node: %w", elsewhere), "use another version or another source of this plugin", OtherLibrary},
		{"hidden", Errorf(Usage, "do that", "node: %w", elsewhere), "do that", "do that"},
		{"one in another", ForLibrary("not here", Errorf(Usage, "do that", "node: %w", elsewhere)), "do that", "not here"},
		{"interrupted", ForLibrary(OtherLibrary, context.Canceled), "", ""},
		{"none", nil, "", ""},
	} {
		if hint := Hint(tt.err); hint != tt.ofPlugin {
			t.Errorf("%s: of a plugin %q, want %q", tt.name, hint, tt.ofPlugin)
		}
		if hint := LibraryHint(tt.err); hint != tt.ofLibrary {
			t.Errorf("%s: of a library %q, want %q", tt.name, hint, tt.ofLibrary)
		}
	}
	if Of(elsewhere) != Policy || TopicOf(About(AboutDirect, elsewhere)) != AboutDirect {
		t.Error("a class or a topic is lost")
	}
}
