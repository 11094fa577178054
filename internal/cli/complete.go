package cli

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// scripts are the completion scripts of the shells, with PROGRAM in place of the
// name. Each runs the hidden verb __complete with the words after the program's
// name. The last word is the one to complete; it is prefixed with "=", because
// some shells drop an empty word. The output has one candidate per line, followed
// by a tab and a description if there is one; ":files" and ":dirs" ask the shell
// to complete paths.
//
//go:embed completion.*
var scripts embed.FS

var shells = []string{"bash", "zsh", "fish", "powershell"}

// completion returns the verb that prints a script.
func (p *Program[T]) completion(u *ui.UI) *Verb[T] {
	return &Verb[T]{
		Name: "completion", Args: "SHELL", Short: "print the completion script of a shell",
		Long: `SHELL is bash, zsh, fish or powershell. The shell then completes commands, flags
and their values, and the names of plugins.`,
		Example: fmt.Sprintf(`echo 'source <(%[1]s completion bash)' >> ~/.bashrc
%[1]s completion zsh > "${fpath[1]}/_%[1]s"
%[1]s completion fish > ~/.config/fish/completions/%[1]s.fish
%[1]s completion powershell >> $PROFILE`, p.Name),
		Run: func(_ context.Context, _ *T, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return fault.Errorf(fault.Usage, fault.DidYouMean(strings.Join(args, " "), shells, "run: "+p.Name+" completion bash"), "completion takes one of %s", strings.Join(shells, ", "))
			}
			script, err := scripts.ReadFile("completion." + args[0])
			if err != nil {
				return err
			}
			return p.print(u, strings.ReplaceAll(string(script), "PROGRAM", p.Name))
		},
	}
}

// complete prints the candidates for the last of words.
func (p *Program[T]) complete(u *ui.UI, t *T, words []string) error {
	if len(words) == 0 {
		return nil
	}
	last := len(words) - 1
	word := strings.TrimPrefix(words[last], "=")
	for _, c := range p.candidates(u, t, words[:last], word) {
		// Versions are offered only after the name of a plugin.
		if strings.HasPrefix(c, word) && strings.Contains(word, "@") == strings.Contains(c, "@") || c == files || c == dirs {
			u.Result("%s", c)
		}
	}
	return nil
}

const files, dirs = ":files", ":dirs"

// candidates returns words that may follow before. The caller keeps those that
// begin with the word.
func (p *Program[T]) candidates(u *ui.UI, t *T, before []string, word string) []string {
	c, flags, err := p.find(u, t, before)
	if err != nil {
		return nil
	}
	f, _ := p.flags(c.verb, t)
	if c.verb == nil {
		f = p.union(t)
	}
	passes := c.verb != nil && c.verb.Passes
	f.SetInterspersed(!passes)
	err = f.Parse(append(flags, c.args...)) // for --lock; other errors are reported when the command runs
	var waits *pflag.ValueRequiredError
	if errors.As(err, &waits) {
		return p.values(t, c.verb, waits.GetFlag())
	}
	dashed := f.ArgsLenAtDash() >= 0
	switch {
	case passes && f.NArg() > 0:
		return []string{files}
	case strings.HasPrefix(word, "--") && strings.Contains(word, "=") && !dashed:
		name, _, _ := strings.Cut(word, "=")
		var list []string
		if flag := f.Lookup(name[2:]); flag != nil {
			for _, v := range p.values(t, c.verb, flag) {
				if !strings.HasPrefix(v, ":") {
					v = name + "=" + v
				}
				list = append(list, v)
			}
		}
		return list
	case strings.HasPrefix(word, "-") && !dashed:
		return flagNames(c.verb, f)
	case c.verb == nil:
		return p.words(u, c.name)
	}
	places := strings.Fields(c.verb.Args)
	n := f.NArg()
	if len(places) > 0 && strings.Contains(places[len(places)-1], "…") {
		n = min(n, len(places)-1)
	}
	if n >= len(places) {
		return nil
	}
	return p.placed(u, t, c.verb, places[n])
}

// flagNames returns the flags that help shows, with their descriptions.
func flagNames[T any](v *Verb[T], f *pflag.FlagSet) (list []string) {
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden || v != nil && slices.Contains(v.Uses, flag.Name) {
			_, text := pflag.UnquoteUsage(flag)
			list = append(list, "--"+flag.Name+"\t"+text)
		}
	})
	return list
}

// words returns the verbs, or the second words of those that begin with first.
func (p *Program[T]) words(u *ui.UI, first string) (list []string) {
	for _, v := range p.all(u) {
		name, second, two := strings.Cut(v.Name, " ")
		text := "\t" + v.Short
		switch {
		case first != "" && two && name == first:
			list = append(list, second+text)
		case first == "" && two && !slices.Contains(list, name):
			list = append(list, name)
		case first == "" && !two:
			list = append(list, name+text)
		}
	}
	return list
}

// values returns the values of a flag.
func (p *Program[T]) values(t *T, v *Verb[T], flag *pflag.Flag) []string {
	if c, ok := flag.Value.(*choice); ok {
		return c.values
	}
	name, _ := pflag.UnquoteUsage(flag)
	return p.named(t, v, flag.Name, name)
}

// placed returns the values of an argument, such as "[NAME[@VERSION]…]".
func (p *Program[T]) placed(u *ui.UI, t *T, v *Verb[T], place string) []string {
	place, _, _ = strings.Cut(strings.TrimPrefix(place, "["), "[")
	place = strings.TrimRight(place, "]…")
	switch place {
	case "SHELL":
		return shells
	case "COMMAND|TOPIC":
		return append(p.words(u, ""), p.topics()...)
	}
	return p.named(t, v, "", place)
}

// named returns the values for a placeholder of a flag or an argument: paths, or
// those of [Program.Values].
func (p *Program[T]) named(t *T, v *Verb[T], flag, name string) []string {
	switch {
	case name == "DIR":
		return []string{dirs}
	case strings.Contains(name, "FILE"):
		return []string{files}
	case p.Values == nil:
		return nil
	case v == nil: // a flag before its verb
		v = &Verb[T]{}
	}
	return p.Values(t, v.Name, flag, name)
}
