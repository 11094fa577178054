package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A machine is where and when a report was made.
type machine struct {
	date                  string
	processor, system     string
	processors            int
	memory                string
	goVersion             string
	commit                string
	loadBefore, loadAfter string
	tools                 []string // NAME VERSION
}

// thisMachine describes the machine as far as its system tells.
func thisMachine() machine {
	m := machine{
		date: time.Now().UTC().Format(time.DateOnly), system: runtime.GOOS + "/" + runtime.GOARCH,
		processors: runtime.NumCPU(), goVersion: runtime.Version(), loadBefore: load(),
	}
	m.processor = field("/proc/cpuinfo", "model name")
	if kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	if out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output(); err == nil {
		m.commit = strings.TrimSpace(string(out))
	}
	return m
}

// field is the first value of a key in a file of Linux's /proc, "" for none.
func field(file, key string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// load is how many processes wanted a processor over the last minute, "" where the
// system does not say.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// number is a version, a date or a commit.
var number = regexp.MustCompile(`\d+(\.\d+)+\S*|\d{4}-\d\d-\d\d\S*|\b[0-9a-f]{12}`)

// versions asks programs which they are. One that does not say is left out.
func versions(ctx context.Context, programs []string) (all []string) {
	for _, name := range programs {
		for _, arg := range []string{"--version", "version"} {
			out, err := exec.CommandContext(ctx, name, arg).CombinedOutput()
			if found := number.Find(out); err == nil && found != nil {
				all = append(all, name+" "+strings.Trim(string(found), ",;:()"))
				break
			}
		}
	}
	return all
}

// String is a sentence about the machine.
func (m machine) String() string {
	var parts []string
	for _, part := range []string{m.processor, strconv.Itoa(m.processors) + " processors", m.memory, m.system, m.goVersion} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	text := m.date + ", on " + strings.Join(parts, ", ")
	if m.commit != "" {
		text += ", at commit " + m.commit
	}
	if m.loadBefore != "" {
		text += fmt.Sprintf("; load of the machine %s before and %s after", m.loadBefore, m.loadAfter)
	}
	if len(m.tools) > 0 {
		text += ". Beside: " + strings.Join(m.tools, ", ")
	}
	return text + "."
}

// An entry is one row of the report: two times in seconds or two sizes in MiB, or why
// there are none.
type entry struct {
	group, work, beside string
	ours, theirs        float64
	size                bool
	why                 string
}

// figures are the two numbers as people write them.
func (e entry) figures() (ours, theirs string) {
	if e.size {
		return digits(e.ours) + " MiB", digits(e.theirs) + " MiB"
	}
	return span(e.ours), span(e.theirs)
}

// A report is what was measured.
type report struct {
	machine machine
	quick   bool
	entries []entry
	notes   map[string][]string // by group: how often
	curves  []drawing
	used    []string // tools
	failed  []string // benchmarks
}

// A drawing is a curve with its points.
type drawing struct {
	curve
	points [][]point // by line
}

type point struct{ x, y float64 }

// measured is a metric in seconds or MiB.
func measured(metrics map[string]float64, name string) (float64, bool) {
	value, ok := metrics[name]
	if strings.HasSuffix(name, "-ms") {
		value /= 1e3
	}
	return value, ok && value > 0
}

var placeholder = regexp.MustCompile(`\{([\w-]+)\}`)

// add takes the results of a benchmark, by sub-benchmark.
func (r *report) add(b benchmark, found map[string]*result) {
	times := b.runs
	if r.quick {
		times = b.quick
	}
	how := "median"
	switch {
	case b.shortest:
		how = "shortest"
	case strings.HasSuffix(b.rows[0].ours, "-MiB"):
		how = "largest"
	}
	if r.notes == nil {
		r.notes = map[string][]string{}
	}
	if times > 1 {
		r.notes[b.group] = append(r.notes[b.group], fmt.Sprintf("%s: %s of %d", b.name, how, times))
	} else {
		r.notes[b.group] = append(r.notes[b.group], b.name+": one run")
	}
	for _, result := range found {
		if result.failed && !slices.Contains(r.failed, b.id()) {
			r.failed = append(r.failed, b.id())
		}
	}
	for _, row := range b.rows {
		e := entry{group: b.group, work: row.work, beside: row.beside, size: strings.HasSuffix(row.ours, "-MiB")}
		of := found[row.sub]
		if of == nil {
			of = &result{}
		}
		var have, beside bool
		e.ours, have = measured(of.metrics, row.ours)
		e.theirs, beside = measured(of.metrics, row.theirs)
		if !have || !beside {
			e.why = b.why(row, found)
		} else if row.tool != "" && !slices.Contains(r.used, row.tool) {
			r.used = append(r.used, row.tool)
		}
		e.work = placeholder.ReplaceAllStringFunc(e.work, func(name string) string {
			if value, ok := of.metrics[strings.Trim(name, "{}")]; ok {
				return strconv.FormatFloat(value, 'f', -1, 64)
			}
			return "many"
		})
		r.entries = append(r.entries, e)
	}
	if b.curve != nil {
		d := drawing{curve: *b.curve, points: make([][]point, len(b.curve.lines))}
		some := false
		for _, size := range sizes {
			for i, line := range b.curve.lines {
				if of := found[size]; of != nil {
					if y, ok := measured(of.metrics, line.metric); ok {
						x, _ := strconv.ParseFloat(size, 64)
						d.points[i] = append(d.points[i], point{x, y})
						some = true
					}
				}
			}
		}
		if some {
			r.curves = append(r.curves, d)
		}
	}
}

// span is a time with three digits that count.
func span(seconds float64) string {
	unit := " s"
	if seconds < 1 {
		seconds, unit = seconds*1e3, " ms"
	}
	return digits(seconds) + unit
}

// digits is a number with three digits that count.
func digits(value float64) string {
	after := 0
	for limit := 100.0; value < limit && after < 2; limit /= 10 {
		after++
	}
	return strconv.FormatFloat(value, 'f', after, 64)
}

// ratio is a ratio with two digits that count.
func ratio(a, b float64) string {
	of := a / b
	switch {
	case of < 0.1:
		return strconv.FormatFloat(of, 'f', 3, 64)
	case of < 10:
		return strconv.FormatFloat(of, 'f', 2, 64)
	}
	return strconv.FormatFloat(of, 'f', 0, 64)
}

// plain keeps a text within its cell, and makes no tags of it.
func plain(text string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text) }

