package ui

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestFit: a table that is too wide for a terminal is within its columns, and all
// of the tail is there; on a pipe, and where there is room, it is as it was.
func TestFit(t *testing.T) {
	t.Parallel()
	table := NewTable()
	table.Line("NAME\tSOURCE\tRUN\tWHY")
	table.Line("ts-proto\tnpm:ts-proto\tlockgen upgrade --latest ts-proto\t-")
	table.Line("protoc-gen-größe\tgo:github.com/grpc-ecosystem/grpc-gateway/v2\t-\t2.0.0: too young, from 2027-01-01 on it may be locked (and 3 more)")
	whole := table.String()
	for _, columns := range []int{0, -1, 200} {
		if got := table.Fit(columns, 2); got != whole {
			t.Errorf("%d columns:\n%s", columns, got)
		}
	}
	if got, want := table.Fit(60, 2), `NAME              SOURCE
    RUN
    WHY
ts-proto          npm:ts-proto
    lockgen upgrade --latest ts-proto
protoc-gen-größe  go:github.com/grpc-ecosystem/grpc-gateway…
    2.0.0: too young, from 2027-01-01 on it may be locked
    (and 3 more)`; got != want {
		t.Errorf("60 columns:\n%s\nwant\n%s", got, want)
	}
	for columns := 40; columns < 120; columns++ {
		got := table.Fit(columns, 2)
		for line := range strings.SplitSeq(got, "\n") {
			if utf8.RuneCountInString(line) > columns {
				t.Errorf("%d columns: %s", columns, line)
			}
		}
		if !strings.Contains(strings.Join(strings.Fields(got), " "), "from 2027-01-01 on it may be locked (and 3 more)") {
			t.Errorf("%d columns: the tail is not whole:\n%s", columns, got)
		}
	}
	short := NewTable()
	short.Line("NAME\tSOURCE\tPLATFORMS")
	short.Line("protoc-gen-grpc-gateway\tgo:github.com/grpc-ecosystem/grpc-gateway/v2\tall but windows-aarch64")
	if got, want := short.Fit(80, 1), `NAME                     SOURCE                          PLATFORMS
protoc-gen-grpc-gateway  go:github.com/grpc-ecosystem/…  all but windows-aarch64`; got != want {
		t.Errorf("80 columns:\n%s\nwant\n%s", got, want)
	}
	if got := NewTable().Fit(10, 1); got != "" {
		t.Errorf("no lines: %q", got)
	}
}
