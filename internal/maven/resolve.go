package maven

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/once"
)

// A Resolver finds the closure of an artifact in repositories, from POMs and
// metadata. It is safe for concurrent use.
type Resolver struct {
	// Document returns the file at a path in the repositories. If it does not
	// exist, the error matches [fs.ErrNotExist].
	Document func(ctx context.Context, path string) ([]byte, error)
	// Java is the major version of Java that will run the closure.
	Java int

	poms  once.Map[string, *project]  // as written, by GROUP:ARTIFACT:VERSION
	lists once.Map[string, *Metadata] // by GROUP:ARTIFACT

	mu   sync.Mutex
	done map[string]*project // effective, by GROUP:ARTIFACT:VERSION
}

// Limits of a closure, and of a POM.
const (
	maxDepth        = 100
	maxClosure      = 2000
	maxCompared     = 500_000 // versions with ranges
	maxParents      = 30
	maxParallel     = 8
	maxDependencies = 20_000  // with their exclusions; the largest POMs have a quarter of that
	maxReplaced     = 4 << 20 // bytes of properties, and of what replaces them
)

// A Node is one artifact of a closure.
type Node struct {
	Coordinate
	Relocated string // the requested GROUP:ARTIFACT:VERSION, if it was moved
	Ranged    bool   // its version was chosen from a range
	File      bool   // it has a file besides its POM
}

// Closure returns what root needs at runtime, root first, in Maven's order for
// the class path. Of two versions of one artifact the one nearest to the root
// wins, at equal depth the first. The versions, scopes and exclusions in
// dependencyManagement of the root apply to all. Optional, provided and test
// dependencies are left out.
//
// If an artifact does not exist, the error matches [fs.ErrNotExist]. If POMs
// cannot be resolved in the same way for every machine, it is of class
// [fault.Usage].
func (r *Resolver) Closure(ctx context.Context, root Coordinate) ([]Node, error) {
	c := newClosing(r, map[string]dependency{})
	first, of, err := c.relocate(ctx, Node{Coordinate: root, File: true})
	if err != nil {
		return nil, err
	}
	for _, d := range of.Managed {
		c.managed[d.key()] = d
	}
	c.nodes = append(c.nodes, &first)
	c.seen[keyOf(first.Coordinate)] = c.nodes[0]
	if err := c.descend(ctx, root, []pending{{node: c.nodes[0], of: of}}, 1); err != nil {
		return nil, err
	}
	var nodes []Node
	for _, n := range c.nodes {
		nodes = append(nodes, *n)
	}
	return nodes, nil
}

// A closing is a closure in progress.
type closing struct {
	*Resolver
	managed map[string]dependency // of the root
	nodes   []*Node
	seen    map[string]*Node
	ranges  map[string][]constraint // required versions, by key, from all dependencies
	// required has those that are in ranges, KEY and RANGE; highest is the version
	// that was found for a package and a range.
	required map[string]bool
	highest  map[string]string
	compared int   // versions, by within
	asks     []ask // all dependencies of the nodes
	joined   bool  // it is of several roots: see raise
}

// An ask is a dependency of a node that is not left out.
type ask struct {
	by      *Node
	of      dependency // with the version that its own POM gives it
	version string     // as it is looked for, perhaps a range
	key     string     // in closing.seen
}

// A pending is a node whose dependencies have not been processed.
type pending struct {
	node     *Node
	of       *project
	excluded []exclusion
}

func newClosing(r *Resolver, managed map[string]dependency) *closing {
	return &closing{Resolver: r, managed: managed, seen: map[string]*Node{}, ranges: map[string][]constraint{}, required: map[string]bool{}, highest: map[string]string{}}
}

// descend adds everything that a level, at a depth, needs. Root is named in the error
// for what is nested too deep.
func (c *closing) descend(ctx context.Context, root Coordinate, level []pending, depth int) (err error) {
	for ; len(level) > 0; depth++ {
		if depth > maxDepth {
			return misfit(root, "its dependencies are nested more than %d deep", maxDepth)
		}
		if level, err = c.below(ctx, level, depth); err != nil {
			return err
		}
	}
	return nil
}

