package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// A benchmark is one of a package of this repository, which measures both sides by
// turns and reports the median of each as a metric that ends in -s or -ms, or the most
// memory of each in -MiB.
type benchmark struct {
	group, name, pkg string
	runs, quick      int      // how often both sides run, for all and for --quick
	subs             string   // for --quick: a regexp of the sub-benchmarks
	env, quickEnv    []string // KEY=VALUE
	shortest         bool     // it reports the shortest times, not the medians
	rows             []row
	curve            *curve
}

// A row compares two metrics.
type row struct {
	sub          string // sub-benchmark, "" for none
	work, beside string // what is measured, and beside what; {METRIC} is the number that was reported
	ours, theirs string // metrics
	tool         string // the program that is beside, "" for none
}

// A curve is a plot of metrics of the sub-benchmarks, whose names are the sizes.
type curve struct {
	file, title string
	x           string
	lines       []line
}

// A line of a plot.
type line struct{ name, metric string }

func (b benchmark) id() string { return b.group + "/" + b.name }

// groups are the parts of the table, in order, with their titles.
var groups = []struct{ key, title string }{
	{"install", "Installing"},
	{"transfer", "Transfer"},
	{"start", "Start of an installed plugin"},
	{"codegen", "Generating code"},
	{"locks", "Locks of 10 to 10,000 artifacts"},
	{"memory", "Memory, the most that a process has"},
}

var benchmarks = []benchmark{
	{group: "install", name: "Install", pkg: "./fetch", runs: 10, quick: 3, rows: installRows()},
	{group: "install", name: "Wheel", pkg: "./fetch", runs: 10, quick: 3, rows: []row{
		{work: "protoc from its wheel, by `fetch` alone", beside: "`fetch` with pip", ours: "by-none-s", theirs: "by-pip-s", tool: "pip"},
		{work: "protoc from its wheel, by `fetch` alone", beside: "`fetch` with uv", ours: "by-none-s", theirs: "by-uv-s", tool: "uv"},
	}},
	{group: "transfer", name: "HTTP", pkg: "./internal/remote/oci", runs: 10, quick: 5, rows: []row{
		{work: "100 MB over HTTP, hashed and stored", beside: "curl, which hashes nothing", ours: "ours-s", theirs: "curl-s", tool: "curl"},
		{work: "100 MB over HTTP, hashed and stored", beside: "curl, then sha256sum", ours: "ours-s", theirs: "curl-sha256sum-s", tool: "sha256sum"},
	}},
	{group: "transfer", name: "Pull", pkg: "./internal/remote/oci", runs: 10, quick: 5, rows: []row{
		{sub: "static", work: "100 MB of a registry of OCI that is a file server", beside: "oras pull", ours: "ours-s", theirs: "oras-s", tool: "oras"},
		{sub: "static", work: "100 MB of a registry of OCI that is a file server", beside: "curl of the blob, which hashes nothing", ours: "ours-s", theirs: "curl-s", tool: "curl"},
		{sub: "docker-registry", work: "100 MB of Debian's docker-registry", beside: "oras pull", ours: "ours-s", theirs: "oras-s", tool: "docker-registry"},
	}},
	{group: "transfer", name: "Cold", pkg: "./lockgen", runs: 3, quick: 1, rows: []row{
		{work: "`lockgen update` of {files} files by URL with nothing cached, at 400 Mbit/s", beside: "a download of the same files, as many at once", ours: "update-s", theirs: "download-s"},
	}},
	{group: "start", name: "DotSlash", pkg: "./fetch", runs: 200, quick: 50, rows: []row{
		{work: "`fetch get` of one program", beside: "`dotslash -- fetch` of one program", ours: "get-ms", theirs: "dotslash-ms", tool: "dotslash"},
	}},
	{group: "start", name: "Warm", pkg: "./fetch", runs: 200, quick: 50, rows: []row{
		{work: "`fetch get protoc`, a few files", beside: "`fetch --version`", ours: "protoc-ms", theirs: "version-ms"},
		{work: "`fetch get ts-proto`, some hundred files", beside: "`fetch --version`", ours: "ts-proto-ms", theirs: "version-ms"},
		{work: "`fetch get node`, 5,000 files", beside: "`fetch --version`", ours: "node-ms", theirs: "version-ms"},
		{work: "`fetch --version`", beside: "a program in Go that does nothing", ours: "version-ms", theirs: "empty-ms"},
	}},
	{group: "codegen", name: "Monorepo", pkg: "./examples", runs: 1, quick: 1, shortest: true, quickEnv: []string{"BUCK2_PROTOBUF_BENCH_TARGETS=40"}, rows: []row{
		{work: "ts-proto for {files} files, clean `buck2 build`", beside: "`buf generate` with the same plugin", ours: "clean-s", theirs: "buf-s", tool: "buf"},
		{work: "the same, in seconds of processor", beside: "`buf generate`, in seconds of processor", ours: "clean-cpu-s", theirs: "buf-cpu-s", tool: "buf"},
		{work: "`buck2 build` after a change of one file", beside: "`buf generate`", ours: "changed-s", theirs: "buf-s", tool: "buf"},
		{work: "`buck2 build` after another comment in one file", beside: "`buf generate`", ours: "comment-s", theirs: "buf-s", tool: "buf"},
		{work: "`buck2 build` after no change", beside: "`buf generate`", ours: "unchanged-s", theirs: "buf-s", tool: "buf"},
	}},
	{group: "locks", name: "Check", pkg: "./lockgen", runs: 20, quick: 10, rows: lockRows(), curve: &curve{
		file: "locks.svg", title: "lockgen, and a bare decode of the lock", x: "artifacts in the lock",
		lines: []line{{"check", "check-ms"}, {"update, nothing to do", "update-ms"}, {"decode", "decode-ms"}},
	}},
	{group: "locks", name: "Lock", pkg: "./examples", runs: 5, quick: 2, subs: "^(10|1000|10000)$", shortest: true, rows: loadRows(), curve: &curve{
		file: "loading.svg", title: "buck2 targets by a fresh daemon", x: "artifacts in the lock",
		lines: []line{{"a lock", "locked-s"}, {"http_file, one a version", "files-s"}, {"neither", "empty-s"}},
	}},
	{group: "memory", name: "Memory", pkg: "./lockgen", runs: 3, quick: 1, rows: memoryRows()},
}

