package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

var textconvVerb = &cli.Verb[program]{
	Name: "textconv", Args: "FILE", Short: "print a lock in short lines; git runs it",
	Long: `With it, git diff and git log show a lock with one value a line, below the name
and version of the plugin, instead of lines of 400 characters. All that a lock
holds is in the text, every digest too, so a difference of two locks is one of
their texts. A file that is no lock, or not one as lockgen writes it, is printed
as it is. lockgen init writes the line of .gitattributes; a clone learns of the
command by:`,
	Example: `git config diff.lockgen.textconv "lockgen textconv"
git diff --no-textconv    what the file has`,
	Run: runTextconv,
}

// runTextconv is what git runs for a lock that it shows (gitattributes(5),
// "Performing text diffs of binary files"). A status but 0 would end git's own
// command.
func runTextconv(_ context.Context, p *program, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "it is run by git; see: lockgen help textconv", "lockgen textconv takes one file, got %d", len(args))
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	l, err := lock.Parse(args[0], data)
	if err != nil || !bytes.Equal(lock.Print(l), data) {
		p.ui.Result("%s", bytes.TrimSuffix(data, []byte("\n")))
		return nil
	}
	p.ui.Result("%s", strings.TrimSuffix(textconv(l), "\n"))
	return nil
}

// textconv is a lock in short lines.
func textconv(l *lock.Lock) string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema %d\n", l.Schema)
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			v := l.Plugins[name][version]
			fmt.Fprintf(&b, "\n%s %s\n", name, version)
			fields(&b, "  ", *v)
			for _, platform := range slices.Sorted(maps.Keys(v.Platforms)) {
				fmt.Fprintf(&b, "  %s\n", platform)
				fields(&b, "    ", v.Platforms[platform])
			}
			for _, key := range slices.Sorted(maps.Keys(v.Files)) {
				fmt.Fprintf(&b, "  %s\n", plain.Row(key))
				fields(&b, "    ", v.Files[key])
			}
		}
	}
	return b.String()
}

// fields writes the keys of a table that hold no tables, one a line, all of them:
// what is not written would not be seen to change.
func fields(b *strings.Builder, indent string, table any) {
	of := reflect.ValueOf(table)
	for i := range of.NumField() {
		key, _, _ := strings.Cut(of.Type().Field(i).Tag.Get("toml"), ",")
		switch value := of.Field(i); {
		case value.IsZero(), value.Kind() == reflect.Map:
		case value.Kind() == reflect.Slice:
			for _, s := range value.Interface().([]string) {
				fmt.Fprintf(b, "%s%s %s\n", indent, key, plain.Row(s))
			}
		default:
			fmt.Fprintf(b, "%s%s %s\n", indent, key, plain.Row(fmt.Sprint(value.Interface())))
		}
	}
}
