package main

import (
	"context"
	"os"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// runMergeDriver is what git runs for a lock that both branches changed
// (gitattributes(5), "Defining a custom merge driver"): the files of the common
// ancestor, of ours and of theirs; the result replaces that of ours. Any status
// but 0 tells git of a conflict, and git refuses to go on above 128.
func runMergeDriver(_ context.Context, p *program) error {
	if len(p.args) != 3 {
		return fault.Errorf(fault.Usage, "it is run by git; see: lockgen help merge-driver", "lockgen merge-driver takes three files, got %d", len(p.args))
	}
	var locks [3]*lock.Lock
	for i, name := range p.args {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if i == 0 && len(data) == 0 { // both sides added it
			locks[i] = &lock.Lock{Schema: lock.Schema}
			continue
		}
		if locks[i], err = lock.Parse([]string{"the common ancestor", "our lock", "their lock"}[i], data); err != nil {
			return fault.Errorf(fault.Lock, "take either side of the lock whole, then run: lockgen update", "%w", err)
		}
	}
	text, conflicts := lock.Merge(locks[0], locks[1], locks[2])
	if err := replace(p.args[1], text); err != nil {
		return err
	}
	if len(conflicts) == 0 {
		return nil
	}
	var b strings.Builder
	for _, c := range conflicts {
		b.WriteString("\n" + c.String())
	}
	return fault.Errorf(fault.Lock, "settle plugins.toml, take either side of the lock whole, then run: lockgen update",
		"%s in the lock:%s", count(len(conflicts), "conflict"), b.String())
}
