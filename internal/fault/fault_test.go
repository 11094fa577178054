package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

func TestOf(t *testing.T) {
	_, missing := os.Open("/does/not/exist")
	for _, tt := range []struct {
		name string
		err  error
		want Class
		hint string
	}{
		{"nil", nil, OK, ""},
		{"plain", errors.New("x"), Internal, ""},
		{"classified", Errorf(Integrity, "try again", "x"), Integrity, "try again"},
		{"wrapped", fmt.Errorf("outer: %w", Errorf(Lock, "run lockgen update", "x")), Lock, "run lockgen update"},
		{"outermost class wins, inner hint is kept", Errorf(Upstream, "", "all failed: %w", Errorf(Integrity, "look", "x")), Upstream, "look"},
		{"joined", errors.Join(Errorf(Policy, "", "a"), Errorf(Lock, "", "b")), Policy, ""},
		{"interrupt", fmt.Errorf("downloading: %w", context.Canceled), Interrupted, ""},
		{"operating system", fmt.Errorf("opening: %w", missing), Machine, "see whether it was moved or removed, then run this again"},
	} {
		if got := Of(tt.err); got != tt.want {
			t.Errorf("%s: Of = %v, want %v", tt.name, got, tt.want)
		}
		if got := Hint(tt.err); got != tt.hint {
			t.Errorf("%s: hint = %q, want %q", tt.name, got, tt.hint)
		}
	}
}
