package ui

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// A Table aligns the columns of its lines. Tabs separate the columns.
type Table struct {
	text strings.Builder
	rows [][]string
	w    *tabwriter.Writer
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{}
	t.w = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	return t
}

// Line adds a line.
func (t *Table) Line(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	t.rows = append(t.rows, strings.Split(line, "\t"))
	fmt.Fprintln(t.w, line)
}

// String returns the lines so far, without the last line end.
func (t *Table) String() string {
	_ = t.w.Flush() // into memory
	return strings.TrimRight(t.text.String(), "\n")
}

// Fit is String for a terminal of some columns; 0 means no terminal. If a line is
// too wide, its widest cells are cut and end in "…". The last tail cells of each
// row are never cut: if they do not fit next to the others, each moves to lines of
// its own below them, broken between words. A cell "-" is left out there.
func (t *Table) Fit(columns, tail int) string {
	text := t.String()
	if columns <= 0 || !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return utf8.RuneCountInString(line) > columns }) {
		return text
	}
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	head := max(0, len(widths)-tail)
	beside := slices.Clone(widths)
	if !shrink(beside, head, columns, 20) {
		beside = widths[:head]
		shrink(beside, head, columns, 8)
	}
	var b strings.Builder
	for _, row := range t.rows {
		line := ""
		for i, cell := range row[:min(len(row), len(beside))] {
			if utf8.RuneCountInString(cell) > beside[i] {
				cell = string([]rune(cell)[:beside[i]-1]) + "…"
			}
			line += cell + strings.Repeat(" ", beside[i]-utf8.RuneCountInString(cell)+gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, cell := range row[min(len(row), len(beside)):] {
			if cell != "" && cell != "-" {
				wrap(&b, cell, columns)
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

const gap = 2 // between columns

// shrink reduces the widest of the first head widths, down to least, until all fit
// into columns. It reports whether they do.
func shrink(widths []int, head, columns, least int) bool {
	for {
		whole, widest := gap*(len(widths)-1), -1
		for i, n := range widths {
			whole += n
			if i < head && n > least && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if whole <= columns || widest < 0 {
			return whole <= columns
		}
		widths[widest]--
	}
}

// wrap writes a cell as indented lines of some columns.
func wrap(b *strings.Builder, cell string, columns int) {
	const indent = "    "
	line := indent
	for _, word := range strings.Fields(cell) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}
