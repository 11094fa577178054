// Package cli is the command line of lockgen and fetch: a table of verbs that
// parses arguments and prints help.
//
// A [Program] has a [Verb] for each command: a value with its name, flags,
// arguments, help and function. All verbs share one T, which holds the state of
// one run. Every program has the verbs help, version and completion, and the
// flags --json, --quiet, --verbose, --color, --help and --version.
//
// A flag may come before or after its verb, up to a "--"; the words after "--"
// are arguments. A verb that runs another program ([Verb.Passes]) stops parsing
// flags at its first argument: the rest belongs to that program.
//
// An error in the command line is of class [fault.Usage]. Its hint names the
// nearest verb or flag, or the command that prints the help.
//
// Three hidden verbs are not meant for people: "PROGRAM __markdown" prints the
// program's part of docs/cli.md, "PROGRAM __man" prints its manual page, and the
// shell completion scripts run "PROGRAM __complete".
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// A Verb is one command of a program.
type Verb[T any] struct {
	Name string // one word, or two as in "cache verify"
	// Args are the arguments in the usage line, such as "NAME[@VERSION]…". If Args
	// is empty, arguments are refused before Run; otherwise Run checks their number.
	Args    string
	Short   string // what it does, in one line
	Long    string // the rest of its help, in lines of at most 80 columns
	Example string // command lines, one per line
	JSON    bool   // --json prints the result as JSON; errors are JSON for every verb
	// Passes says that the verb runs another program: what follows its first
	// argument is passed on without being parsed.
	Passes bool
	// Flags adds the flags of this verb alone; may be nil.
	Flags func(f *pflag.FlagSet, t *T)
	// Uses names the hidden flags of the program that this verb honours; its help
	// shows them.
	Uses []string
	Run  func(ctx context.Context, t *T, args []string) error
}

// A Program is a table of verbs.
type Program[T any] struct {
	Name    string
	Short   string // what the program does, in a few words
	Long    string // the same in full, in lines of at most 80 columns
	Example string // command lines, one per line
	Notes   string // the end of its help, such as environment variables
	Verbs   []*Verb[T]
	// Flags adds flags that every verb accepts; may be nil. A hidden flag is shown
	// only in the help of the verbs that use it, and is ignored by the others, so
	// that a shell alias with such flags works with every verb.
	Flags func(f *pflag.FlagSet, t *T)
	// Values returns the words that completion offers for a placeholder of the
	// help, such as NAME or PLATFORM. It stands for the value of a flag, or for an
	// argument if flag is "". May be nil.
	Values func(t *T, verb, flag, name string) []string
	// Others are words that people know from other programs, each with what to
	// write here: {"rm", "tool remove"}. They are not commands.
	Others [][2]string
	// Topics has the pages that help prints besides verbs, each as NAME.md,
	// possibly in folders; may be nil.
	Topics fs.FS
}

// colors are the values of --color.
var colors = []string{"auto", "always", "never"}

// common has the flags of every program.
type common struct {
	json, quiet, verbose, help, version bool
	color                               string
}

// A call is a parsed command line.
type call[T any] struct {
	name string   // of the verb, or the first word of several verbs
	verb *Verb[T] // nil if there is none
	args []string
	*common
}

