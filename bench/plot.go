package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Plots in SVG 1.1 (https://www.w3.org/TR/SVG11/), which follow the reader's
// scheme of colours, light or dark.

const style = `<style>
text { font: 12px sans-serif; fill: #222 } .title { font-size: 14px; font-weight: bold } .far { text-anchor: end } .mid { text-anchor: middle }
.grid { stroke: #ddd } .one { stroke: #222 } rect.back { fill: #fff } polyline { fill: none; stroke-width: 2 }
.c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #6e7781 } circle.c0, rect.c0 { fill: #0969da } circle.c1, rect.c1 { fill: #bc4c00 } circle.c2 { fill: #6e7781 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #333 } .one { stroke: #ddd } rect.back { fill: #0d1117 } }
</style>
`

// escaped is a text as SVG has it.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(strings.ReplaceAll(text, "`", ""))) // a Builder takes everything
	return b.String()
}

// open begins a picture.
func open(width, height int, title string) string {
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\" role=\"img\">\n<title>%[3]s</title>\n%[4]s<rect class=\"back\" width=\"%[1]d\" height=\"%[2]d\"/>\n",
		width, height, escaped(title), style)
}

// decades returns the powers of ten around all of some numbers.
func decades(of []float64) (low, high int) {
	low, high = math.MaxInt, math.MinInt
	for _, v := range of {
		low = min(low, int(math.Floor(math.Log10(v))))
		high = max(high, int(math.Ceil(math.Log10(v))))
	}
	return low, max(high, low+1)
}

// lines plots times over sizes, both in powers of ten.
func lines(d drawing) string {
	const width, height, left, right, top, bottom = 720, 400, 70, 170, 40, 50
	var xs, ys []float64
	for _, line := range d.points {
		for _, p := range line {
			xs, ys = append(xs, p.x), append(ys, p.y)
		}
	}
	x0, x1 := decades(xs)
	y0, y1 := decades(ys)
	x := func(v float64) float64 {
		return left + (math.Log10(v)-float64(x0))/float64(x1-x0)*(width-left-right)
	}
	y := func(v float64) float64 {
		return height - bottom - (math.Log10(v)-float64(y0))/float64(y1-y0)*(height-top-bottom)
	}
	var b strings.Builder
	b.WriteString(open(width, height, d.title))
	fmt.Fprintf(&b, "<text class=\"title\" x=\"%d\" y=\"24\">%s</text>\n", left, escaped(d.title))
	for n := x0; n <= x1; n++ {
		at := x(math.Pow10(n))
		fmt.Fprintf(&b, "<line class=\"grid\" x1=\"%.1[1]f\" x2=\"%.1[1]f\" y1=\"%[2]d\" y2=\"%[3]d\"/>\n<text class=\"mid\" x=\"%.1[1]f\" y=\"%[4]d\">%.0[5]f</text>\n", at, top, height-bottom, height-bottom+18, math.Pow10(n))
	}
	for n := y0; n <= y1; n++ {
		at := y(math.Pow10(n))
		fmt.Fprintf(&b, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1[3]f\"/>\n<text class=\"far\" x=\"%[4]d\" y=\"%.1[5]f\">%[6]s</text>\n", left, width-right, at, left-8, at+4, tick(n))
	}
	fmt.Fprintf(&b, "<text class=\"mid\" x=\"%d\" y=\"%d\">%s</text>\n", left+(width-left-right)/2, height-12, escaped(d.x))
	floor := math.Inf(-1) // of the names, which must not lie on each other
	names := make([]float64, len(d.points))
	for _, i := range highest(d.points) {
		line := d.points[i]
		floor = math.Max(floor+15, y(line[len(line)-1].y)+4)
		names[i] = floor
	}
	for i, line := range d.points {
		if len(line) == 0 {
			continue
		}
		var at []string
		for _, p := range line {
			at = append(at, fmt.Sprintf("%.1f,%.1f", x(p.x), y(p.y)))
		}
		fmt.Fprintf(&b, "<polyline class=\"c%d\" points=\"%s\"/>\n", i, strings.Join(at, " "))
		for _, p := range line {
			fmt.Fprintf(&b, "<circle class=\"c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s</title></circle>\n", i, x(p.x), y(p.y), span(p.y))
		}
		last := line[len(line)-1]
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%.1f\">%s, %s</text>\n", x(last.x)+8, names[i], escaped(d.lines[i].name), span(last.y))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// highest returns the lines that have points, from the one that ends highest.
func highest(points [][]point) (order []int) {
	for i, line := range points {
		if len(line) == 0 {
			continue
		}
		at := 0
		for at < len(order) {
			other := points[order[at]]
			if line[len(line)-1].y > other[len(other)-1].y {
				break
			}
			at++
		}
		order = append(order[:at], append([]int{i}, order[at:]...)...)
	}
	return order
}

// tick is a power of ten of a second.
func tick(n int) string {
	if n < -3 {
		return fmt.Sprintf("%.0f µs", math.Pow10(n+6))
	}
	if n < 0 {
		return fmt.Sprintf("%.0f ms", math.Pow10(n+3))
	}
	return fmt.Sprintf("%.0f s", math.Pow10(n))
}

// bars plots the ratio of each row that has one, in powers of two: what ends left of
// the line of 1 is faster than what is beside it.
func bars(entries []entry) string {
	var rows []entry
	far := 1.0
	for _, e := range entries {
		if e.why == "" {
			rows = append(rows, e)
			far = math.Max(far, math.Ceil(math.Abs(math.Log2(e.ours/e.theirs))))
		}
	}
	const width, label, top, step = 1100, 640, 60, 20
	height := top + step*len(rows) + 20
	middle, half := float64(label+(width-label)/2), float64(width-label)/2-50
	x := func(r float64) float64 { return middle + math.Log2(r)/far*half }
	const title = "Time, divided by that of what is beside: left of 1 is faster"
	var b strings.Builder
	b.WriteString(open(width, height, title))
	fmt.Fprintf(&b, "<text class=\"title\" x=\"10\" y=\"24\">%s</text>\n", title)
	for n := -far; n <= far; n++ {
		class := "grid"
		if n == 0 {
			class = "one"
		}
		if every := math.Ceil(far / 4); math.Mod(n, every) == 0 {
			at := x(math.Exp2(n))
			fmt.Fprintf(&b, "<line class=\"%[1]s\" x1=\"%.1[2]f\" x2=\"%.1[2]f\" y1=\"%[3]d\" y2=\"%[4]d\"/>\n<text class=\"mid\" x=\"%.1[2]f\" y=\"%[5]d\">%[6]s</text>\n", class, at, top-8, height-16, top-14, ratio(math.Exp2(n), 1))
		}
	}
	for i, e := range rows {
		y, r := top+step*i, e.ours/e.theirs
		from, to, color, class, at := x(r), middle, 0, "far", x(r)-5
		if r > 1 {
			from, to, color, class, at = middle, x(r), 1, "", x(r)+5
		}
		fmt.Fprintf(&b, "<text class=\"far\" x=\"%d\" y=\"%d\">%s</text>\n<rect class=\"c%d\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"12\"/>\n<text class=\"%s\" x=\"%.1f\" y=\"%d\">%s</text>\n",
			label, y+11, escaped(e.work+" / "+e.beside), color, from, y+1, to-from, class, at, y+11, ratio(e.ours, e.theirs))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
