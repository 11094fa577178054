package smoke

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestFailed: only what a program said or did is its fault, and every failure but an
// interruption says how to lock it untried.
func TestFailed(t *testing.T) {
	ran := func(class fault.Class, text string) error { return fault.Errorf(class, "free space", "%s", text) }
	for _, tt := range []struct {
		name  string
		err   error
		class fault.Class
		topic fault.Topic
		hint  string
	}{
		{"it breaks", ran(fault.Integrity, "tool: exit status 3"), fault.Integrity, fault.AboutBytes, "use another version"},
		{"it is no plugin", ran(fault.Usage, "its output is not a CodeGeneratorResponse"), fault.Usage, fault.AboutUsage, "check that binary"},
		{"protoc cannot read its answer", ran(fault.Integrity, "Plugin output is unparseable"), fault.Usage, fault.AboutUsage, "check that binary"},
		{"it did not end, or did not start", fault.About(fault.AboutTime, ran(fault.Machine, "tool did not end within 2m0s")), fault.Machine, fault.AboutTime, "free space; "},
		{"the disk is full", fmt.Errorf("start: %w", syscall.ENOSPC), fault.Machine, fault.AboutMachine, "make room"},
		{"interrupted", fmt.Errorf("tool: %w", context.Canceled), fault.Interrupted, "", ""},
	} {
		err := failed(tt.err, "it does not run on this machine")
		hint := fault.Hint(err)
		if fault.Of(err) != tt.class || fault.TopicOf(err) != tt.topic {
			t.Errorf("%s: class %s, topic %s: %v", tt.name, fault.Of(err), fault.TopicOf(err), err)
		}
		if !strings.Contains(hint, tt.hint) || strings.Contains(hint, "--no-smoke") == (tt.class == fault.Interrupted) {
			t.Errorf("%s: hint %q", tt.name, hint)
		}
	}
	if err := failed(nil, "x"); err != nil {
		t.Error(err)
	}
}