// Parse finds the verb of a command line, sets its flags in t and the common
// flags in u, and returns the function to run. It prints nothing and runs
// nothing.
func (p *Program[T]) Parse(u *ui.UI, t *T, args []string) (run func(context.Context) error, err error) {
	if len(args) > 0 {
		switch args[0] { // hidden verbs, see the package comment
		case "__complete":
			return func(context.Context) error { return p.complete(u, t, args[1:]) }, nil
		case "__markdown":
			return func(context.Context) error { return p.print(u, p.markdown(u, t)) }, nil
		case "__man":
			return func(context.Context) error { return p.print(u, p.man(u, t)) }, nil
		}
	}
	c, err := p.parse(u, t, args)
	if err != nil {
		own := args
		if i := slices.Index(args, "--"); i >= 0 {
			own = args[:i]
		}
		u.JSON = slices.Contains(own, "--json") // not all flags were parsed
		u.SetColor(colorOf(own))
		return nil, p.hint(c.verb, err)
	}
	u.JSON, u.Quiet, u.Verbose, u.Verb = c.json, c.quiet, c.verbose, c.name
	u.SetColor(c.color)
	switch below := p.below(c.name); {
	case c.version:
		return func(context.Context) error { return p.version(u) }, nil
	case c.help:
		return func(context.Context) error { return p.help(u, t, c.name) }, nil
	case len(below) > 0:
		return nil, p.hint(nil, fault.Errorf(fault.Usage, "run: "+p.Name+" help "+c.name, "%s %s needs one of: %s", p.Name, c.name, strings.Join(below, ", ")))
	case c.verb == nil:
		return nil, p.hint(nil, fault.Errorf(fault.Usage, "", "no command given; commands are\n%s", p.list(u)))
	case c.verb.Args == "" && len(c.args) > 0:
		return nil, p.hint(c.verb, fault.Errorf(fault.Usage, "", "%s %s takes no arguments, got %q", p.Name, c.name, c.args[0]))
	}
	return func(ctx context.Context) error { return p.hint(c.verb, c.verb.Run(ctx, t, c.args)) }, nil
}

// colorOf returns the value of --color in arguments of which not all are flags that
// there are.
func colorOf(args []string) string {
	when := "auto"
	for i, arg := range args {
		value, given := strings.CutPrefix(arg, "--color=")
		if arg == "--color" && i+1 < len(args) {
			value, given = args[i+1], true
		}
		if given && slices.Contains(colors, value) {
			when = value
		}
	}
	return when
}

// hint adds a hint to a command-line error that has none.
func (p *Program[T]) hint(v *Verb[T], err error) error {
	if err == nil || fault.Of(err) != fault.Usage || fault.Hint(err) != "" {
		return err
	}
	return fault.Errorf(fault.Usage, p.moreHelp(v), "%w", err)
}

// moreHelp returns the command that prints the help of a verb, or of the program
// for nil.
func (p *Program[T]) moreHelp(v *Verb[T]) string {
	if v == nil {
		return "run: " + p.Name + " help"
	}
	return "run: " + p.Name + " help " + v.Name
}

// parse parses a command line. If it fails, the call still has the verb, if one
// was found.
func (p *Program[T]) parse(u *ui.UI, t *T, args []string) (call[T], error) {
	c, flags, err := p.find(u, t, args)
	if err != nil {
		return c, err
	}
	f, common := p.flags(c.verb, t)
	c.common = common
	passes := c.verb != nil && c.verb.Passes
	f.SetInterspersed(!passes)
	err = f.Parse(append(flags, c.args...))
	if c.args = f.Args(); passes && err == nil {
		c.args, err = passed(f, c.args)
	}
	if err != nil {
		return c, p.badFlag(c.verb, f, t, err)
	}
	return c, p.paths(c.verb, f)
}

// paths refuses an empty path, and one that a shell should have completed.
func (p *Program[T]) paths(v *Verb[T], f *pflag.FlagSet) (err error) {
	f.Visit(func(flag *pflag.Flag) {
		if value, _ := pflag.UnquoteUsage(flag); slices.Contains([]string{"DIR", "FILE", "PYTHON"}, value) && err == nil {
			if err = syntax.Expanded("--"+flag.Name, "", flag.Value.String()); flag.Value.String() == "" {
				err = fault.Errorf(fault.Usage, p.moreHelp(v), "--%s has an empty path", flag.Name)
			}
		}
	})
	return err
}

// find finds the verb: the first word that is neither a flag nor the value of
// one, or the first two words. It returns the flags before the verb.
func (p *Program[T]) find(u *ui.UI, t *T, args []string) (c call[T], flags []string, err error) {
	for len(args) > 0 && args[0] != "--" {
		if strings.HasPrefix(args[0], "-") && args[0] != "-" {
			known, _ := p.flags(nil, t) // those of every verb; seldom others
			n := leading(args, known)
			if n == 0 {
				known = p.union(t)
				n = leading(args, known)
			}
			if n == 0 {
				if err := known.Parse(args[:1]); err != nil {
					return c, nil, p.badFlag(nil, known, t, err)
				}
				n = 1
			}
			flags, args = append(flags, args[:n]...), args[n:]
			continue
		}
		c.name = strings.TrimPrefix(c.name+" "+args[0], " ")
		args = args[1:]
		if c.verb = p.verb(u, c.name); c.verb != nil {
			break
		}
		if len(p.below(c.name)) == 0 {
			return c, nil, p.unknown(u, c.name)
		}
	}
	c.args = args
	return c, flags, nil
}

