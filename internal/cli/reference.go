package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// markdown returns the reference of all verbs, which is part of docs/cli.md.
func (p *Program[T]) markdown(u *ui.UI, t *T) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n```text\n%s```\n", p.Name, p.manual(u, t))
	for _, v := range p.all(u) {
		fmt.Fprintf(&b, "\n### %s %s\n\n```text\n%s```\n", p.Name, v.Name, p.ownManual(v, t))
		if v.JSON {
			shape := p.Name + "-" + strings.ReplaceAll(v.Name, " ", "-") + ".v1.schema.json"
			fmt.Fprintf(&b, "\nWith `--json` the result is JSON: [%s](../schemas/output/%[1]s).\n", shape)
		}
	}
	return b.String()
}

// man returns the manual page of the program, in the macros of man(7).
func (p *Program[T]) man(u *ui.UI, t *T) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" buck2-protobuf \"User Commands\"\n", strings.ToUpper(p.Name))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %[1]s\n.I COMMAND\n[flags]\n.SH DESCRIPTION\n%[3]s", p.Name, roff(p.Short), roffText(p.Long))
	_, shared := p.shown(nil, t)
	fmt.Fprintf(&b, "%s.SH OPTIONS\nEvery command takes these.\n%s.SH COMMANDS\n", roffExamples(p.Example), roffFlags(shared))
	for _, v := range p.all(u) {
		own, _ := p.shown(v, t)
		fmt.Fprintf(&b, ".SS %s\n%s.PP\n%s%s%s", roff(p.usage(v)), roffText(v.Short), roffText(v.Long), roffFlags(own), roffExamples(v.Example))
		if v.JSON {
			b.WriteString(".PP\n" + roffText("With --json the result is JSON."))
		}
	}
	_, statuses, _ := strings.Cut(p.status(), "\n")
	fmt.Fprintf(&b, ".SH EXIT STATUS\n%s", roffText(statuses))
	if p.Notes != "" {
		fmt.Fprintf(&b, ".SH NOTES\n%s", roffText(p.Notes))
	}
	return b.String()
}

// roff escapes a line of text for roff, so that it has no requests or escapes.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}

// roffText formats text as paragraphs, and keeps indented lines as they are.
func roffText(text string) string {
	var b strings.Builder
	verbatim := false
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		line = strings.TrimSuffix(line, "\n")
		switch indented := strings.HasPrefix(line, "  "); {
		case indented && !verbatim:
			b.WriteString(".nf\n")
			verbatim = true
		case !indented && verbatim:
			b.WriteString(".fi\n")
			verbatim = false
		}
		if line == "" {
			line = ".PP"
		} else {
			line = roff(line)
		}
		b.WriteString(line + "\n")
	}
	if verbatim {
		b.WriteString(".fi\n")
	}
	return strings.ReplaceAll(b.String(), ".PP\n.PP\n", ".PP\n")
}

func roffExamples(text string) string {
	if text == "" {
		return ""
	}
	return ".PP\nExamples:\n.PP\n" + roffText("  "+strings.ReplaceAll(strings.Trim(text, "\n"), "\n", "\n  "))
}

func roffFlags(f *pflag.FlagSet) string {
	var b strings.Builder
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(flag)
		name := `\fB` + roff("--"+flag.Name) + `\fR`
		if flag.Shorthand != "" {
			name = `\fB` + roff("-"+flag.Shorthand) + `\fR, ` + name
		}
		if flag.NoOptDefVal == "" {
			name += ` \fI` + roff(value) + `\fR`
		}
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", name, roff(text))
	})
	return b.String()
}
