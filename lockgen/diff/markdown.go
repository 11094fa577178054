package diff

import (
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// folded is the longest list of packages that is not folded.
const folded = 6

// Markdown formats changes as a comment for a pull request: one item for each
// plugin, with a summary in its first line. Everything from the lock is
// formatted as code, so that nothing in it acts as markup, a mention or a link.
// from names the older lock.
func Markdown(name, from string, changes []Change) string {
	var b strings.Builder
	if len(changes) == 0 {
		fmt.Fprintf(&b, "%s pins the same as %s.\n", code(name), code(from))
		return b.String()
	}
	fmt.Fprintf(&b, "### %s: %s since %s\n\n", code(name), plain.Count(len(changes), "change"), code(from))
	for _, c := range changes {
		if len(c.Replaced) > 0 {
			b.WriteString("> [!CAUTION]\n> Bytes changed under the same version. Upstreams promise never to do this: find out why before you merge.\n\n")
			break
		}
	}
	for _, c := range changes {
		b.WriteString("- " + code(c.Plugin) + " ")
		switch {
		case c.From == "":
			b.WriteString(version(c.To) + " is new")
		case c.To == "":
			b.WriteString(version(c.From) + " is gone\n")
			continue
		case c.From == c.To:
			b.WriteString(version(c.To))
		default:
			b.WriteString(version(c.From) + " -> " + version(c.To))
		}
		lists := []struct {
			what string
			of   []string
		}{
			{"%s with **other bytes under the same version**", c.Replaced}, {"%s new", c.New}, {"%s moved", c.Moved}, {"%s dropped", c.Gone},
		}
		var parts []string
		for _, l := range lists {
			if len(l.of) == 0 {
				continue
			}
			noun := "package"
			if l.what == lists[0].what {
				noun = "file"
			}
			parts = append(parts, newPackages(fmt.Sprintf(l.what, plain.Count(len(l.of), noun))))
		}
		for _, rest := range c.Rest {
			parts = append(parts, code(rest))
		}
		if len(parts) > 0 {
			b.WriteString(": " + strings.Join(parts, ", "))
		}
		b.WriteString("\n")
		for _, l := range lists {
			items(&b, strings.ReplaceAll(strings.TrimPrefix(l.what, "%s "), "with ", ""), l.of)
		}
	}
	return b.String()
}

// newPackages changes "2 packages new" to "2 new packages".
func newPackages(s string) string {
	if n, ok := strings.CutSuffix(s, " new"); ok {
		return strings.Replace(n, " ", " new ", 1)
	}
	return s
}

// items writes names as an item, folded if there are many.
func items(b *strings.Builder, what string, names []string) {
	if len(names) == 0 {
		return
	}
	if len(names) < folded {
		var words []string
		for _, name := range names {
			words = append(words, code(name))
		}
		fmt.Fprintf(b, "  - %s: %s\n", what, strings.Join(words, ", "))
		return
	}
	fmt.Fprintf(b, "  - <details><summary>%s: %d</summary>\n\n", strings.ReplaceAll(what, "*", ""), len(names))
	for _, name := range names {
		fmt.Fprintf(b, "    - %s\n", code(name))
	}
	b.WriteString("\n    </details>\n")
}

// code returns a text as a code span (CommonMark 0.31, 6.1).
func code(s string) string {
	s = plain.Row(s)
	fence, run := 1, 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		fence = max(fence, run+1)
	}
	pad := ""
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || s == "" {
		pad = " "
	}
	ticks := strings.Repeat("`", fence)
	return ticks + pad + s + pad + ticks
}

// version escapes a version. Of the characters that it can have, only _ is
// markup.
func version(s string) string { return strings.ReplaceAll(s, "_", `\_`) }
