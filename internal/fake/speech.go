package fake

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// Speech checks what must hold for every run of lockgen and fetch: the streams
// contain no unprintable characters, a failure has a hint, and JSON has the
// schema that it names.
func Speech(t testing.TB, args []string, status int, stdout, stderr string) {
	t.Helper()
	for _, text := range []string{stdout, stderr} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !plain.Printable(r) }); i >= 0 {
			t.Errorf("%q: printed %+q", args, text[max(0, i-60):min(len(text), i+60)])
		}
	}
	own := args
	if i := slices.Index(args, "--"); i >= 0 {
		own = args[:i]
	}
	if slices.Contains(own, "--json") && strings.HasPrefix(stdout, "{") {
		testenv.Shape(t, args, stdout)
	}
	if status != 0 && status != 130 && !strings.Contains(stderr, "hint: ") && !strings.Contains(stdout, `"hint"`) {
		t.Errorf("%q: status %d without a hint:\n%s%s", args, status, stdout, stderr)
	}
}
