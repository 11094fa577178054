// Package tomlscan finds the positions of the keys in a TOML text, and refuses
// keys and tables that are defined twice. The decoder does not report
// positions, and does not refuse every redefinition, which bad merges produce.
// Package tomlscan walks the structure of a text that the decoder has accepted,
// according to https://toml.io/en/v1.0.0#table. [Decode] is the decoder for
// untrusted texts.
package tomlscan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Lines maps the path of a key, joined by NUL, to its line number.
type Lines map[string]int

// Of returns the line of a key, counted from 1, or 0 if there is no such key.
func (k Lines) Of(path ...string) int { return k[strings.Join(path, "\x00")] }

// A Statement is one KEY = VALUE or one [header], with byte offsets in the
// text.
type Statement struct {
	Table      []string // of the header before it
	Key        []string // as written; for a header its whole path
	IsHeader   bool
	Nested     bool // in an inline table, whose path is in Table
	Start      int  // of the key, or of the header's bracket
	Value, End int  // of the value; for a header both are its end
}

// Path returns the whole path of the key.
func (s Statement) Path() []string { return append(slices.Clone(s.Table), s.Key...) }

// How a key was defined, which decides whether it may be defined again.
type origin int

const (
	absent   origin = iota
	implicit        // a table that a longer [header] implies
	explicit        // a table by its own [header]
	dotted          // a table that a dotted key implies
	value           // a value, or an inline table
	array           // an array of tables
)

type scanner struct {
	text  string
	pos   int
	row   int
	lines Lines
	kind  map[string]origin
	count map[string]int // elements of an array of tables

	statements []Statement
}

// Keys returns the lines of all keys, and the statements in order. If a key or
// table is defined twice, the error names both lines.
func Keys(text string) (Lines, []Statement, error) {
	s := &scanner{text: text, row: 1, lines: Lines{}, kind: map[string]origin{}, count: map[string]int{}}
	var table []string
	for {
		s.blank(true)
		if s.pos >= len(s.text) {
			return s.lines, s.statements, nil
		}
		row, start := s.row, s.pos
		if s.text[s.pos] == '[' {
			isArray := strings.HasPrefix(s.text[s.pos:], "[[")
			s.pos++
			if isArray {
				s.pos++
			}
			key := s.key()
			s.pos++ // ]
			if isArray {
				s.pos++
			}
			s.statements = append(s.statements, Statement{Key: key, IsHeader: true, Start: start, Value: s.pos, End: s.pos})
			var err error
			if table, err = s.define(key, isArray, row); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err := s.pair(table, true); err != nil {
			return nil, nil, err
		}
	}
}

// define enters a [header] or [[header]].
func (s *scanner) define(key []string, isArray bool, row int) ([]string, error) {
	var at []string
	for i, part := range key {
		at = append(at, part)
		p := strings.Join(at, "\x00")
		last := i == len(key)-1
		switch kind := s.kind[p]; {
		case last && isArray && (kind == absent || kind == array):
			s.kind[p] = array
			s.count[p]++
			at = append(at, fmt.Sprint(s.count[p]))
			s.mark(at, explicit, row)
		case last && !isArray && (kind == absent || kind == implicit):
			s.mark(at, explicit, row)
		case last || kind == value:
			return nil, s.twice(key[:i+1], p, row)
		case kind == absent:
			s.mark(at, implicit, row)
		case kind == array:
			at = append(at, fmt.Sprint(s.count[p]))
		}
		if _, ok := s.lines[p]; !ok {
			s.lines[p] = row
		}
	}
	return at, nil
}

func (s *scanner) mark(at []string, kind origin, row int) {
	p := strings.Join(at, "\x00")
	s.kind[p] = kind
	s.lines[p] = row
}

func (s *scanner) twice(key []string, p string, row int) error {
	return fmt.Errorf("%s is defined twice, on lines %d and %d", strings.Join(key, "."), s.lines[p], row)
}

// pair reads KEY = VALUE inside a table.
func (s *scanner) pair(table []string, top bool) error {
	row, start := s.row, s.pos
	key := s.key()
	at := append([]string(nil), table...)
	for i, part := range key {
		at = append(at, part)
		p := strings.Join(at, "\x00")
		kind := s.kind[p]
		if i < len(key)-1 {
			if kind != absent && kind != dotted {
				return s.twice(at, p, row)
			}
			if kind == absent {
				s.mark(at, dotted, row)
			}
			continue
		}
		if kind != absent {
			return s.twice(at, p, row)
		}
		s.mark(at, value, row)
	}
	s.blank(false)
	s.pos++ // =
	s.blank(false)
	value := s.pos
	err := s.value(at)
	s.statements = append(s.statements, Statement{Table: table, Key: key, Nested: !top, Start: start, Value: value, End: s.pos})
	return err
}

// value skips a value; inline tables are checked like others.
func (s *scanner) value(at []string) error {
	if s.pos >= len(s.text) {
		return nil
	}
	switch s.text[s.pos] {
	case '"', '\'':
		s.str()
	case '[':
		return s.each(']', func(n int) error { return s.value(append(slices.Clone(at), fmt.Sprint(n))) })
	case '{':
		return s.each('}', func(int) error { return s.pair(at, false) })
	default:
		for s.pos < len(s.text) && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.pos])) {
			s.pos++
		}
	}
	return nil
}