// memoryRows are the peaks of commands beside that of `version` of the same program.
func memoryRows() (rows []row) {
	for _, m := range []struct{ metric, work, program string }{
		{"check-MiB", "`lockgen check` of the lock of this repository", "lockgen"},
		{"check-many-MiB", "`lockgen check`, 10,000 artifacts", "lockgen"},
		{"update-many-MiB", "`lockgen update` with nothing to do, 10,000 artifacts", "lockgen"},
		{"list-MiB", "`lockgen list`", "lockgen"},
		{"sbom-MiB", "`lockgen sbom`", "lockgen"},
		{"report-MiB", "`lockgen report --html`", "lockgen"},
		{"mirror-MiB", "`lockgen mirror node`, 58 MB to a folder", "lockgen"},
		{"get-cold-MiB", "`fetch get node` with nothing cached, 58 MB and 5,000 files", "fetch"},
		{"get-warm-MiB", "`fetch get node`, installed", "fetch"},
		{"verify-MiB", "`fetch cache verify` of it", "fetch"},
	} {
		rows = append(rows, row{work: m.work, beside: "`" + m.program + " version`", ours: m.metric, theirs: m.program + "-version-MiB"})
	}
	return rows
}

// sizes are the numbers of artifacts of the locks that are measured.
var sizes = []string{"10", "100", "1000", "10000"}

// figure is a number as people write it, 10,000.
func figure(n string) string {
	if len(n) > 3 {
		return figure(n[:len(n)-3]) + "," + n[len(n)-3:]
	}
	return n
}

func installRows() (rows []row) {
	for _, m := range []struct{ key, name string }{{"npm", "npm"}, {"pnpm", "pnpm"}, {"yarn", "Yarn"}, {"bun", "bun"}} {
		rows = append(rows,
			row{work: "ts-proto and its packages, by `fetch` alone", beside: m.name + " alone, of the same files", ours: "own-s", theirs: m.key + "-alone-s", tool: m.key},
			row{work: "ts-proto and its packages, by `fetch` with " + m.name, beside: m.name + " alone, of the same files", ours: "by-" + m.key + "-s", theirs: m.key + "-alone-s", tool: m.key})
	}
	return rows
}

