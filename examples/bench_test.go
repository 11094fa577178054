package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// BenchmarkMonorepo compares, in one run and by turns, a clean build of 2,500
// .proto files in 400 targets with one `buf generate` over the same files by
// the same plugin; then it builds after no change and after changes of one file.
// Protoc, plugin and node are on the machine before the clock starts, for both.
// Buf comes from npm: install @bufbuild/buf and put it on PATH.
//
// What a change of one file costs depends on how many targets import it, by way
// of others or not. So twenty files are changed, one after the other, in the
// middle of each twentieth of all files ordered by that number: "changed" is
// their mean, when a message is added to each, and "median" that of their times
// which half of the others exceed. "worst" is the file that most targets import.
// "comment" and "worst-comment" are the same files with another line in a comment.
//
// "cpu" is processor time, which another load of the machine changes less.
//
//	go test -run '^$' -bench Monorepo -benchtime 1x -timeout 60m ./examples
//
// BUCK2_PROTOBUF_BENCH_TARGETS gives another number of targets, of as many
// files each.
func BenchmarkMonorepo(b *testing.B) {
	buf := testenv.Program(b, "buf")
	bucktest.Need(b)
	targets := 400
	if s := os.Getenv("BUCK2_PROTOBUF_BENCH_TARGETS"); s != "" {
		var err error
		if targets, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	dir := filepath.Join(b.TempDir(), "repo")
	bucktest.CopyRepo(b, dir)
	command(b, bucktest.Root(b), "go", "run", "./examples/monorepo", "--targets", strconv.Itoa(targets), "--files", strconv.Itoa(targets*2500/400), filepath.Join(dir, "acme"))
	protos, err := filepath.Glob(filepath.Join(dir, "acme", "*", "*", "v1", "*.proto"))
	if err != nil || len(protos) < targets {
		b.Fatalf("%d files: %v", len(protos), err)
	}
	fetch := filepath.Join(b.TempDir(), "fetch")
	command(b, bucktest.Root(b), "go", "build", "-o", fetch, "./fetch")
	plugin := strings.TrimSpace(command(b, dir, fetch, "-q", "get", "ts-proto"))
	bucktest.Write(b, dir, map[string]string{
		"buf.yaml":     "version: v2\nmodules:\n  - path: .\n    includes: [acme]\n",
		"buf.gen.yaml": fmt.Sprintf("version: v2\nplugins:\n  - local: [%q]\n    out: generated\n    opt: [emitImportedFiles=false]\n", plugin),
	})
	generate := func() (elapsed, processor time.Duration) {
		if err := os.RemoveAll(filepath.Join(dir, "generated")); err != nil {
			b.Fatal(err)
		}
		cmd := exec.CommandContext(b.Context(), buf, "generate")
		cmd.Dir = dir
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("buf generate: %v\n%s", err, out)
		}
		return time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	p := bucktest.Open(b, dir, "v2")
	build := func() time.Duration {
		start := time.Now()
		p.Must("build", "//acme/...")
		return time.Since(start)
	}
	dependents := dependents(b, dir)
	imports := func(file string) int { return dependents[filepath.Dir(file)] }
	slices.SortStableFunc(protos, func(f, g string) int { return imports(f) - imports(g) })
	var sample []string
	for n := range 20 {
		sample = append(sample, protos[(2*n+1)*len(protos)/40])
	}
	worst := protos[len(protos)-1]
	edits := 0
	edit := func(file string, change func(text string, n int) string) time.Duration {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		edits++
		changed := change(string(data), edits)
		if changed == string(data) {
			b.Fatalf("%s is what it was", file)
		}
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			b.Fatal(err)
		}
		return build()
	}
	message := func(text string, n int) string {
		return text + fmt.Sprintf("\nmessage Changed%d {}\n", n)
	}
	comment := func(text string, n int) string {
		return strings.Replace(text, "\nmessage ", fmt.Sprintf("\n// Edited %d.\nmessage ", n), 1)
	}
	var clean, cleanProcessor, unchanged, byBuf, byBufProcessor, changed, median, commented, worsts, worstCommented []time.Duration
	for b.Loop() {
		p.Must("clean")
		// One library fetches what all of them need.
		p.Must("build", "//examples/typescript:ts-proto")
		before := processorTime(b, p)
		clean = append(clean, build())
		cleanProcessor = append(cleanProcessor, processorTime(b, p)-before)
		elapsed, processor := generate()
		byBuf, byBufProcessor = append(byBuf, elapsed), append(byBufProcessor, processor)
		unchanged = append(unchanged, build())
		var sum, sumCommented time.Duration
		var times []time.Duration
		for _, file := range sample {
			t := edit(file, message)
			times = append(times, t)
			sum += t
			sumCommented += edit(file, comment)
		}
		slices.Sort(times)
		changed = append(changed, sum/time.Duration(len(sample)))
		median = append(median, times[len(times)/2])
		commented = append(commented, sumCommented/time.Duration(len(sample)))
		worsts = append(worsts, edit(worst, message))
		worstCommented = append(worstCommented, edit(worst, comment))
	}
	sum := 0
	for _, file := range protos {
		sum += imports(file)
	}
	b.ReportMetric(float64(len(protos)), "files")
	b.ReportMetric(float64(sum)/float64(len(protos)), "dependents")
	b.ReportMetric(float64(imports(worst)), "worst-dependents")
	b.ReportMetric(seconds(clean), "clean-s")
	b.ReportMetric(seconds(byBuf), "buf-s")
	b.ReportMetric(seconds(clean)/seconds(byBuf), "clean/buf")
	b.ReportMetric(seconds(cleanProcessor), "clean-cpu-s")
	b.ReportMetric(seconds(byBufProcessor), "buf-cpu-s")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{
		{"changed", changed},
		{"median", median},
		{"comment", commented},
		{"worst", worsts},
		{"worst-comment", worstCommented},
	} {
		b.ReportMetric(seconds(row.times), row.name+"-s")
		b.ReportMetric(seconds(row.times)/seconds(clean), row.name+"/clean")
	}
	b.ReportMetric(seconds(unchanged), "unchanged-s")
	b.ReportMetric(daemonPeak(b, p), "daemon-MiB-peak")
}