// passed parses the arguments of a verb that runs another program. If there is a
// "--", flags of f may also follow the first argument.
func passed(f *pflag.FlagSet, args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	end := slices.Index(args, "--")
	if end < 1 {
		return args, nil
	}
	between := args[1:end]
	if leading(between, f) < len(between) || slices.ContainsFunc(between, func(arg string) bool { return arg == "--help" || arg == "-h" || arg == "--version" }) {
		return args, nil
	}
	rest := append([]string{args[0]}, args[end+1:]...)
	return rest, f.Parse(append(slices.Clone(between), "--"))
}

// leading counts the arguments at the front that are flags of f and their
// values.
func leading(args []string, f *pflag.FlagSet) int {
	n := 0
	for n < len(args) && len(args[n]) > 1 && args[n][0] == '-' && args[n] != "--" {
		name, long := strings.CutPrefix(args[n], "--")
		if !long {
			for i := 1; i < len(args[n]); i++ { // short flags have no value
				if f.ShorthandLookup(args[n][i:i+1]) == nil {
					return n
				}
			}
			n++
			continue
		}
		name, _, valued := strings.Cut(name, "=")
		flag := f.Lookup(name)
		if flag == nil {
			return n
		}
		if n++; !valued && flag.NoOptDefVal == "" {
			n++
		}
	}
	return min(n, len(args))
}

// flags returns the flags of a verb, or of the program for nil.
func (p *Program[T]) flags(v *Verb[T], t *T) (*pflag.FlagSet, *common) {
	f := pflag.NewFlagSet(p.Name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.SetOutput(io.Discard)
	if v != nil && v.Flags != nil {
		v.Flags(f, t)
	}
	if p.Flags != nil {
		p.Flags(f, t)
	}
	c := &common{}
	if v == nil || v.JSON {
		f.BoolVar(&c.json, "json", false, "print the result, or the error, as JSON")
	} else {
		f.BoolVar(&c.json, "json", false, "print an error as JSON")
	}
	f.BoolVarP(&c.quiet, "quiet", "q", false, "only errors and warnings")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "details as well")
	Choice(f, &c.color, "color", "auto", "colour errors: `WHEN` is auto (the default), always or never", colors...)
	f.BoolVarP(&c.help, "help", "h", false, "this text")
	f.BoolVar(&c.version, "version", false, "the version of "+p.Name)
	return f, c
}

// union returns the flags of all verbs.
func (p *Program[T]) union(t *T) *pflag.FlagSet {
	all, _ := p.flags(nil, t)
	for _, v := range p.Verbs {
		if v.Flags != nil {
			f, _ := p.flags(v, t)
			f.VisitAll(func(flag *pflag.Flag) {
				if all.Lookup(flag.Name) == nil {
					all.AddFlag(flag)
				}
			})
		}
	}
	return all
}

// badFlag turns an error of parsing f into one for the user.
func (p *Program[T]) badFlag(v *Verb[T], f *pflag.FlagSet, t *T, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return fault.Errorf(fault.Usage, "", "%w", err)
	}
	name := unknown.GetSpecifiedName()
	var of []string
	for _, other := range p.Verbs {
		if g, _ := p.flags(other, t); g.Lookup(name) != nil {
			of = append(of, p.Name+" "+other.Name)
		}
	}
	if len(of) > 0 {
		return fault.Errorf(fault.Usage, "", "--%s is a flag of %s", name, strings.Join(of, " and "))
	}
	var known []string
	f.VisitAll(func(flag *pflag.Flag) { known = append(known, flag.Name) })
	hint := p.moreHelp(v)
	if near := fault.Nearest(name, known); near != "" {
		hint = "did you mean --" + near + "? otherwise " + hint
	}
	return fault.Errorf(fault.Usage, hint, "%w", err)
}