func lockRows() (rows []row) {
	for _, n := range sizes {
		rows = append(rows,
			row{sub: n, work: "`lockgen check`, " + figure(n) + " artifacts", beside: "a bare decode of the lock", ours: "check-ms", theirs: "decode-ms"},
			row{sub: n, work: "`lockgen update` with nothing to do, " + figure(n) + " artifacts", beside: "a bare decode of the lock", ours: "update-ms", theirs: "decode-ms"})
	}
	return rows
}

func loadRows() (rows []row) {
	for _, n := range sizes {
		rows = append(rows, row{sub: n, work: "`buck2 targets` of a lock, by a fresh daemon, " + figure(n) + " artifacts", beside: "`buck2 targets` of an http_file for each version", ours: "locked-s", theirs: "files-s", tool: "buck2"})
	}
	return rows
}

// A result is what a benchmark or a sub-benchmark of it reported.
type result struct {
	metrics map[string]float64
	logs    []string
	failed  bool
}

// run runs the benchmark and returns its results by sub-benchmark. It fails only
// where go test does not run at all.
func (b benchmark) run(ctx context.Context, quick bool) (map[string]*result, error) {
	times, pattern, env := b.runs, "^Benchmark"+b.name+"$", b.env
	if quick {
		times, env = b.quick, append(env, b.quickEnv...)
		if b.subs != "" {
			pattern += "/" + b.subs
		}
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-run", "^$", "-bench", pattern, "-benchtime", strconv.Itoa(times)+"x", "-timeout", "2h", b.pkg)
	// The real clients, and not those that the tests keep warm.
	cmd.Env = append(append(os.Environ(), "BUCK2_PROTOBUF_TEST=full"), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	found := parse(string(out), b.name)
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %v\n%s", cmd, err, out)
	}
	return found, nil
}

var logged = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)$`)

// parse reads what go test -v -bench printed for one benchmark.
func parse(out, name string) map[string]*result {
	found := map[string]*result{}
	at := func(name string) *result {
		r, ok := found[name]
		if !ok {
			r = &result{metrics: map[string]float64{}}
			found[name] = r
		}
		return r
	}
	// Go adds the number of processors to the names of what it measured.
	processors := ""
	if n := runtime.GOMAXPROCS(0); n > 1 {
		processors = "-" + strconv.Itoa(n)
	}
	var current *result
	for _, text := range strings.Split(out, "\n") {
		if of, failed := strings.CutPrefix(strings.TrimSpace(text), "--- FAIL: Benchmark"+name); failed {
			at(strings.TrimPrefix(of, "/")).failed = true
			continue
		}
		if match := logged.FindStringSubmatch(text); match != nil && current != nil {
			current.logs = append(current.logs, match[1])
			continue
		}
		fields := strings.Fields(text)
		if len(fields) == 0 || fields[0] != "Benchmark"+name && !strings.HasPrefix(fields[0], "Benchmark"+name+"/") && fields[0] != "Benchmark"+name+processors {
			continue
		}
		sub := strings.TrimPrefix(fields[0], "Benchmark"+name)
		if len(fields) > 1 {
			sub = strings.TrimSuffix(sub, processors)
		}
		current = at(strings.TrimPrefix(sub, "/"))
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				current.metrics[fields[i+1]] = value
			}
		}
	}
	return found
}

// why says why a row has no numbers.
func (b benchmark) why(r row, found map[string]*result) string {
	whole, of := found[""], found[r.sub]
	for _, result := range []*result{of, whole} {
		if result == nil {
			continue
		}
		if result.failed && len(result.logs) > 0 {
			return "failed: " + result.logs[0]
		}
		for _, text := range result.logs {
			if len(result.metrics) == 0 || r.tool != "" && strings.Contains(strings.ToLower(text), r.tool) {
				return text
			}
		}
	}
	switch {
	case of == nil && whole != nil && len(whole.logs) == 0:
		return "not measured by this run"
	case r.tool != "":
		return "no " + r.tool + " on PATH"
	}
	return "not reported"
}