// each calls one for each element of a list or inline table, which ends with
// end. n is the number of the element in a list, from 1 as in an array of tables.
func (s *scanner) each(end byte, one func(n int) error) error {
	s.pos++ // the bracket
	for n := 0; ; {
		s.blank(true)
		if s.pos >= len(s.text) {
			return nil
		}
		switch s.text[s.pos] {
		case end:
			s.pos++
			return nil
		case ',':
			s.pos++
			continue
		}
		before := s.pos
		n++
		if err := one(n); err != nil {
			return err
		}
		if s.pos == before {
			s.pos++
		}
	}
}

// An Item is one string of a list, with byte offsets in the text.
type Item struct {
	Text       string
	Start, End int
}

// ListItems returns the strings of the list that starts at an offset.
func ListItems(text string, at int) []Item {
	s := &scanner{text: text, pos: at + 1}
	var items []Item
	for {
		s.blank(true)
		switch {
		case s.pos >= len(text) || text[s.pos] == ']':
			return items
		case text[s.pos] == '"' || text[s.pos] == '\'':
			start := s.pos
			items = append(items, Item{s.str(), start, s.pos})
		default:
			s.pos++
		}
	}
}

// Key reads a bare, quoted or dotted key.
func (s *scanner) key() []string {
	var key []string
	for {
		s.blank(false)
		if s.pos < len(s.text) && (s.text[s.pos] == '"' || s.text[s.pos] == '\'') {
			key = append(key, s.str())
		} else {
			start := s.pos
			for s.pos < len(s.text) && !strings.ContainsRune(".=]}, \t\r\n\"'", rune(s.text[s.pos])) {
				s.pos++
			}
			key = append(key, s.text[start:s.pos])
		}
		s.blank(false)
		if s.pos >= len(s.text) || s.text[s.pos] != '.' {
			return key
		}
		s.pos++
	}
}

// str skips a string of any of the four kinds and returns its value.
func (s *scanner) str() string {
	whole := s.text[s.pos : s.pos+StringEnd(s.text[s.pos:])]
	s.pos += len(whole)
	s.row += strings.Count(whole, "\n")
	quote := OpeningQuote(whole)
	text := strings.TrimSuffix(whole[len(quote):], quote)
	if quote == `"` && strings.Contains(text, `\`) {
		if plain, err := strconv.Unquote(whole); err == nil {
			text = plain
		}
	}
	return text
}

// blank skips spaces, and with lines set also comments and line ends.
func (s *scanner) blank(lines bool) {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c == '\t':
		case c == '\n' && lines:
			s.row++
		case c == '\r' && lines:
		case c == '#' && lines:
			for s.pos < len(s.text) && s.text[s.pos] != '\n' {
				s.pos++
			}
			continue
		default:
			return
		}
		s.pos++
	}
}