// dependents counts, for each folder with a target of examples/monorepo below
// dir/acme, the targets that import it, by way of others or not.
func dependents(b *testing.B, dir string) map[string]int {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "acme", "*", "*", "v1", "BUCK"))
	if err != nil || len(files) == 0 {
		b.Fatalf("%d BUCK files: %v", len(files), err)
	}
	label := regexp.MustCompile(`"//(acme/.*):api"`)
	importers := map[string][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		for _, found := range label.FindAllStringSubmatch(string(data), -1) {
			folder := filepath.Join(dir, filepath.FromSlash(found[1]))
			importers[folder] = append(importers[folder], filepath.Dir(file))
		}
	}
	counts := map[string]int{}
	for folder := range importers {
		seen := map[string]bool{}
		for next := []string{folder}; len(next) > 0; next = next[1:] {
			for _, i := range importers[next[0]] {
				if !seen[i] {
					seen[i] = true
					next = append(next, i)
				}
			}
		}
		counts[folder] = len(seen)
	}
	return counts
}

// BenchmarkLock compares `buck2 targets` in a repository with a lock of some 10 to
// 10,000 artifacts, six to a version of a plugin, and in one with a plain http_file
// target for each version, each by a fresh daemon; the cost is what each adds to a
// repository with neither.
//
//	go test -run '^$' -bench Lock -benchtime 5x ./examples
func BenchmarkLock(b *testing.B) {
	bucktest.Need(b)
	project := func(b *testing.B, files map[string]string) func() time.Duration {
		dir := filepath.Join(b.TempDir(), "repo")
		bucktest.CopyRepo(b, dir)
		bucktest.Write(b, dir, files)
		p := bucktest.Open(b, dir, "v2")
		return func() time.Duration {
			p.Must("kill")
			start := time.Now()
			if n := strings.Count(p.Must("targets", "//many:"), "\n"); n == 0 {
				b.Fatal("no targets")
			}
			return time.Since(start)
		}
	}
	platforms := []string{"linux-aarch64", "linux-x86_64", "macos-aarch64", "macos-x86_64", "windows-aarch64", "windows-x86_64"}
	hash := strings.Repeat("0123456789abcdef", 4)
	for _, artifacts := range []int{10, 100, 1000, 10000} {
		b.Run(strconv.Itoa(artifacts), func(b *testing.B) {
			var text, plain strings.Builder
			text.WriteString("schema = 1\n")
			for n := range (artifacts + len(platforms) - 1) / len(platforms) {
				table := fmt.Sprintf("plugins.p%03d.\"1.%d.0\"", n/4, n%4)
				fmt.Fprintf(&text, "\n[%s]\nsource = \"http\"\ntrust = \"first-use\"\n\n[%s.files]\n", table, table)
				for _, platform := range platforms {
					fmt.Fprintf(&text, "\"p-%s\" = { url = \"https://example.com/p%d-%s\", sha256 = %q, size = 1000, platforms = [%q] }\n", platform, n, platform, hash, platform)
				}
				fmt.Fprintf(&text, "\n[%s.platforms]\n", table)
				for _, platform := range platforms {
					fmt.Fprintf(&text, "%s = { binary = \"protoc-gen-p\", tree = %q }\n", platform, hash)
				}
				fmt.Fprintf(&plain, "http_file(name = \"f%d\", urls = [\"https://example.com/f%d\"], sha256 = %q, size_bytes = 1000)\n", n, n, hash)
			}
			empty := project(b, map[string]string{"many/BUCK": "filegroup(name = \"none\")\n"})
			locked := project(b, map[string]string{
				"many/plugins.lock.toml": text.String(),
				"many/BUCK":              "load(\"@buck2-protobuf//rules:proto.bzl\", \"protobuf_plugins\")\nload(\":plugins.lock.toml\", lock = \"value\")\nprotobuf_plugins(lock = lock)\n",
			})
			files := project(b, map[string]string{"many/BUCK": plain.String()})
			empty() // the first daemon finds the files of Buck2 itself
			var none, many, http []time.Duration
			for b.Loop() {
				none, many, http = append(none, empty()), append(many, locked()), append(http, files())
			}
			b.ReportMetric(seconds(none), "empty-s")
			b.ReportMetric(seconds(many), "locked-s")
			b.ReportMetric(seconds(http), "files-s")
			b.ReportMetric(seconds(many)-seconds(none), "lock-s")
			b.ReportMetric(seconds(http)-seconds(none), "http_file-s")
			if net := seconds(http) - seconds(none); net > 0 { // what is less than the noise has no ratio
				b.ReportMetric((seconds(many)-seconds(none))/net, "lock/http_file")
			}
		})
	}
}