// markdown is the report as a page has it.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s\n", r.machine)
	if r.quick {
		b.WriteString("\nA quick run (`--quick`): few runs, of less.\n")
	}
	for _, g := range groups {
		var rows []entry
		for _, e := range r.entries {
			if e.group == g.key {
				rows = append(rows, e)
			}
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n| work | beside | ours | theirs | ratio |\n|---|---|---|---|---|\n", g.title, strings.Join(r.notes[g.key], "; "))
		for _, e := range rows {
			if e.why != "" {
				fmt.Fprintf(&b, "| %s | %s | – | – | not here: %s |\n", plain(e.work), plain(e.beside), plain(e.why))
				continue
			}
			ours, theirs := e.figures()
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", plain(e.work), plain(e.beside), ours, theirs, ratio(e.ours, e.theirs))
		}
	}
	return b.String()
}

// pictures are the links to the plots, in the folder of the table.
func (r *report) pictures() string {
	text := "\n### Plots\n\n![Ratios](ratios.svg)\n"
	for _, d := range r.curves {
		text += fmt.Sprintf("\n![%s](%s)\n", d.title, d.file)
	}
	return text
}

// plots returns the plots by the names of their files.
func (r *report) plots() map[string]string {
	all := map[string]string{"ratios.svg": bars(r.entries)}
	for _, d := range r.curves {
		all[d.file] = lines(d)
	}
	return all
}

// lastRun is the heading below which a page has the table.
const lastRun = "## The last run"

// replaceSection puts a table in the place of what is below lastRun.
func replaceSection(page, table string) (string, error) {
	before, after, found := strings.Cut(page, lastRun+"\n")
	if !found {
		return "", errors.New("no heading " + lastRun)
	}
	rest := ""
	if i := strings.Index(after, "\n## "); i >= 0 {
		rest = after[i:]
	}
	return before + lastRun + "\n\n" + table + rest, nil
}
