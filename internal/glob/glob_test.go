package glob

import (
	"strings"
	"testing"
	"time"
)

// TestMatch: what patterns match, and that none takes long, whoever wrote it.
func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		is, above     bool
	}{
		{"a/b", "a/b", true, true}, {"a", "a/b", false, true}, {"a/b", "a", false, false}, {"*", "a", true, true}, {"*", "a/b", false, true},
		{"**", "a/b/c", true, true}, {"**/c", "a/b/c", true, true}, {"**/c", "c", true, true}, {"**/b", "a/b/c", false, true}, {"a/**", "a", true, true},
		{"a/**/c", "a/c", true, true}, {"a/**/c", "a/b/b/c", true, true}, {"a/**/c", "a/b/c/d", false, true}, {"a/**/c", "b/c", false, false},
		{"**/a/**/a", "a/b/a", true, true}, {"**/a/**/a", "a", false, false}, {"**/a/b/**/c", "a/a/b/x/c", true, true}, {"**/a/*/c", "a/a/c/a/b/c", true, true},
		{"**/*.proto", "a/b.proto", true, true}, {"**/*.proto", "a/b.txt", false, false}, {"a/**/**", "a", true, true}, {"[", "[", false, false},
	} {
		if is, above := Match(tt.pattern, tt.name), MatchAbove(tt.pattern, tt.name); is != tt.is || above != tt.above {
			t.Errorf("%s, %s: %v and %v above, want %v and %v", tt.pattern, tt.name, is, above, tt.is, tt.above)
		}
	}
	ended := make(chan bool, 1)
	go func() { ended <- Match(strings.Repeat("**/a/", 25)+"b", strings.Repeat("a/", 100)+"c") }()
	select {
	case is := <-ended:
		if is {
			t.Error("it matches")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}
