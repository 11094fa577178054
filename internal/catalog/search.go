package catalog

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// A Match is a plugin or a proto package that matches a search.
type Match struct {
	Name string
	// About is a line for people: that of the recipe, or the language that the
	// program generates by itself.
	About string

	rank  int  // smaller is better
	whole bool // each search word is a whole word of the plugin
}

// synonyms maps other names of a language or subject to the one in recipes.
var synonyms = map[string]string{
	"c++": "cpp", "cc": "cpp", "cxx": "cpp", "c#": "csharp", "cs": "csharp", "dotnet": "csharp", "golang": "go", "js": "javascript",
	"kt": "kotlin", "nodejs": "node", "objectivec": "objc", "py": "python", "python3": "python", "rb": "ruby", "rs": "rust", "ts": "typescript",
	"connectrpc": "connect", "docs": "documentation", "rest": "gateway", "swagger": "openapi",
}

// wordsOf splits a text into words, without those that only say that it is a
// plugin of protoc, unless there are no others.
func wordsOf(text string) []string {
	text = strings.NewReplacer("c++", "cpp", "c#", "csharp", "objective-c", "objc", "node.js", "nodejs").Replace(strings.ToLower(text))
	words := strings.FieldsFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	if len(words) == 0 {
		return strings.Fields(text) // which nothing has
	}
	left := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "protoc" || w == "gen" })
	if len(left) == 0 {
		return words
	}
	return left
}

// Search returns the plugins whose name, language, packages or description have
// all words of a text, the best first; all plugins if there are no words.
func (c *Catalog) Search(text string) []Match {
	words := wordsOf(text)
	var found []Match
	for _, name := range c.Names() {
		r := c.plugins[name]
		m := Match{Name: name, About: r.About, whole: true}
		places := c.places(name)
		for _, word := range words {
			rank := none
			for _, w := range []string{word, synonyms[word]} {
				if w != "" {
					rank = min(rank, rankOf(w, places))
				}
			}
			if m.rank += rank; rank == none {
				m.rank = -1
				break
			}
			m.whole = m.whole && rank < 4
		}
		if of := r.generator(words); of != "" {
			m.rank, m.whole, m.About = 0, true, fmt.Sprintf("makes %s itself: --%s_out", of, of)
		}
		if m.rank >= 0 {
			found = append(found, m)
		}
	}
	own := func(m Match) int { // exact names or packages first, then plugins with a Buck2 rule
		r := c.plugins[m.Name]
		switch {
		case len(words) == 0:
			return 0
		case m.Name == text || slices.ContainsFunc(r.Sources, func(s manifest.Alternative) bool { return s.Source.Name == text || s.Source.String() == text }):
			return 0
		case r.Rule != "" || r.Makes != nil:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(found, func(a, b Match) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(own(a), own(b))) })
	return found
}

// places returns the words of a plugin, the most important first.
func (c *Catalog) places(name string) [4][]string {
	r := c.plugins[name]
	names := wordsOf(name)
	if slices.Equal(names, []string{"protoc"}) {
		names = append(names, "protobuf")
	}
	for also, of := range c.called {
		if of == name {
			names = append(names, wordsOf(also)...)
		}
	}
	var packages []string
	for _, s := range r.Sources {
		program := strings.TrimSuffix(path.Base(s.Binary), ".js") // not "js": whatever node runs is JavaScript
		packages = append(packages, wordsOf(s.Source.String()+" "+s.Main+" "+program)...)
	}
	return [4][]string{names, wordsOf(r.Rule), packages, wordsOf(r.About)}
}

// none is the rank of a word that is not found: twice the number of places. A
// whole word in a place has the rank of the place; a part of a word comes after
// all whole words.
const none = 8

// rankOf returns the best rank of a word in some places.
func rankOf(word string, places [4][]string) int {
	best := none
	for i, place := range places {
		for _, w := range place {
			switch {
			case w == word:
				best = min(best, i)
			case word == "java" && w == "javascript":
			case len(word) > 2 && strings.HasPrefix(w, word), len(word) > 3 && strings.Contains(w, word):
				best = min(best, 4+i)
			}
		}
	}
	return best
}

// generator returns the language among those built into r that the words name,
// or "" if they do not name one and nothing else.
func (r Recipe) generator(words []string) string {
	if len(words) != 1 {
		return ""
	}
	for _, of := range r.Makes {
		if words[0] == of || synonyms[words[0]] == of {
			return of
		}
	}
	return ""
}

