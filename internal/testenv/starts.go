package testenv

import (
	"fmt"
	"regexp"
	"slices"
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

// Twice returns by what a package manager was asked again what it is, or how it
// is configured.
func (s *Starts) Twice() (again []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for said, times := range s.said {
		if times > 1 && question().MatchString(said+" ") {
			again = append(again, fmt.Sprintf("%d times: %s", times, said[:min(len(said), 300)]))
		}
	}
	slices.Sort(again)
	return again
}

// Once demands that there is nothing in [Starts.Twice].
func (s *Starts) Once(t testing.TB, command []string) {
	t.Helper()
	for _, again := range s.Twice() {
		t.Errorf("%q: %s", command, again)
	}
}
