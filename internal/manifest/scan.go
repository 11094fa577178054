package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// The TOML decoder neither tells where a key stands nor refuses every
// redefinition (a bad merge makes those). This file walks the structure of a
// text that the decoder has accepted, by the rules of
// https://toml.io/en/v1.0.0#table, and remembers the line of each key.

// keyLines maps the path of a key, joined by NUL, to its line number.
type keyLines map[string]int

func (k keyLines) line(path ...string) int { return k[strings.Join(path, "\x00")] }

// A statement is one KEY = VALUE or one [header], by byte offsets in the text.
type statement struct {
	table      []string // of the header before it
	key        []string // as written; of a header its whole path
	isHeader   bool
	nested     bool // in an inline table, of which the path is in table
	start      int  // of the key, or of the header's bracket
	value, end int  // of the value; of a header both are its end
}

// path is the whole path of the key.
func (s statement) path() []string { return append(slices.Clone(s.table), s.key...) }

// How a key came to be, which decides whether it may be named again.
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
	lines keyLines
	kind  map[string]origin
	count map[string]int // elements of an array of tables

	statements []statement
}

// scanKeys returns the lines of all keys and the statements in their order, or
// an error that names both lines of a key or table that is defined twice.
func scanKeys(text string) (keyLines, []statement, error) {
	s := &scanner{text: text, row: 1, lines: keyLines{}, kind: map[string]origin{}, count: map[string]int{}}
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
			s.statements = append(s.statements, statement{key: key, isHeader: true, start: start, value: s.pos, end: s.pos})
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
	s.statements = append(s.statements, statement{table: table, key: key, nested: !top, start: start, value: value, end: s.pos})
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
		s.pos++
		for n := 0; ; n++ {
			s.blank(true)
			if s.pos >= len(s.text) {
				return nil
			}
			switch s.text[s.pos] {
			case ']':
				s.pos++
				return nil
			case ',':
				s.pos++
				continue
			}
			before := s.pos
			if err := s.value(append(append([]string(nil), at...), fmt.Sprint(n))); err != nil {
				return err
			}
			if s.pos == before {
				s.pos++
			}
		}
	case '{':
		s.pos++
		for {
			s.blank(true)
			if s.pos >= len(s.text) {
				return nil
			}
			switch s.text[s.pos] {
			case '}':
				s.pos++
				return nil
			case ',':
				s.pos++
				continue
			}
			before := s.pos
			if err := s.pair(at, false); err != nil {
				return err
			}
			if s.pos == before {
				s.pos++
			}
		}
	default:
		for s.pos < len(s.text) && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.pos])) {
			s.pos++
		}
	}
	return nil
}

// An item is one string of a list, by byte offsets in the text.
type item struct {
	text       string
	start, end int
}

// listItems returns the strings of the list that begins at an offset.
func listItems(text string, at int) []item {
	s := &scanner{text: text, pos: at + 1}
	var items []item
	for {
		s.blank(true)
		switch {
		case s.pos >= len(text) || text[s.pos] == ']':
			return items
		case text[s.pos] == '"' || text[s.pos] == '\'':
			start := s.pos
			items = append(items, item{s.str(), start, s.pos})
		default:
			s.pos++
		}
	}
}

// key reads a bare, quoted or dotted key.
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

// str skips a string of any of the four kinds and returns its text.
func (s *scanner) str() string {
	whole := s.text[s.pos : s.pos+lock.StringEnd(s.text[s.pos:])]
	s.pos += len(whole)
	s.row += strings.Count(whole, "\n")
	quote := lock.OpeningQuote(whole)
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
