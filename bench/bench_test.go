package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// fixed is a report of numbers that nobody measured.
func fixed() *report {
	r := &report{machine: machine{
		date: "2027-01-31", processor: "Abacus | 12", processors: 2, memory: "8 GiB", system: "linux/amd64", goVersion: "go1.26.7",
		commit: "0123456789ab", loadBefore: "0.10", loadAfter: "1.20", tools: []string{"npm 11.0.0", "curl 8.1.2"},
	}}
	byName := map[string]benchmark{}
	for _, b := range benchmarks {
		byName[b.name] = b
	}
	r.add(byName["Install"], map[string]*result{"": {
		metrics: map[string]float64{"own-s": 0.25, "npm-alone-s": 1.5, "by-npm-s": 1.65, "bun-alone-s": 0.012, "by-bun-s": 1.2},
		logs:    []string{"pnpm is not on PATH"},
	}})
	r.add(byName["HTTP"], map[string]*result{"": {failed: true, logs: []string{"it <broke> & stopped"}}})
	r.add(byName["DotSlash"], map[string]*result{"": {logs: []string{"DotSlash cannot be had: no python3"}}})
	check := map[string]*result{}
	for i, n := range []string{"10", "100", "1000", "10000"} {
		size := float64(i + 1)
		check[n] = &result{metrics: map[string]float64{"check-ms": size * size * 10, "update-ms": size * size * 9, "decode-ms": size * size * size * 9}}
	}
	delete(check["100"].metrics, "update-ms")
	r.add(byName["Check"], check)
	return r
}

// golden compares a text with a file of testdata, or writes that.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is other; look at it and run: UPDATE_GOLDEN=1 go test ./bench\n%s", file, text)
	}
}

// TestReport: the table and the plots of fixed numbers.
func TestReport(t *testing.T) {
	t.Parallel()
	r := fixed()
	golden(t, "table.md", r.markdown()+r.pictures())
	plots := r.plots()
	if len(plots) != 2 {
		t.Errorf("%d plots", len(plots))
	}
	for name, text := range plots {
		golden(t, name, text)
		if strings.Contains(text, "%!") {
			t.Errorf("%s has a wrong format", name)
		}
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s is no XML: %v", name, err)
			}
		}
		for _, found := range regexp.MustCompile(`="(-?[\d.]+|NaN|[-+]?Inf)"`).FindAllStringSubmatch(text, -1) {
			if v, err := strconv.ParseFloat(found[1], 64); err != nil || !(v >= 0 && v < 2000) {
				t.Errorf("%s has the place %s", name, found[1])
			}
		}
	}
	if want := []string{"transfer/HTTP"}; !slices.Equal(r.failed, want) {
		t.Errorf("failed are %v, want %v", r.failed, want)
	}
}

