package testenv

import (
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Starts has the programs that one command started; Add is for proc.Watch. The zero
// Starts has none.
type Starts struct {
	mu   sync.Mutex
	said map[string]int // by name and arguments
}

// Add adds one.
func (s *Starts) Add(name string, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said == nil {
		s.said = map[string]int{}
	}
	s.said[strings.Join(append([]string{name}, args...), " ")]++
}

// Count returns how many of them have a text in their name and arguments.
func (s *Starts) Count(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for said, times := range s.said {
		if strings.Contains(said, text) {
			n += times
		}
	}
	return n
}

// question are the starts by which a package manager is looked for, or asked for
// its settings.
var question = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\S+ -m pip |asking pip for its index |pip config list |npm config get registry |\S+ -p process\.execPath |\S+/go env env |\S+/(cargo|rustc) (--version|--print sysroot) )`)
})

// Once demands that each package manager was asked what it is, and how it is
// configured, once at most.
func (s *Starts) Once(t testing.TB, command []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for said, times := range s.said {
		if times > 1 && question().MatchString(said+" ") {
			t.Errorf("%q: %d times: %s", command, times, said[:min(len(said), 300)])
		}
	}
}
