package web

import (
	"archive/zip"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// libraries returns the jars of a runtime and its dependencies, in the versions
// that all Java runtimes agree on.
func (s *mavenSource) libraries(ctx context.Context, w *plan.Want, platforms []lock.Platform, res *source.Resolution) error {
	var roots []maven.Coordinate
	for _, item := range w.Together() {
		name, version, _ := strings.Cut(item, "==")
		group, artifact, _ := strings.Cut(name, ":")
		root := maven.Coordinate{Group: group, Artifact: artifact, Version: version, Ext: "jar"}
		if maven.Snapshot(version) {
			return fault.Errorf(fault.Policy, "take a released version", "%s may change: what is called a snapshot is never locked", root)
		}
		roots = append(roots, root)
	}
	closures, err := s.together.Do(fmt.Sprint(roots), func() (map[string][]maven.Node, error) { return s.resolver(w).Together(ctx, roots) })
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	var nodes []maven.Node
	for _, item := range w.Items() {
		name, _, _ := strings.Cut(item, "==")
		for _, n := range closures[name] {
			if key := n.Key(); !seen[key] {
				seen[key] = true
				nodes = append(nodes, n)
			}
		}
	}
	s.take(w, platforms, nodes, res)
	return s.evidence(ctx, res.Artifacts)
}

// readable refuses a jar that a compiler cannot read.
func (s *mavenSource) readable(v *lock.Version, contents map[string]*source.Content) error {
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f, err := s.store.Blob(context.Background(), contents[key].Digest)
		if err != nil {
			return err
		}
		_, err = zip.NewReader(f, contents[key].Digest.Size)
		f.Close()
		if err != nil {
			return fault.Errorf(fault.Integrity, "use another version", "%s is no jar: %w", v.Files[key].Label(key), err)
		}
	}
	return nil
}