// TestFigures: digits that count, and no more.
func TestFigures(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		span(0.000451): "0.45 ms", span(0.0123): "12.3 ms", span(0.25): "250 ms", span(1.234): "1.23 s", span(12.34): "12.3 s", span(376): "376 s",
		ratio(1, 40): "0.025", ratio(376, 442): "0.85", ratio(3, 2): "1.50", ratio(30, 2): "15",
		tick(-5): "10 µs", tick(-3): "1 ms", tick(-1): "100 ms", tick(1): "10 s",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestParse: what go test prints.
func TestParse(t *testing.T) {
	t.Parallel()
	processors := ""
	if n := runtime.GOMAXPROCS(0); n > 1 {
		processors = "-" + strconv.Itoa(n)
	}
	found := parse(fmt.Sprintf(`goos: linux
BenchmarkPull
BenchmarkPull/docker-registry
    bench_test.go:215: docker-registry is not on PATH
--- SKIP: BenchmarkPull/docker-registry
BenchmarkPull/static-2
    bench_test.go:9: one | two
BenchmarkPull/static-2%s         	       3	   11669826 ns/op	   0.35 MB/s	         4.441 ours-s	         8.5 oras-s
BenchmarkPull/10
    bench_test.go:88: status 3
        lockgen: error: more
--- FAIL: BenchmarkPull/10
BenchmarkPullOther%s  1  3 ours-s
--- FAIL: BenchmarkPull
FAIL
`, processors, processors), "Pull")
	if len(found) != 4 || found["static-2"] == nil {
		t.Fatalf("%v", found)
	}
	if got := found["static-2"]; got.metrics["ours-s"] != 4.441 || got.metrics["oras-s"] != 8.5 || got.failed {
		t.Errorf("%v", got)
	}
	if !found["10"].failed || !found[""].failed || found["docker-registry"].failed {
		t.Errorf("%v", found)
	}
	b := benchmark{group: "transfer", name: "Pull"}
	for sub, want := range map[string]string{"docker-registry": "docker-registry is not on PATH", "10": "failed: status 3"} {
		if got := b.why(row{sub: sub, tool: "oras"}, found); got != want {
			t.Errorf("%s: %q, want %q", sub, got, want)
		}
	}
}

// TestBenchmarks: every benchmark is in the package that it names, and reports the
// metrics of its rows; and every benchmark of the packages is in the table or one
// that is run by hand.
func TestBenchmarks(t *testing.T) {
	t.Parallel()
	named := map[string]bool{"ColdCatalogue": true}
	for _, b := range benchmarks {
		named[b.name] = true
		if !slices.ContainsFunc(groups, func(g struct{ key, title string }) bool { return g.key == b.group }) {
			t.Errorf("%s is of no group", b.id())
		}
		files, err := filepath.Glob(filepath.Join("..", b.pkg, "*bench*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text += string(data)
		}
		if !strings.Contains(text, "func Benchmark"+b.name+"(") {
			t.Errorf("%s has no Benchmark%s", b.pkg, b.name)
		}
		metrics := []string{}
		for _, row := range b.rows {
			metrics = append(metrics, row.ours, row.theirs)
		}
		if b.curve != nil {
			for _, line := range b.curve.lines {
				metrics = append(metrics, line.metric)
			}
		}
		made := regexp.MustCompile(`^(by-)?(npm|pnpm|yarn|bun|pip|uv|none|protoc|ts-proto|node|changed|comment)(-alone)?-m?s$`) // by name
		for _, metric := range metrics {
			if !strings.Contains(text, `"`+metric+`"`) && !made.MatchString(metric) {
				t.Errorf("%s reports no %s", b.id(), metric)
			}
		}
	}
	for _, pkg := range []string{"fetch", "lockgen", "internal/remote/oci", "examples"} {
		files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pkg, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range regexp.MustCompile(`(?m)^func Benchmark(\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				if !named[found[1]] {
					t.Errorf("%s: Benchmark%s is in no table", file, found[1])
				}
			}
		}
	}
}

// TestReplaceSection: the table takes the place of the last one alone.
func TestReplaceSection(t *testing.T) {
	t.Parallel()
	got, err := replaceSection("# P\n\n"+lastRun+"\n\nold\n\n### Sub\n\nold\n\n## Next\n\nend\n", "new\n")
	if want := "# P\n\n" + lastRun + "\n\nnew\n\n## Next\n\nend\n"; got != want || err != nil {
		t.Errorf("%q, want %q (%v)", got, want, err)
	}
	if _, err := replaceSection("# P\n", "new\n"); err == nil {
		t.Error("a page without the heading was taken")
	}
}

// TestUnknown: a name that no benchmark has is refused, with those that there are.
func TestUnknown(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"--only", "nothing/Such"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "transfer/HTTP") {
		t.Errorf("%v", err)
	}
}

// TestShown: the commands of docs/performance.md measure what they say. TestMeasure runs
// one of them.
func TestShown(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]*order{}
	for _, m := range regexp.MustCompile(`(?m)^\$ bench/run( [^#\n]*)?(?:#.*)?$`).FindAllStringSubmatch(string(page), -1) {
		args := strings.TrimSpace(m[1])
		if of[args], err = read(strings.Fields(args)); err != nil {
			t.Errorf("bench/run %s: %v", args, err)
		}
	}
	if shown := strings.Count(string(page), "\n$ "); len(of) != 3 || shown != 3 {
		t.Fatalf("the page shows %d commands, of which were read %v", shown, of)
	}
	quick, all, locks := of["--quick"], of[""], of["--only locks"]
	if quick == nil || all == nil || locks == nil || !quick.quick || all.quick || len(quick.chosen) != len(benchmarks) || len(all.chosen) != len(benchmarks) ||
		len(locks.chosen) < 2 || slices.ContainsFunc(locks.chosen, func(b benchmark) bool { return b.group != "locks" }) {
		t.Error("they do not measure what the page says")
	}
}

// TestMeasure measures one row for real, with its table and its plot.
func TestMeasure(t *testing.T) {
	testenv.Real(t, "it runs a benchmark")
	curl := testenv.Program(t, "curl")
	t.Chdir("..")
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	if err := os.WriteFile(page, []byte("# Page\n\n"+lastRun+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"--quick", "--only", "transfer/HTTP", "--out", dir, "--page", page}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	form := regexp.MustCompile(`\| curl, which hashes nothing \| [\d.]+ m?s \| [\d.]+ m?s \| [\d.]+ \|`)
	for _, file := range []string{"table.md", "page.md"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !form.Match(text) || !strings.Contains(string(text), "Beside: curl ") {
			t.Errorf("%s with %s:\n%s", file, curl, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ratios.svg")); err != nil {
		t.Error(err)
	}
	if !form.MatchString(out.String()) {
		t.Errorf("printed:\n%s", out.String())
	}
}

// TestQuotes: what the README quotes is a row of the last run, as it is in
// docs/performance.md, with its date and machine.
func TestQuotes(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, last, found := strings.Cut(read("docs/performance.md"), lastRun+"\n\nMeasured ")
	if !found {
		t.Fatal("docs/performance.md has no last run")
	}
	date, _, _ := strings.Cut(last, ",")
	ratios := map[string]string{} // by work and beside
	for _, line := range strings.Split(last, "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 5 {
			ratios[strings.TrimPrefix(cells[0], "| ")+" | "+cells[1]] = strings.TrimSuffix(cells[4], " |")
		}
	}
	_, quotes, found := strings.Cut(read("README.md"), "\n## How fast\n")
	quotes, _, _ = strings.Cut(quotes, "\n## ")
	if !found || !strings.Contains(quotes, date) {
		t.Errorf("the README has no section How fast of %s", date)
	}
	quoted := 0
	for _, line := range strings.Split(quotes, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || cells[0] == "| work" {
			continue
		}
		quoted++
		key := strings.TrimPrefix(cells[0], "| ") + " | " + cells[1]
		if got, want := strings.TrimSuffix(cells[2], " |"), ratios[key]; got != want {
			t.Errorf("%s: the README says %s, the last run %q", key, got, want)
		}
	}
	if quoted < 5 {
		t.Errorf("the README quotes %d ratios", quoted)
	}
}
