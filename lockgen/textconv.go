package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
)

var textconvVerb = &cli.Verb[program]{
	Name: "textconv", Args: "FILE", Short: "print a lock in short lines, for git",
	Long: `With it, git diff and git log show a lock with one value per line, below the
name and version of the plugin, instead of lines of 400 characters. The text has
everything that is in the lock, including all digests, so two locks differ only
if their texts differ. A file that is not a lock as lockgen writes it is printed
unchanged. lockgen init writes the line of .gitattributes; to enable the command
in a clone, run:`,
	Example: `git config diff.lockgen.textconv "lockgen textconv"
git diff --no-textconv    what the file has`,
	Run: runTextconv,
}

// runTextconv is what git runs to show a lock (gitattributes(5), "Performing
// text diffs of binary files"). A status other than 0 would end git's own
// command.
func runTextconv(_ context.Context, p *program, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "git runs this command; see: lockgen help textconv", "lockgen textconv takes one file, got %d", len(args))
	}
	data, err := input.File(args[0])
	if err != nil {
		return err
	}
	l, err := lock.Parse(args[0], data)
	if err != nil || !bytes.Equal(lock.Print(l), data) {
		p.ui.Result("%s", bytes.TrimSuffix(data, []byte("\n")))
		return nil
	}
	p.ui.Result("%s", strings.TrimSuffix(diff.Text(l), "\n"))
	return nil
}