// seconds is the shortest of some times: what is longer was disturbed.
func seconds(times []time.Duration) float64 {
	shortest := times[0]
	for _, t := range times {
		shortest = min(shortest, t)
	}
	return shortest.Seconds()
}

// daemonPeak is the most memory that the daemon of a project ever had, in MiB,
// or 0 where the system does not say.
func daemonPeak(b *testing.B, p *bucktest.Project) float64 {
	b.Helper()
	pid, _ := daemon(b, p)
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(data), "\n") {
		var kib int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return float64(kib) / 1024
		}
	}
	return 0
}

// processorTime is what the daemon of a project and the actions that it ran
// have used of the processors, or 0 where the system does not say.
func processorTime(b *testing.B, p *bucktest.Project) time.Duration {
	b.Helper()
	pid, forkserver := daemon(b, p)
	var sum time.Duration
	for _, pid := range []int{pid, forkserver} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0
		}
		// After the name in parentheses: utime, stime, cutime and cstime are
		// fields 14 to 17 of proc(5), in hundredths of a second.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		for _, field := range fields[11:15] {
			ticks, err := strconv.Atoi(field)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * time.Second / 100
		}
	}
	return sum
}

// daemon returns the processes of a project's daemon: itself, and the one that
// starts its actions, 0 where there is none.
func daemon(b *testing.B, p *bucktest.Project) (pid, forkserver int) {
	b.Helper()
	var status struct {
		Process struct {
			PID int `json:"pid"`
		} `json:"process_info"`
		Forkserver int `json:"forkserver_pid"`
	}
	if err := json.Unmarshal([]byte(p.Must("status")), &status); err != nil {
		b.Fatal(err)
	}
	return status.Process.PID, status.Forkserver
}