// below processes the dependencies of a level, and returns the next level.
func (c *closing) below(ctx context.Context, level []pending, depth int) ([]pending, error) {
	var next []pending
	var found []*Node
	for _, p := range level {
		for _, d := range p.of.Dependencies {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			own := d
			if depth > 1 { // at depth 1 the effective POM has applied it
				d = c.manage(d)
			}
			if d.Optional == "true" || d.Scope != "" && d.Scope != "compile" && d.Scope != "runtime" || excludes(p.excluded, d) {
				continue
			}
			n, err := c.node(ctx, p.node, d)
			if err != nil {
				return nil, err
			}
			key := keyOf(n.Coordinate)
			c.asks = append(c.asks, ask{p.node, own, d.Version, key})
			if first := c.seen[key]; first != nil {
				if c.joined {
					continue
				}
				if i := slices.IndexFunc(c.ranges[key], func(x constraint) bool { return !x.allows(first.Version) }); i >= 0 {
					return nil, misfit(p.node.Coordinate, "it requires version %s of %s, but %s is nearer to the plugin", d.Version, d.String(), first.Version)
				}
				continue
			}
			c.seen[key] = n
			found = append(found, n)
			next = append(next, pending{node: n, excluded: append(slices.Clone(p.excluded), d.Exclusions...)})
			if len(c.nodes)+len(found) > maxClosure {
				return nil, misfit(c.nodes[0].Coordinate, "its closure has more than %d artifacts", maxClosure)
			}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxParallel)
	for i := range next {
		g.Go(func() (err error) {
			var moved Node
			if moved, next[i].of, err = c.relocate(gctx, *next[i].node); err == nil {
				*next[i].node = moved
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	kept := next[:0]
	for _, p := range next {
		if p.node.Relocated != "" { // the new name may already be there
			key := keyOf(p.node.Coordinate)
			if other := c.seen[key]; other != nil && other != p.node {
				continue
			}
			c.seen[key] = p.node
		}
		c.nodes = append(c.nodes, p.node)
		kept = append(kept, p)
	}
	return kept, nil
}

// manage applies dependencyManagement of the root to a dependency.
func (c *closing) manage(d dependency) dependency {
	m, ok := c.managed[d.key()]
	if !ok {
		return d
	}
	if m.Version != "" {
		d.Version = m.Version
	}
	if m.Scope != "" {
		d.Scope = m.Scope
	}
	if m.Optional != "" {
		d.Optional = m.Optional
	}
	d.Exclusions = append(slices.Clone(d.Exclusions), m.Exclusions...)
	return d
}

func excludes(list []exclusion, d dependency) bool {
	return slices.ContainsFunc(list, func(x exclusion) bool {
		return (x.Group == "*" || x.Group == d.Group) && (x.Artifact == "*" || x.Artifact == d.Artifact)
	})
}

// node returns the artifact of a dependency.
func (c *closing) node(ctx context.Context, by *Node, d dependency) (*Node, error) {
	for _, f := range d.fields() {
		if x := expression().FindString(*f); x != "" {
			return nil, misfit(by.Coordinate, "%s is not defined, in its dependency on %s", x, d.String())
		}
	}
	n := &Node{Coordinate: Coordinate{Group: d.Group, Artifact: d.Artifact, Version: d.Version, Classifier: d.Classifier, Ext: "jar"}, File: true}
	switch d.Type { // https://maven.apache.org/ref/current/maven-core/artifact-handlers.html
	case "jar", "ejb", "maven-plugin", "bundle":
	case "test-jar":
		n.Classifier = cmp.Or(d.Classifier, "tests")
	case "pom":
		n.Ext, n.File = "pom", false
	default: // not on the class path
		n.Ext, n.File = d.Type, false
	}
	want, err := parseConstraint(d.Version)
	if err != nil {
		return nil, misfit(by.Coordinate, "its dependency on %s: %w", d.String(), err)
	}
	if len(want.ranges) > 0 {
		key := keyOf(n.Coordinate)
		if once := key + " " + d.Version; !c.required[once] {
			c.required[once] = true
			c.ranges[key] = append(c.ranges[key], want)
		}
		once := n.Package() + " " + d.Version
		if c.highest[once] == "" {
			if c.highest[once], err = c.within(ctx, n.Package(), want); err != nil {
				return nil, fmt.Errorf("%s: %w", by.Coordinate, err)
			}
		}
		n.Version = c.highest[once]
		n.Ranged = want.only() == ""
	}
	if Snapshot(n.Version) {
		return nil, fault.Errorf(fault.Policy, "use another version", "%s needs %s: a snapshot may change, so it cannot be locked", by.Coordinate, n.Coordinate)
	}
	if err := n.check(); err != nil {
		return nil, misfit(by.Coordinate, "its dependency on %s: %w", d.String(), err)
	}
	return n, nil
}

// within returns the highest version in the ranges.
func (c *closing) within(ctx context.Context, pkg string, want constraint) (string, error) {
	if only := want.only(); only != "" {
		return only, nil
	}
	m, err := c.metadata(ctx, pkg)
	if err != nil {
		return "", err
	}
	best := ""
	if c.compared += len(m.Versions); c.compared > maxCompared {
		return "", fault.Elsewheref(fault.Usage, "there are more than %d versions to compare with ranges", maxCompared)
	}
	for _, v := range m.Versions {
		if want.allows(v) && (best == "" || Compare(v, best) > 0) {
			best = v
		}
	}
	if best == "" {
		return "", fault.Missingf(fault.Upstream, "use another version", "no version of %s is in the required range", pkg)
	}
	return best, nil
}

func (r *Resolver) metadata(ctx context.Context, pkg string) (*Metadata, error) {
	return r.lists.Do(pkg, func() (*Metadata, error) {
		data, err := r.Document(ctx, MetadataPath(pkg))
		if err != nil {
			return nil, err
		}
		return ParseMetadata(pkg, data)
	})
}

// relocate follows relocations of an artifact and returns its effective POM.
func (r *Resolver) relocate(ctx context.Context, n Node) (Node, *project, error) {
	asked := n.Coordinate
	for range 10 {
		p, err := r.effective(ctx, n.POM(), nil)
		if err != nil {
			return n, nil, err
		}
		move := p.Relocation
		if move == nil {
			return n, p, nil
		}
		to := n.Coordinate
		for _, f := range []struct {
			to   *string
			from string
		}{{&to.Group, move.Group}, {&to.Artifact, move.Artifact}, {&to.Version, move.Version}} {
			if s := p.interpolate(f.from); s != "" {
				*f.to = s
			}
		}
		if err := to.check(); err != nil {
			return n, nil, misfit(n.Coordinate, "it was moved to something that is not an artifact: %w", err)
		}
		if to == n.Coordinate {
			break
		}
		n.Coordinate, n.Relocated = to, asked.String()
	}
	return n, nil, misfit(asked, "it was moved in a loop")
}

// effective returns a POM with its parents, profiles and imports, interpolated.
// Path has the POMs that import it.
func (r *Resolver) effective(ctx context.Context, c Coordinate, path []string) (*project, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := c.String()
	if slices.Contains(path, name) {
		return nil, misfit(c, "it imports itself: %s", strings.Join(append(path, name), " imports "))
	}
	r.mu.Lock()
	p := r.done[name]
	r.mu.Unlock()
	if p != nil {
		return p, nil
	}
	// Two goroutines may do this twice: waiting for each other could deadlock.
	p, err := r.assemble(ctx, c, append(slices.Clone(path), name))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = map[string]*project{}
	}
	r.done[name] = p
	return p, nil
}

func (r *Resolver) assemble(ctx context.Context, c Coordinate, path []string) (*project, error) {
	own, err := r.pom(ctx, c)
	if err != nil {
		return nil, err
	}
	p := *own
	if err := r.mix(&p, c); err != nil {
		return nil, err
	}
	line := []string{c.String()}
	for up := own.Parent; up != nil; {
		at := Coordinate{Group: up.Group, Artifact: up.Artifact, Version: up.Version, Ext: "pom"}
		if strings.Contains(up.Version, "${") {
			return nil, misfit(c, "its parent is %s, which has an undefined property", at)
		}
		if v, err := parseConstraint(up.Version); err == nil && len(v.ranges) > 0 {
			if at.Version, err = (&closing{Resolver: r}).within(ctx, at.Package(), v); err != nil {
				return nil, err
			}
		}
		if err := at.check(); err != nil {
			return nil, misfit(c, "its parent: %w", err)
		}
		if slices.Contains(line, at.String()) || len(line) > maxParents {
			return nil, misfit(c, "its parents form a loop: %s", strings.Join(append(line, at.String()), " inherits "))
		}
		line = append(line, at.String())
		raw, err := r.pom(ctx, at)
		if err != nil {
			return nil, fmt.Errorf("the parent of %s: %w", c, err)
		}
		above := *raw
		if err := r.mix(&above, at); err != nil {
			return nil, err
		}
		if p.Group == "" {
			p.Group = above.Group
		}
		if p.Version == "" {
			p.Version = above.Version
		}
		properties := properties{}
		for _, from := range []map[string]string{above.Properties, p.Properties} {
			for k, v := range from {
				properties[k] = v
			}
		}
		p.Properties = properties
		p.Managed, p.Dependencies = inherit(p.Managed, above.Managed), inherit(p.Dependencies, above.Dependencies)
		up = above.Parent
	}
	if p.Group == "" && p.Parent != nil {
		p.Group = p.Parent.Group
	}
	p.Version = p.interpolate(p.Version)
	if p.Group+":"+p.Artifact+":"+p.Version != c.String() {
		return nil, fault.Errorf(fault.Integrity, "do not use it: ask the operator of the repository", "the POM of %s says that it is %s:%s:%s", c, p.Group, p.Artifact, p.Version)
	}
	p.replaced = 0
	p.Managed, p.Dependencies = p.interpolated(p.Managed), p.interpolated(p.Dependencies)
	if p.replaced > maxReplaced {
		return nil, misfit(c, "its properties are replaced by more than %d bytes", maxReplaced)
	}
	if err := r.imports(ctx, &p, path); err != nil {
		return nil, err
	}
	p.manageOwn()
	return &p, nil
}

// manageOwn completes the dependencies of a POM from its own
// dependencyManagement.
func (p *project) manageOwn() {
	managed := map[string]dependency{}
	for _, d := range p.Managed {
		managed[d.key()] = d
	}
	for i := range p.Dependencies {
		d := &p.Dependencies[i]
		m := managed[d.key()]
		d.Version, d.Scope, d.Optional = cmp.Or(d.Version, m.Version), cmp.Or(d.Scope, m.Scope), cmp.Or(d.Optional, m.Optional)
		if len(d.Exclusions) == 0 {
			d.Exclusions = m.Exclusions
		}
	}
}

// mix prepares the dependencies of a POM for inheritance.
func (r *Resolver) mix(p *project, c Coordinate) error {
	p.Managed, p.Dependencies = normalize(p.Managed), normalize(p.Dependencies)
	own := properties{}
	for k, v := range p.Properties {
		own[k] = v
	}
	p.Properties = own
	if err := p.activate(r.Java); err != nil {
		return misfit(c, "%w", err)
	}
	return nil
}

// interpolated returns a list with its properties replaced.
func (p *project) interpolated(list []dependency) []dependency {
	list = slices.Clone(list)
	for i := range list {
		list[i].Exclusions = slices.Clone(list[i].Exclusions)
		for _, f := range list[i].fields() {
			*f = p.interpolate(*f)
		}
	}
	return normalize(list)
}

// imports replaces imports by the lists of the imported POMs. The POM's own
// entries take precedence, then those of the first import.
func (r *Resolver) imports(ctx context.Context, p *project, path []string) error {
	var own, more []dependency
	for _, d := range p.Managed {
		if d.Scope != "import" || d.Type != "pom" {
			own = append(own, d)
			continue
		}
		at := Coordinate{Group: d.Group, Artifact: d.Artifact, Version: d.Version, Ext: "pom"}
		if err := at.check(); err != nil || strings.ContainsAny(d.Version, "[(") {
			return misfit(Coordinate{Group: p.Group, Artifact: p.Artifact, Version: p.Version}, "it imports %s, which is not a POM with an exact version", at)
		}
		of, err := r.effective(ctx, at, path)
		if err != nil {
			return fmt.Errorf("%s:%s:%s imports: %w", p.Group, p.Artifact, p.Version, err)
		}
		more = inherit(more, of.Managed)
	}
	p.Managed = inherit(own, more)
	return nil
}

// pom reads a POM as written.
func (r *Resolver) pom(ctx context.Context, c Coordinate) (*project, error) {
	return r.poms.Do(c.String(), func() (*project, error) {
		data, err := r.Document(ctx, c.Path())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Errorf(fault.Upstream, "check the version; to add a repository, set [registries] in plugins.toml or edit settings.xml of mvn", "no repository has the POM of %s: %w", c, err)
		}
		if err != nil {
			return nil, err
		}
		p, err := parsePOM(data)
		if err != nil {
			return nil, fault.Errorf(fault.Upstream, "ask the operator of the repository", "the POM of %s: %w", c, err)
		}
		return p, nil
	})
}

// keyOf returns [dependency.key] for an artifact.
func keyOf(c Coordinate) string { return c.Package() + ":" + c.Ext + ":" + c.Classifier }

// misfit returns the error, of class [fault.Usage], for a POM that cannot be
// resolved.
func misfit(c Coordinate, format string, args ...any) error {
	return fault.Elsewheref(fault.Usage, "%s cannot be resolved: %w", c, fmt.Errorf(format, args...))
}