// atMost limits the plugins that an error suggests.
const atMost = 8

// Unknown returns an error of class [fault.Usage] that explains why a name has
// no recipe: it cannot be locked, protoc generates it itself, it is a word
// about several plugins, it is misspelt, or it is unknown. It returns nil for a
// name with a recipe.
func (c *Catalog) Unknown(name string) error {
	if _, ok := c.plugins[name]; ok {
		return nil
	}
	if err := c.Refused(name); err != nil {
		return err
	}
	if of := c.called[name]; of != "" {
		return fault.Errorf(fault.Usage, "write "+of+"; for another plugin with this name, set source and binary", "plugin %q is known as %s", name, of)
	}
	matches := c.Search(name)
	if len(wordsOf(name)) == 0 {
		matches = nil
	}
	whole := len(matches) > 0 && matches[0].whole
	if language, ok := strings.CutPrefix(name, "protoc-gen-"); ok && whole {
		m := matches[0]
		if of := c.plugins[m.Name].generator([]string{strings.ToLower(language)}); of != "" {
			hint := fmt.Sprintf("write %s, and run it with --%s_out", m.Name, of)
			if len(matches) > 1 {
				hint += "; there are also\n" + lines(matches[1:], name)
			}
			return fault.Errorf(fault.Usage, hint, "there is no plugin %s: %s %s", name, m.Name, m.About)
		}
	}
	if near := c.Nearest(name); near != "" && !whole {
		return fault.Errorf(fault.Usage, "did you mean "+near+"?", "unknown plugin %q", name)
	}
	switch len(matches) {
	case 0:
		return fault.Errorf(fault.Usage,
			fmt.Sprintf("say where it is, with lockgen add npm:NAME, pip:NAME, cargo:NAME or go:PACKAGE, or with version, source and binary in [plugins.%s]; to list the known names: lockgen search", name),
			"unknown plugin %q", name)
	case 1:
		return fault.Errorf(fault.Usage, fmt.Sprintf("did you mean %s (%s)?", matches[0].Name, matches[0].About), "unknown plugin %q", name)
	}
	return fault.Errorf(fault.Usage, "did you mean one of these?\n"+lines(matches, name), "unknown plugin %q", name)
}

// lines formats matches for a message about a name.
func lines(matches []Match, name string) string {
	width := 0
	shown := matches[:min(atMost, len(matches))]
	for _, m := range shown {
		width = max(width, len(m.Name))
	}
	var b strings.Builder
	for i, m := range shown {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%-*s  %s", width, m.Name, m.About)
	}
	if more := len(matches) - len(shown); more > 0 {
		fmt.Fprintf(&b, "\nand %d more: lockgen search %s", more, strings.Join(wordsOf(name), " "))
	}
	return b.String()
}

// At returns the names of the recipes for a source: a package of an ecosystem,
// a Go module or main package, or a repository on GitHub. If one of several has
// the name of the package, it returns only that one.
func (c *Catalog) At(from manifest.Source) []string {
	var found []string
	for _, name := range c.Names() {
		if slices.ContainsFunc(c.plugins[name].Sources, func(s manifest.Alternative) bool { return isAt(s, from) }) {
			found = append(found, name)
		}
	}
	for _, name := range found {
		if strings.HasSuffix(from.Name, "/"+name) || from.Name == name {
			return []string{name}
		}
	}
	return found
}

// isAt reports whether s is the source from, or a part of it.
func isAt(s manifest.Alternative, from manifest.Source) bool {
	if owner, repo, ok := from.GitHub(); ok {
		if !lock.KindOf(s.Source.Kind).Mains {
			return strings.EqualFold(s.Source.Name, from.Name)
		}
		return strings.HasPrefix(strings.ToLower(s.Source.Name)+"/", strings.ToLower("github.com/"+owner+"/"+repo+"/"))
	}
	if s.Source.Kind != from.Kind {
		return false
	}
	k := lock.KindOf(from.Kind)
	if k.Mains && strings.TrimSuffix(s.Source.Name+"/"+s.Main, "/") == from.Name {
		return true
	}
	if _, extras := from.Bare(); extras != nil && s.Source.Name != from.Name {
		return false
	}
	return k.Normal(s.Source.Name) == k.Normal(from.Name)
}
