package ui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

const (
	refresh = 100 * time.Millisecond // how often the progress is redrawn
	silence = 30 * time.Second       // without a terminal, progress is printed after this long without output
	window  = 5 * time.Second        // over which the rate is measured
	maxRows = 4                      // most steps that are drawn
)

// show draws the progress on a terminal, or prints it elsewhere, until stop is
// closed.
func (t *Transfer) show(stop, ended chan struct{}) {
	defer close(ended)
	u := t.ui
	if u.terminal() {
		u.draw(t)
		<-stop
		u.undraw(t)
		return
	}
	begin := time.Now()
	for {
		u.mu.Lock()
		last := u.said
		u.mu.Unlock()
		if last.Before(begin) {
			last = begin
		}
		wait := silence - time.Since(last)
		if wait <= 0 {
			u.Say("%s", t.status())
			wait = silence
		}
		select {
		case <-stop:
			return
		case <-time.After(wait):
		}
	}
}

// status returns the progress as one line.
func (t *Transfer) status() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	parts := []string{t.line(1000, now)}
	for _, s := range t.steps[:min(len(t.steps), maxRows)] {
		parts = append(parts, s.what+", "+elapsed(now.Sub(s.began)))
	}
	if more := len(t.steps) - maxRows; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	if c := t.comingNow(); c != "" {
		parts = append(parts, c)
	}
	return strings.Join(parts, "; ")
}

// lines returns the lines to draw, within some columns.
func (t *Transfer) lines(columns, rows int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	head := t.ui.Program + ": "
	lines := []string{cut(head+t.line(columns-len(head), now), columns)}
	for _, s := range t.steps[:min(len(t.steps), maxRows)] {
		lines = append(lines, row(s.what, ", "+elapsed(now.Sub(s.began)), columns))
	}
	if more := len(t.steps) - maxRows; more > 0 {
		lines = append(lines, row(fmt.Sprintf("and %d more", more), "", columns))
	}
	if c := t.comingNow(); c != "" {
		lines = append(lines, row(c, "", columns))
	}
	return lines[:min(len(lines), max(1, rows-1))]
}

// line returns the overall progress. If it does not fit the columns, it leaves out
// the least important parts. The caller holds the lock.
func (t *Transfer) line(columns int, now time.Time) string {
	var parts []string
	var spare []int // indices of parts, the least important first
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	busy := t.arrived < t.files || t.files == 0 && t.done < t.total
	if t.plugins > 0 {
		add("%d of %d plugins", t.finished, t.plugins)
	}
	title := ""
	if busy {
		if t.plugins == 0 {
			title = t.title + " "
		}
		if t.files > 0 {
			spare = append(spare, len(parts))
			add("%d of %d files", t.arrived, t.files)
		}
		spare = append(spare, len(parts))
		if t.unknown == 0 && t.total > 0 {
			add("%s", of(t.done, t.total))
		} else {
			add("%s", Size(t.done))
		}
		if rate := t.rate(now); rate >= 1 {
			spare = append(spare, len(parts))
			add("%s/s", Size(int64(rate)))
			if rest, ok := t.rest(rate); ok {
				add("%s left", whole(rest))
			}
		}
	} else {
		if t.arrived > 0 {
			spare = append(spare, len(parts))
			add("%s here (%s)", plain.Count(t.arrived, "file"), Size(t.done))
		}
		add("%s", whole(now.Sub(t.began)))
	}
	for ; len(spare) > 0; spare = spare[1:] {
		if text := title + join(parts); width(text) <= columns {
			return text
		}
		parts[spare[0]] = ""
	}
	return title + join(parts)
}

// rate returns the recent rate in bytes per second, or 0 if it is unknown.
func (t *Transfer) rate(now time.Time) float64 {
	first := t.samples[0]
	took := now.Sub(first.at).Seconds()
	if took < 0.5 {
		return 0
	}
	return max(0, float64(t.done-first.done)/took)
}

