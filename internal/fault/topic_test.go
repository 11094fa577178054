package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestTopic(t *testing.T) {
	inner := About(AboutManagers, Missingf(Machine, "install it", "no npm"))
	for _, tt := range []struct {
		err  error
		want Topic
	}{
		{nil, ""},
		{About(AboutTime, nil), ""},
		{errors.New("x"), AboutOurs},
		{Errorf(Usage, "", "x"), AboutUsage},
		{Errorf(Lock, "", "x"), AboutLock},
		{Errorf(Upstream, "", "x"), AboutNetwork},
		{Errorf(Integrity, "", "x"), AboutBytes},
		{Errorf(Policy, "", "x"), AboutPolicy},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, AboutMachine},
		{context.Canceled, ""},
		{About(AboutTime, Errorf(Interrupted, "", "x")), ""},
		{fmt.Errorf("for tool: %w", inner), AboutManagers},
		{Errorf(Machine, "", "asked: %w", inner), AboutManagers},
		{About(AboutTime, Errorf(Machine, "", "asked: %w", inner)), AboutTime}, // the outermost
	} {
		if got := TopicOf(tt.err); got != tt.want {
			t.Errorf("%v: topic %q, want %q", tt.err, got, tt.want)
		}
	}
	// It changes nothing else.
	if Of(inner) != Machine || Hint(inner) != "install it" || !errors.Is(inner, fs.ErrNotExist) || inner.Error() != "no npm" {
		t.Errorf("%v: %v, %q", inner, Of(inner), Hint(inner))
	}
	seen := map[Topic]bool{}
	for _, topic := range Topics() {
		if topic == "" || seen[topic] {
			t.Errorf("topic %q twice, or empty", topic)
		}
		seen[topic] = true
	}
}
