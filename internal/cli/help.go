package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// columns is the greatest width of help.
const columns = 80

// help prints the help of the program, of a verb, or a topic.
func (p *Program[T]) help(u *ui.UI, t *T, name string) error {
	var text string
	switch v := p.verb(u, name); {
	case name == "":
		text = p.manual(u, t)
	case v != nil:
		text = p.verbManual(v, t)
	case len(p.below(name)) > 0:
		for i, second := range p.below(name) {
			if i > 0 {
				text += "\n"
			}
			text += p.verbManual(p.verb(u, name+" "+second), t)
		}
	default:
		page, err := p.topic(name)
		if err != nil {
			return err
		}
		if page == "" {
			return p.unknownTopic(u, name)
		}
		text = page
	}
	return p.print(u, text)
}

func (p *Program[T]) print(u *ui.UI, text string) error {
	u.Result("%s", strings.TrimRight(text, "\n"))
	return nil
}

// topics returns the names of the pages, with their folders.
func (p *Program[T]) topics() (names []string) {
	if p.Topics == nil {
		return nil
	}
	fs.WalkDir(p.Topics, ".", func(page string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(page, ".md"); ok {
			names = append(names, name)
		}
		return err
	})
	return names
}

// topic returns a page by NAME, or a section by NAME#HEADING; the name may also
// be a path or URL as errors print it. It returns "" if there is none.
func (p *Program[T]) topic(name string) (string, error) {
	name, heading, section := strings.Cut(name, "#")
	if rest, ok := strings.CutPrefix(name, build.Home+"/blob/"); ok { // as in the help line of an error
		_, name, _ = strings.Cut(rest, "/")
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "docs/"), ".md")
	if !slices.Contains(p.topics(), name) {
		return "", nil
	}
	text, err := fs.ReadFile(p.Topics, name+".md")
	if err != nil || !section {
		return string(text), err
	}
	var b strings.Builder
	depth, code := 0, false
	for line := range strings.Lines(string(text)) {
		marks, title, _ := strings.Cut(line, " ")
		code = code != strings.HasPrefix(line, "```")
		if !code && marks != "" && strings.Trim(marks, "#") == "" { // a heading
			switch {
			case depth > 0 && len(marks) <= depth:
				return b.String(), nil
			case depth == 0 && anchor(title) == strings.ToLower(heading):
				depth = len(marks)
			}
		}
		if depth > 0 {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// anchor is what a forge makes of a heading for links: no punctuation but - and _, and
// dashes for spaces.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

// unknownTopic returns the error for a name that is neither a verb nor a page.
func (p *Program[T]) unknownTopic(u *ui.UI, name string) error {
	err := p.unknown(u, name)
	topics := p.topics()
	if near := fault.Nearest(name, topics); near != "" || len(topics) > 0 && !strings.HasPrefix(fault.Hint(err), "did you mean") {
		hint := fault.DidYouMean(name, topics, fault.Hint(err)+"; topics are "+strings.Join(topics, ", "))
		return fault.Errorf(fault.Usage, hint, "unknown command or topic %q", name)
	}
	return err
}

// usage returns the usage line of a verb.
func (p *Program[T]) usage(v *Verb[T]) string {
	line := p.Name + " " + v.Name
	if v.Passes { // flags end at the first argument
		line += " [flags]"
	}
	if v.Args != "" {
		line += " " + v.Args
	}
	if !v.Passes {
		line += " [flags]"
	}
	return line
}

// verbManual returns the help of a verb.
func (p *Program[T]) verbManual(v *Verb[T], t *T) string {
	_, shared := p.shown(v, t)
	return p.ownManual(v, t) + "\nflags of every command:\n" + flagTable(shared) + "\n" + p.status()
}

// ownManual returns the help of a verb without the parts that all verbs share.
func (p *Program[T]) ownManual(v *Verb[T], t *T) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s\n\n%s\n", p.usage(v), v.Short)
	if v.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.Trim(v.Long, "\n"))
	}
	writeExample(&b, v.Example)
	if own, _ := p.shown(v, t); own.HasFlags() {
		b.WriteString("\nflags:\n" + flagTable(own))
	}
	return b.String()
}

// shown returns the flags that help shows: those of the verb, including the
// program's flags that it uses, and those of every verb.
func (p *Program[T]) shown(v *Verb[T], t *T) (own, shared *pflag.FlagSet) {
	of := func() *pflag.FlagSet {
		f := pflag.NewFlagSet(p.Name, pflag.ContinueOnError)
		f.SortFlags = false
		return f
	}
	own, shared = of(), of()
	program, _ := p.flags(nil, t)
	f, _ := p.flags(v, t)
	f.VisitAll(func(flag *pflag.Flag) {
		switch {
		case v != nil && slices.Contains(v.Uses, flag.Name):
			flag.Hidden = false
			own.AddFlag(flag)
		case program.Lookup(flag.Name) == nil:
			own.AddFlag(flag)
		default:
			shared.AddFlag(flag)
		}
	})
	return own, shared
}

