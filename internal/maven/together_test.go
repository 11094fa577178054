package maven

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestTogether: of what several artifacts need, a program has one version, the highest
// that anything asks for.
func TestTogether(t *testing.T) {
	t.Parallel()
	const moved = "<distributionManagement><relocation><groupId>new</groupId></relocation></distributionManagement>"
	for name, tt := range map[string]struct {
		roots string
		poms  map[string]string
		lists map[string]string // versions by GROUP:ARTIFACT
		want  string            // of each root
		class fault.Class
		says  string
	}{
		"each its own": {
			roots: "g:a:1 g:b:1",
			poms:  map[string]string{"g:a:1": needs("g:x:1"), "g:b:1": needs("g:y:1"), "g:x:1": needs("g:z:1"), "g:y:1": needs("g:z:1"), "g:z:1": ""},
			want:  "g:a:1 g:x:1 g:z:1; g:b:1 g:y:1 g:z:1",
		},
		"the highest, also where it is further away": {
			roots: "g:a:1 g:b:1",
			poms:  map[string]string{"g:a:1": needs("g:x:1"), "g:b:1": needs("g:y:1"), "g:x:1": needs("g:gone:1"), "g:gone:1": "", "g:y:1": needs("g:x:1.10"), "g:x:1.10": needs("g:new:1"), "g:new:1": ""},
			want:  "g:a:1 g:x:1.10 g:new:1; g:b:1 g:x:1.10 g:y:1 g:new:1",
		},
		"higher again": {
			roots: "g:a:1",
			poms:  map[string]string{"g:a:1": needs("g:x:1", "g:y:1"), "g:y:1": needs("g:x:2"), "g:x:1": "", "g:x:2": needs("g:y:2"), "g:y:2": needs("g:x:3"), "g:x:3": ""},
			want:  "g:a:1 g:x:3 g:y:2",
		},
		"a root that another one needs": {
			roots: "g:a:5 g:b:1",
			poms:  map[string]string{"g:a:5": needs("g:x:1"), "g:b:1": needs("g:a:4"), "g:x:1": ""},
			want:  "g:a:5 g:x:1; g:b:1 g:a:5 g:x:1",
		},
		"a root that is too old": {
			roots: "g:a:4 g:b:1",
			poms:  map[string]string{"g:a:4": "", "g:b:1": needs("g:a:5"), "g:a:5": ""},
			class: fault.Usage, says: "g:b:1 needs g:a 5 or later, and [runtimes] has 4",
		},
		"a range": {
			roots: "g:a:1", lists: map[string]string{"g:x": "1.0 1.5 2.0"},
			poms: map[string]string{"g:a:1": needs("g:x:[1,2)"), "g:x:1.5": ""},
			want: "g:a:1 g:x:1.5",
		},
		"a range that the others leave": {
			roots: "g:a:1 g:b:1", lists: map[string]string{"g:x": "1.0 1.5 2.0"},
			poms:  map[string]string{"g:a:1": needs("g:x:[1,2)"), "g:b:1": needs("g:x:2.0"), "g:x:1.5": "", "g:x:2.0": ""},
			class: fault.Usage, says: "g:a:1 needs g:x [1,2), but another dependency needs 2.0",
		},
		"moved": {
			roots: "g:a:1", poms: map[string]string{"g:a:1": moved, "new:a:1": ""},
			class: fault.Usage, says: "g:a:1 was moved to new:a:1",
		},
		"a dependency moved": {
			roots: "g:a:1 g:b:1", poms: map[string]string{"g:a:1": needs("g:x:1"), "g:x:1": moved, "new:x:1": "", "g:b:1": needs("new:x:1")},
			want: "g:a:1 new:x:1; g:b:1 new:x:1",
		},
		"snapshot": {
			roots: "g:a:1", poms: map[string]string{"g:a:1": needs("g:x:1-SNAPSHOT")},
			class: fault.Policy, says: "snapshot",
		},
		"no POM": {
			roots: "g:a:1", poms: map[string]string{"g:a:1": needs("g:x:1")},
			class: fault.Upstream, says: "no repository has the POM of g:x:1",
		},
		"broken POM": {
			roots: "g:a:1", poms: map[string]string{"g:a:1": needs("g:x:1"), "g:x:1": "<dependencies>"},
			class: fault.Upstream, says: "the POM of g:x:1: malformed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := repo{}
			for gav, inside := range tt.poms {
				r.pom(gav, inside)
			}
			for pkg, versions := range tt.lists {
				group, artifact, _ := strings.Cut(pkg, ":")
				r[MetadataPath(pkg)] = "<metadata><groupId>" + group + "</groupId><artifactId>" + artifact + "</artifactId><versioning><versions><version>" +
					strings.ReplaceAll(versions, " ", "</version><version>") + "</version></versions></versioning></metadata>"
			}
			var roots []Coordinate
			for gav := range strings.FieldsSeq(tt.roots) {
				part := strings.Split(gav, ":")
				roots = append(roots, Coordinate{Group: part[0], Artifact: part[1], Version: part[2], Ext: "jar"})
			}
			resolver := &Resolver{Java: 17, Document: func(_ context.Context, path string) ([]byte, error) {
				if doc, ok := r[path]; ok {
					return []byte(doc), nil
				}
				return nil, fault.Errorf(fault.Upstream, "", "%s: %w", path, fs.ErrNotExist)
			}}
			of, err := resolver.Together(t.Context(), roots)
			if tt.says != "" {
				if fault.Of(err) != tt.class || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, pkg := range slices.Sorted(maps.Keys(of)) {
				var list []string
				for _, n := range of[pkg] {
					list = append(list, n.String())
				}
				got = append(got, strings.Join(list, " "))
			}
			if s := strings.Join(got, "; "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}
