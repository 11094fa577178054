// Bench compares this project with other tools, side by side and by turns, on the
// machine that it runs on:
//
//	bench/run [--quick] [--only REGEXP] [--out DIR] [--page FILE]
//
// It runs the benchmarks of the packages, each of which measures both sides in
// one run, and writes what they report as a table in Markdown, which it prints as
// well, and as plots in SVG. What cannot run here, for a tool is missing, is a row
// that says so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

// An order is what a command line asks for.
type order struct {
	quick     bool
	out, page string
	chosen    []benchmark
}

// read reads a command line. It returns nil where only the help was wanted.
func read(args []string) (*order, error) {
	f := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	quick := f.Bool("quick", false, "fewer runs of less, in a few minutes")
	only := f.String("only", "", "only benchmarks whose GROUP/NAME this `REGEXP` finds, such as locks or transfer/HTTP")
	out := f.String("out", filepath.Join("dist", "bench"), "the `DIR` to write table.md and the plots to")
	page := f.String("page", "", "the page of Markdown whose section \""+lastRun+"\" becomes the table")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil, nil
		}
		return nil, err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	o := &order{quick: *quick, out: *out, page: *page}
	var known []string
	for _, b := range benchmarks {
		known = append(known, b.id())
		if wanted.MatchString(b.id()) {
			o.chosen = append(o.chosen, b)
		}
	}
	if len(o.chosen) == 0 || f.NArg() > 0 {
		return nil, fmt.Errorf("no benchmark is called %q; there are %s", strings.Join(append(f.Args(), *only), " "), strings.Join(known, ", "))
	}
	return o, nil
}

// run measures what the arguments name, and writes the report.
func run(ctx context.Context, args []string, stdout, log io.Writer) error {
	o, err := read(args)
	if o == nil {
		return err
	}
	r := report{machine: thisMachine(), quick: o.quick}
	for _, b := range o.chosen {
		fmt.Fprintf(log, "bench: %s\n", b.id())
		found, err := b.run(ctx, o.quick)
		if err != nil {
			return err
		}
		r.add(b, found)
	}
	r.machine.loadAfter = load()
	r.machine.tools = versions(ctx, r.used)
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for name, text := range r.plots() {
		if err := os.WriteFile(filepath.Join(o.out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	table := r.markdown()
	if err := os.WriteFile(filepath.Join(o.out, "table.md"), []byte(table+r.pictures()), 0o644); err != nil {
		return err
	}
	if o.page != "" {
		text, err := os.ReadFile(o.page)
		if err != nil {
			return err
		}
		changed, err := replaceSection(string(text), table)
		if err != nil {
			return fmt.Errorf("%s: %w", o.page, err)
		}
		if err := os.WriteFile(o.page, []byte(changed), 0o644); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(stdout, table); err != nil {
		return err
	}
	if len(r.failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(r.failed, ", "))
	}
	return nil
}
