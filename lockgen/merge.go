package main

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

var mergeDriverVerb = &cli.Verb[program]{
	Name: "merge-driver", Args: "BASE OURS THEIRS", Short: "merge two locks, for git",
	Long: `Branches that change different plugins merge without it. It resolves what git
cannot: tables that were added or changed side by side. A plugin that both
branches changed is a conflict, and the file then has both sides between git's
markers. To resolve it, merge plugins.toml, take either side of the whole lock,
and run lockgen update. Register the driver once for each clone:`,
	Example: `git config merge.lockgen.name "lock of protoc plugins"
git config merge.lockgen.driver "lockgen merge-driver %O %A %B"
lockgen init                   adds merge=lockgen to .gitattributes`,
	Run: runMergeDriver, Flags: dryRunFlag,
}

// runMergeDriver is what git runs for a lock that both branches changed
// (gitattributes(5), "Defining a custom merge driver"), with the files of the
// common ancestor, of ours and of theirs. The result replaces ours. A status
// other than 0 means a conflict; above 128, git gives up.
func runMergeDriver(_ context.Context, p *program, args []string) error {
	if len(args) != 3 {
		return fault.Errorf(fault.Usage, "git runs this command; see: lockgen help merge-driver", "lockgen merge-driver takes three files, got %d", len(args))
	}
	var locks [3]*lock.Lock
	var before [3][]byte
	for i, name := range args {
		data, err := input.File(name)
		if err != nil {
			return err
		}
		before[i] = data
		if i == 0 && len(data) == 0 { // added on both sides
			locks[i] = &lock.Lock{Schema: lock.Schema}
			continue
		}
		if locks[i], err = lock.Parse([]string{"the common ancestor", "our lock", "their lock"}[i], data); err != nil {
			return fault.Errorf(fault.Lock, "take either side of the whole lock, then run: lockgen update", "%w", err)
		}
	}
	text, conflicts := diff.Merge(locks[0], locks[1], locks[2])
	if err := files.Put(p.ui, p.dryRun, files.Write{Name: args[1], Before: before[1], After: text}); err != nil {
		return err
	}
	if len(conflicts) == 0 {
		return nil
	}
	var b strings.Builder
	for _, c := range conflicts {
		b.WriteString("\n" + c.String())
	}
	return fault.Errorf(fault.Lock, "merge plugins.toml, take either side of the whole lock, then run: lockgen update",
		"%s in the lock:%s", plain.Count(len(conflicts), "conflict"), b.String())
}