// rest estimates how long the announced files will take. Files of unknown size
// count as the average of those that arrived.
func (t *Transfer) rest(rate float64) (time.Duration, bool) {
	left := float64(t.total - t.done)
	if t.unknown > 0 {
		if t.arrived < 3 {
			return 0, false
		}
		left = float64(t.done) / float64(t.arrived) * float64(t.files-t.arrived)
	}
	if left < 0 || left/rate > 24*3600 {
		return 0, false
	}
	return time.Duration(left / rate * float64(time.Second)), true
}

// comingNow describes the files that are being downloaded, with the name of each
// plugin's first one. The caller holds the lock.
func (t *Transfer) comingNow() string {
	var coming []string
	for _, p := range t.parts {
		if len(p.coming) == 0 {
			continue
		}
		text := plain.Line(p.coming[0], 100)
		if more := len(p.coming) - 1; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		if p.plugin != "" {
			text = plain.Line(p.plugin, 100) + ": " + text
		}
		coming = append(coming, text)
	}
	if len(coming) == 0 {
		return ""
	}
	return t.title + " " + strings.Join(coming, "; ")
}

// draw begins to draw t below the messages. If there are several at a time, only
// the first is drawn.
func (u *UI) draw(t *Transfer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bar != nil {
		return
	}
	var lines []string // mpb asks for the first one, and then for the rest
	first := func(w io.Writer, s decor.Statistics) error {
		_, rows := u.size()
		lines = t.lines(s.AvailableWidth-1, rows) // some terminals wrap after the last column
		_, err := io.WriteString(w, lines[0])
		return err
	}
	more := func(w io.Writer, _ decor.Statistics) error {
		for _, line := range lines[1:] {
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		return nil
	}
	u.bar, u.screen = t, mpb.New(mpb.WithOutput(u.err), mpb.WithRefreshRate(refresh))
	u.row = u.screen.MustAdd(0, mpb.BarFillerFunc(first), mpb.BarFillerTrim(), mpb.BarExtender(mpb.BarFillerFunc(more), false))
}

// undraw removes t.
func (u *UI) undraw(t *Transfer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bar != t {
		return
	}
	u.row.Abort(true)
	u.screen.Wait()
	u.bar, u.screen, u.row = nil, nil, nil
}

// size returns the size of the terminal that messages go to.
func (u *UI) size() (columns, rows int) {
	columns, rows = 80, 24
	if f, ok := u.err.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			columns, rows = w, h
		}
	}
	return columns, rows
}

// row returns an indented line whose tail is never cut.
func row(what, tail string, columns int) string {
	const indent = "    "
	room := columns - len(indent) - width(tail)
	if room < 10 {
		return cut(indent+what, columns)
	}
	return indent + cut(what, room) + tail
}

// width returns an upper bound of the columns that a text takes: East Asian
// characters take two.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

func columnsOf(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// cut shortens a text to some columns and ends it with "…", at the end of a word if
// one is near.
func cut(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	room := columns - columnsOf('…')
	if room < 0 {
		return ""
	}
	end, n := 0, 0
	for i, r := range s {
		if n += columnsOf(r); n > room {
			end = i
			break
		}
	}
	short := s[:end]
	if !strings.HasPrefix(s[end:], " ") {
		if i := strings.LastIndexByte(short, ' '); i > 0 && width(short[i:]) <= 12 {
			short = short[:i]
		}
	}
	return strings.TrimRight(short, " ,;") + "…"
}

func join(parts []string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, ", ")
}

// of formats bytes done of a total, both in one unit.
func of(done, total int64) string {
	text := Size(total)
	done = min(done, total)
	switch {
	case strings.HasSuffix(text, "MiB"):
		return fmt.Sprintf("%.1f of %s", float64(done)/(1<<20), text)
	case strings.HasSuffix(text, "GiB"):
		return fmt.Sprintf("%.1f of %s", float64(done)/(1<<30), text)
	}
	return fmt.Sprintf("%d of %s", (done+1023)>>10, text)
}

// elapsed formats a duration for people, a short one in tenths of a second.
func elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return whole(d)
}

// whole formats a duration in whole seconds.
func whole(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
}

// Size formats a number of bytes for people.
func Size(n int64) string {
	switch {
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
