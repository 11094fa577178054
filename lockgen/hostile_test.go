package main

import (
	"strings"
	"testing"
)

// TestHostileLock: text of a lock that plays with a terminal is shown escaped by
// every command that shows it; that nothing else is printed raw is what
// fake.Speech demands of every run of these tests.
func TestHostileLock(t *testing.T) {
	t.Parallel()
	p := slow(t, func(string) {})
	honest := p.read("plugins.lock.toml")
	p.write("old.toml", honest)
	const reason = "not among the platforms of plugins.toml"
	hostile := strings.Replace(honest, reason, `x\u001b[31m\u001b]0;t\u0007\u009b\u202e\u2066\u200b\u2028\u2029\ufeff\U000e0041\U000e0001\r\nforged`, 1)
	if hostile == honest {
		t.Fatal("no such text in the lock")
	}
	p.write("plugins.lock.toml", hostile)
	for _, args := range [][]string{{"list", "--json"}, {"diff", p.path("old.toml")}, {"diff", "--json", p.path("old.toml")}, {"explain", "slow"}, {"explain", "--json", "slow"}} {
		stdout, _ := p.ok(args...)
		if !strings.Contains(stdout, `\u202e`) || strings.Contains(stdout, "\nforged") {
			t.Errorf("%v: %s", args, stdout)
		}
	}
	for _, args := range [][]string{{"list"}, {"check"}, {"check", "--json"}, {"update"}, {"update", "--json"}, {"doctor"}} {
		p.run(args...)
	}
}