// all returns the verbs of the table and those of every program.
func (p *Program[T]) all(u *ui.UI) []*Verb[T] {
	return append(slices.Clone(p.Verbs),
		&Verb[T]{
			Name: "help", Args: "[COMMAND|TOPIC]", Short: "show how to use a command", Example: p.Name + " help " + p.Verbs[0].Name,
			Long: "Without an argument it lists the commands. COMMAND --help prints the same.",
			Run:  func(_ context.Context, t *T, args []string) error { return p.help(u, t, strings.Join(args, " ")) },
		},
		&Verb[T]{
			Name: "version", Short: "print the version of this program", Example: p.Name + " version --json", JSON: true,
			Long: "Prints the version of the module, the schema of plugins.lock.toml that the\nprogram reads, and the commit it was built from, as far as Go recorded them.",
			Run:  func(context.Context, *T, []string) error { return p.version(u) },
		},
		p.completion(u))
}

// verb returns the verb with a name, or nil.
func (p *Program[T]) verb(u *ui.UI, name string) *Verb[T] {
	for _, v := range p.Verbs {
		if v.Name == name {
			return v
		}
	}
	all := p.all(u)
	if i := slices.IndexFunc(all, func(v *Verb[T]) bool { return v.Name == name }); i >= 0 {
		return all[i]
	}
	return nil
}

// below returns the second words of the verbs whose first word is name.
func (p *Program[T]) below(name string) (words []string) {
	for _, v := range p.Verbs {
		if second, ok := strings.CutPrefix(v.Name, name+" "); ok {
			words = append(words, second)
		}
	}
	return words
}

// unknown returns the error for a verb that does not exist.
func (p *Program[T]) unknown(u *ui.UI, name string) error {
	first, second, _ := strings.Cut(name, " ")
	if names := p.below(first); len(names) > 0 {
		return fault.Errorf(fault.Usage, fault.DidYouMean(second, names, "they are "+strings.Join(names, ", ")), "%s %s has no command %q", p.Name, first, second)
	}
	var names []string
	for _, v := range p.all(u) {
		names = append(names, v.Name)
	}
	commands := "commands are " + strings.Join(names, ", ")
	for _, other := range p.Others {
		if other[0] == name {
			return fault.Errorf(fault.Usage, "write: "+other[1]+"; "+commands, "unknown command %q", name)
		}
	}
	return fault.Errorf(fault.Usage, fault.DidYouMean(name, names, commands), "unknown command %q", name)
}

// A Version is what --json prints for version.
type Version struct {
	Version string `json:"version"`     // of the module; "devel" if Go recorded none
	Schema  int    `json:"lock_schema"` // of plugins.lock.toml
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"` // built from changed files
	Go      string `json:"go"`
}

// Built returns what Go recorded when the program was built.
func Built() Version {
	b := build.Read()
	return Version{b.Version, lock.Schema, b.Commit, b.Dirty, runtime.Version()}
}

// version prints the [Version] of the program.
func (p *Program[T]) version(u *ui.UI) error {
	v := Built()
	if u.JSON {
		u.Verb = "version" // or the flag
		return u.Data(v)
	}
	commit := ""
	if v.Commit != "" {
		commit = ", commit " + v.Commit[:min(12, len(v.Commit))]
	}
	u.Result("%s %s (lock schema %d%s)", p.Name, v.Version, v.Schema, commit)
	return nil
}

// choice is a flag that accepts a few values.
type choice struct {
	value  *string
	values []string
}

// String implements [pflag.Value].
func (c *choice) String() string { return *c.value }

// Type implements [pflag.Value].
func (c *choice) Type() string { return "string" }

// Set implements [pflag.Value].
func (c *choice) Set(value string) error {
	if !slices.Contains(c.values, value) {
		return fmt.Errorf("write one of %s", strings.Join(c.values, ", "))
	}
	*c.value = value
	return nil
}

// Choice adds a flag that accepts only the given values.
func Choice(f *pflag.FlagSet, s *string, name, value, usage string, values ...string) {
	*s = value
	f.Var(&choice{s, values}, name, usage)
}
