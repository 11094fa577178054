package ui

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// A Table is lines whose columns stand below each other. Tabs separate them.
type Table struct {
	text strings.Builder
	w    *tabwriter.Writer
}

// NewTable returns a table without lines.
func NewTable() *Table {
	t := &Table{}
	t.w = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	return t
}

// Line adds a line.
func (t *Table) Line(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

// String is the lines so far, without the end of the last one.
func (t *Table) String() string {
	_ = t.w.Flush() // into memory
	return strings.TrimRight(t.text.String(), "\n")
}
