package maven

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestBombs: what a publisher writes into a POM, or a repository into its metadata,
// does not hold a resolution up.
func TestBombs(t *testing.T) {
	t.Parallel()
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	properties := "<properties><a>" + strings.Repeat("${b}", 240) + "</a><b>" + strings.Repeat("${c}", 240) + "</b><c>" + strings.Repeat("x", 900) + "</c><r>${r}</r></properties>"
	optional := func(n int, version string) string {
		return properties + "<dependencies>" + many(n, "<dependency><groupId>g</groupId><artifactId>a%d</artifactId><version>"+version+"</version><optional>true</optional></dependency>") + "</dependencies>"
	}
	exclusions := many(15_000, "<exclusion><groupId>g</groupId><artifactId>a%d${a}</artifactId></exclusion>")
	versions := "<metadata><groupId>g</groupId><artifactId>r</artifactId><versioning><versions>" + many(20_000, "<version>1.%d</version>")
	const end = "</versions></versioning></metadata>"
	for name, tt := range map[string]struct {
		pom, metadata string
		class         fault.Class
		says          string
	}{
		"properties in properties":    {optional(9_000, "${a}"), "", fault.Usage, "its properties are replaced by more than"},
		"a property in itself":        {optional(9_000, strings.Repeat("${r}", 40)), "", fault.Usage, "its properties are replaced by more than"},
		"properties in exclusions":    {properties + "<dependencies><dependency><groupId>g</groupId><artifactId>r</artifactId><version>1</version><exclusions>" + exclusions + "</exclusions></dependency></dependencies>", "", fault.Usage, "its properties are replaced by more than"},
		"dependencies":                {optional(21_000, "1"), "", fault.Upstream, "more than the limit of"},
		"dependencies in a profile":   {"<profiles><profile><id>x</id>" + optional(21_000, "1") + "</profile></profiles>", "", fault.Upstream, "more than the limit of"},
		"ranges":                      {"<dependencies>" + many(15_000, "<dependency><groupId>g</groupId><artifactId>r</artifactId><classifier>c%[1]d</classifier><version>[1.%[1]d,)</version></dependency>") + "</dependencies>", versions + end, fault.Usage, "versions to compare with ranges"},
		"one range":                   {"<dependencies>" + many(15_000, "<dependency><groupId>g</groupId><artifactId>r</artifactId><classifier>c%d</classifier><version>[1,)</version></dependency>") + "</dependencies>", versions + end, fault.Usage, "its closure has more than 2000 artifacts"},
		"versions":                    {needs("g:r:[1,)"), versions + many(31_000, "<version>2.%d</version>") + end, fault.Upstream, "more than the limit of"},
		"a version that nests":        {needs("g:r:[1,)"), "<metadata><versioning><versions><version>" + strings.Repeat("1-", 1<<20) + "</version>" + end, fault.Upstream, "no version of g:r is in the required range"},
		"a dependency's version":      {needs("g:r:[" + strings.Repeat("1-", 1<<20) + ",)"), versions + end, fault.Usage, "a version has at most"},
		"a dependency's soft version": {needs("g:r:" + strings.Repeat("1-", 1<<20) + "1"), versions + end, fault.Usage, "a version has at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := repo{}
			r.pom("g:p:1", tt.pom)
			r[MetadataPath("g:r")] = tt.metadata
			ended := make(chan error, 1)
			go func() {
				_, err := r.closure(t, "g:p:1")
				ended <- err
			}()
			select {
			case err := <-ended:
				if fault.Of(err) != tt.class || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 2000 {
					t.Errorf("%.300v", err)
				}
			case <-time.After(5 * time.Minute): // the race detector on a busy machine needs one
				t.Fatal("it goes on")
			}
		})
	}
	// A person can end it wherever it is.
	r := repo{}
	r.pom("g:p:1", needs("g:a:1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resolver := &Resolver{Java: 17, Document: func(_ context.Context, path string) ([]byte, error) { return []byte(r[path]), nil }}
	if _, err := resolver.Closure(ctx, Coordinate{Group: "g", Artifact: "p", Version: "1", Ext: "jar"}); err == nil {
		t.Error("it did not end")
	}
}