// flagTable formats flags and their descriptions in two columns.
func flagTable(f *pflag.FlagSet) string {
	const column = 26
	var b strings.Builder
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(flag)
		line := "      --" + flag.Name
		if flag.Shorthand != "" {
			line = "  -" + flag.Shorthand + ", --" + flag.Name
		}
		if flag.NoOptDefVal == "" {
			line += " " + value
		}
		if len(line) > column-2 {
			b.WriteString(line + "\n")
			line = ""
		}
		for _, word := range strings.Fields(text) {
			if n := len([]rune(line)); n > column && n+1+len([]rune(word)) > columns {
				b.WriteString(line + "\n")
				line = ""
			}
			if len([]rune(line)) < column {
				line = fmt.Sprintf("%-*s%s", column, line, word)
			} else {
				line += " " + word
			}
		}
		b.WriteString(line + "\n")
	})
	return b.String()
}

func writeExample(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	b.WriteString("\nexamples:\n")
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		b.WriteString("  " + line)
	}
}

// manual returns the help of the program.
func (p *Program[T]) manual(u *ui.UI, t *T) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nusage: %s COMMAND [flags]\n", strings.Trim(p.Long, "\n"), p.Name)
	writeExample(&b, p.Example)
	b.WriteString("\ncommands:\n" + p.list(u))
	fmt.Fprintf(&b, "\nRun \"%s help COMMAND\" for details.\n", p.Name)
	if topics := p.topics(); len(topics) > 0 {
		fmt.Fprintf(&b, "Run \"%s help TOPIC\" for a page of the manual:\n", p.Name)
		line := " "
		for _, topic := range topics {
			if len(line)+1+len(topic) > 80 {
				b.WriteString(line + "\n")
				line = " "
			}
			line += " " + topic
		}
		b.WriteString(line + "\n")
	}
	_, shared := p.shown(nil, t)
	b.WriteString("\nflags of every command:\n" + flagTable(shared))
	if p.Notes != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.Trim(p.Notes, "\n"))
	}
	b.WriteString("\n" + p.status())
	return b.String()
}

// list returns a line for each verb.
func (p *Program[T]) list(u *ui.UI) string {
	var b strings.Builder
	width := 0
	all := p.all(u)
	for _, v := range all {
		width = max(width, len(v.Name))
	}
	for _, v := range all {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, v.Name, v.Short)
	}
	return b.String()
}

// status lists the exit statuses, which are those of [fault.Class].
func (p *Program[T]) status() string {
	return `exit status:
    0  ok
    1  a bug in ` + p.Name + `
    2  the command line or plugins.toml
    3  plugins.lock.toml is missing, malformed or out of date
    4  the network, a registry or a server
    5  integrity: bytes are not what was promised or locked
    6  refused by a rule: clear text, scripts, git dependencies, [policy]
    7  this machine: disk, permission, a missing or too old npm, pip or cargo
  130  interrupted
`
}

// Check reports mistakes in the table: a verb without help, a line that is too
// wide, a flag that takes a value in one verb and none in another. It is for the
// tests of a program.
func (p *Program[T]) Check(t *T) error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	u := ui.New(p.Name, nil, nil)
	arity := map[string]string{}
	wide := func(what, text string) {
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns {
				bad("%s: a line of %d columns: %s", what, n, line)
			}
		}
	}
	wide("the manual", p.manual(u, t))
	for _, v := range p.all(u) {
		if v.Short == "" || v.Long == "" || v.Example == "" || v.Run == nil {
			bad("%s: no text, no example or nothing to run", v.Name)
		}
		wide(v.Name, p.verbManual(v, t))
		f, _ := p.flags(v, t)
		f.VisitAll(func(flag *pflag.Flag) {
			if flag.Usage == "" {
				bad("%s: --%s has no text", v.Name, flag.Name)
			}
			if flag.Shorthand != "" && flag.NoOptDefVal == "" {
				bad("%s: -%s takes a value", v.Name, flag.Shorthand)
			}
			if before, ok := arity[flag.Name]; ok && before != flag.NoOptDefVal {
				bad("%s: --%s takes a value in one verb and none in another", v.Name, flag.Name)
			}
			arity[flag.Name] = flag.NoOptDefVal
		})
		for _, name := range v.Uses {
			if f.Lookup(name) == nil {
				bad("%s uses --%s, which does not exist", v.Name, name)
			}
		}
	}
	return errors.Join(faults...)
}
