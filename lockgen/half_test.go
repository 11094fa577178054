package main

import (
	"cmp"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestHalfKept: what a proxy cuts, with the length and the validators of the whole, does
// no harm to the next run: the same command then gives what honest servers give. This is
// so for each address that is asked.
func TestHalfKept(t *testing.T) {
	t.Parallel()
	for _, s := range stands(t) {
		t.Run(cmp.Or(s.name, s.kind), func(t *testing.T) {
			t.Parallel()
			if s.slow {
				s.need(t)
				testenv.OnlyFull(t, "a client starts for each; http, github, maven and oci show it")
			}
			r := s.newRing(t)
			l := liar{ring: r, start: r.read("plugins.lock.toml")}
			for _, args := range [][]string{{"update", "--no-smoke"}, {"outdated"}} {
				l.args = args
				l.before()
				l.out, _ = r.ok(args...)
				if l.locked == "" {
					l.locked = r.read("plugins.lock.toml")
				}
				for _, at := range l.asked() {
					l.before()
					at.server.Fault(at.path, fake.Map(func(b []byte) []byte { return b[:len(b)/2] }))
					failed, _, said := r.run(args...)
					at.server.Fault(at.path)
					if status, out, text := r.run(args...); status != 0 || out != l.out || r.read("plugins.lock.toml") != l.locked {
						t.Errorf("%v, half of %s: exit %d\n%s\nthen exit %d\n%s%s", args, at.path, failed, said, status, out, text)
					}
				}
				l.start = l.locked
			}
		})
	}
}
