package change

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// An Adding has the options of add.
type Adding struct {
	Platforms []string // that the plugins must have
	Optional  bool     // a platform that cannot have the plugins becomes unavailable
	Binary    string   // the executable, for a plugin given by source
	Trial     []string // the options with which that plugin is tried
	Fresh     string   // the text of a new manifest
}

// Add adds plugins to the manifest and locks them. Each is NAME, NAME@VERSION,
// or a source; see [splitSpec].
func (r *Run) Add(ctx context.Context, args []string, how Adding) error {
	a := &adding{Run: r, Adding: how, args: args}
	return r.change(ctx, change{verb: "add", fresh: how.Fresh, edit: a.edit, verify: a.verify, after: a.next})
}

// without reports whether a platform of the manifest may lack the plugins of
// the command line: with --optional, or if --platform leaves it out.
func (a *adding) without(m *manifest.Manifest) bool {
	return a.Optional || len(a.Platforms) > 0 && slices.ContainsFunc(m.Platforms, func(p string) bool { return !slices.Contains(a.Platforms, p) })
}

// verify requires that the plugins of the command line have every platform of
// --platform.
func (a *adding) verify(out *resolve.Outcome) error {
	for _, spec := range a.specs {
		name, _, _ := lock.CutSpec(spec)
		for version, v := range out.Lock.Plugins[name] {
			for _, p := range a.Platforms {
				if why := v.Platforms[p].Unavailable; why != "" {
					return fault.Errorf(fault.Usage, "leave out --platform "+p+", or choose another version", "%s %s is not available for %s: %s (nothing was written)", name, version, p, why)
				}
			}
		}
	}
	return nil
}

// adding is one run of add.
type adding struct {
	*Run
	Adding
	args []string

	// The following are set by edit.
	o     resolve.Options
	c     *change
	data  []byte   // the manifest so far
	specs []string // args as NAME or NAME@VERSION
	done  []string // the specs that were added
	asked []string // plugins of args that were not in the manifest before
	// entries has the entries of plugins that the catalogue does not know, by
	// name.
	entries map[string]*manifest.Plugin
}

// edit adds the plugins of the command line to a manifest, each after what it
// needs.
func (a *adding) edit(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
	a.o, a.c, a.data, a.specs, a.done, a.asked, a.entries = o, c, data, nil, nil, nil, nil
	args := make([]string, len(a.args))
	for i, spec := range a.args {
		spec, err := a.ofBuf(spec)
		if err != nil {
			return nil, err
		}
		args[i] = a.library(spec)
	}
	for _, spec := range args { // report first what does not exist at all
		if meant := otherVersion(spec); meant != "" {
			return nil, fault.Errorf(fault.Usage, "run: lockgen add "+meant, "%q is not of the form NAME@VERSION", spec)
		}
		if _, _, place := splitSpec(spec); place {
			continue
		}
		if err := a.known(spec); err != nil {
			return nil, err
		}
	}
	for _, spec := range args {
		named, err := a.named(ctx, spec)
		if err != nil {
			return nil, err
		}
		if named != spec {
			if err := a.known(named); err != nil {
				return nil, err
			}
		}
		a.specs = append(a.specs, named)
	}
	m, err := manifest.Parse(a.Manifest, data)
	if err != nil {
		return nil, err
	}
	for _, p := range a.Platforms {
		if !slices.Contains(m.Platforms, p) {
			return nil, fault.Errorf(fault.Usage, fmt.Sprintf("add %q to platforms there, then run: lockgen update", p), "%s does not list %s", m.At("platforms"), p)
		}
	}
	if string(data) == c.fresh {
		if err := a.need(ctx, "protoc", "a new "+manifest.FileName+" starts with"); err != nil {
			return nil, err
		}
	}
	for _, spec := range a.specs {
		if err := a.add(ctx, spec, ""); err != nil {
			return nil, err
		}
	}
	if o.Old == nil || len(o.Old.Plugins) == 0 { // the first lock must have everything
		m, err := manifest.Parse(a.Manifest, a.data)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(m.Plugins)) {
			if !slices.ContainsFunc(c.names, func(spec string) bool { return strings.HasPrefix(spec+"@", name+"@") }) {
				c.names = append(c.names, name)
			}
		}
	}
	return a.data, nil
}

// known reports an error for a name that neither the manifest nor the catalogue
// has.
func (a *adding) known(spec string) error {
	name, version, given := lock.CutSpec(spec)
	m, err := manifest.Parse(a.Manifest, a.data)
	if err != nil {
		return err
	}
	if m.Plugins[name] == nil {
		if err := lock.CheckEntryName(name); err != nil {
			if small := strings.ToLower(name); small != name {
				if _, known := catalog.Builtin().Lookup(small); known {
					return fault.Errorf(fault.Usage, "run: lockgen add "+small+strings.TrimPrefix(spec, name), "unknown plugin %q: names have no capitals", name)
				}
			}
			return fault.Errorf(fault.Usage, "write: lockgen add NAME@VERSION", "%w", err)
		}
		if protos, is := lock.ProtosName(name); is {
			if _, known := catalog.Builtin().Protos(protos); !known {
				return catalog.Builtin().UnknownProtos(protos)
			}
		} else if isRuntime(name) {
			if err := checkRuntime(name, version, given); err != nil {
				return err
			}
		} else if err := catalog.Builtin().Unknown(name); err != nil && a.entries[name] == nil {
			return err
		}
		a.asked = append(a.asked, name)
	}
	if given {
		return manifest.CheckWanted(version)
	}
	return nil
}

// need adds a plugin that another one needs, in the version of the command line
// if that names it, otherwise in the newest version. why is the reason, for
// messages.
func (a *adding) need(ctx context.Context, name, why string) error {
	for _, spec := range a.specs {
		if of, _, _ := lock.CutSpec(spec); of == name {
			return a.add(ctx, spec, "")
		}
	}
	return a.add(ctx, name, why)
}

// lacks returns what a source of a plugin needs and plugins.toml does not have,
// nil for nothing.
func (a *adding) lacks(name string) *plan.NeedError {
	data, err := a.write(name, manifest.Latest)
	if err != nil {
		return nil
	}
	m, err := manifest.Parse(a.Manifest, data)
	if err != nil {
		return nil
	}
	wants, err := plan.Wants(m, nil)
	if err != nil {
		return nil
	}
	for _, w := range wants {
		if w.Name == name {
			return w.Lacks()
		}
	}
	return nil
}

// add adds NAME or NAME@VERSION. why is the reason, "" for a plugin of the
// command line.
func (a *adding) add(ctx context.Context, spec, why string) error {
	if slices.Contains(a.done, spec) {
		return nil
	}
	a.done = append(a.done, spec)
	name, version, given := lock.CutSpec(spec)
	if !given {
		version = manifest.Latest
		given = isRuntime(name) // written without a version, which follows the plugins
	}
	for {
		data, err := a.write(name, version)
		if err != nil {
			return err
		}
		m, err := manifest.Parse(a.Manifest, data)
		if err != nil {
			return err
		}
		_, err = plan.Wants(m, nil)
		var missing *plan.NeedError
		if !errors.As(err, &missing) || slices.Contains(a.done, missing.Needs) {
			break // later steps report any other error
		}
		if err := a.need(ctx, missing.Needs, missing.Plugin+" "+missing.Why); err != nil {
			return err
		}
	}
	if !given {
		newest, held, err := a.newest(ctx, a.data, name, a.o)
		if fault.Of(err) == fault.Upstream { // with what it needs, another source may have it
			if lacks := a.lacks(name); lacks != nil && !slices.Contains(a.done, lacks.Needs) {
				a.UI.Warn("%v", err)
				if err := a.need(ctx, lacks.Needs, name+" "+lacks.Why); err != nil {
					return err
				}
				newest, held, err = a.newest(ctx, a.data, name, a.o)
			}
		}
		if err != nil {
			return err
		}
		version = newest
		if why != "" {
			a.UI.Say("%s %s: adding version %s, the newest allowed version", why, name, version)
		} else {
			a.UI.Say("the newest allowed version of %s is %s", name, version)
		}
		if len(held) > 0 {
			a.UI.Say("skipped %s %s: %s", name, held[0].Version, held[0].Why)
		}
	}
	data, err := a.write(name, version)
	if err != nil {
		return err
	}
	a.data = data
	m, err := manifest.Parse(a.Manifest, data)
	if err != nil {
		return err
	}
	// A platform may lack what a plugin needs, such as its Go.
	if why == "" && a.without(m) || why != "" && name != "protoc" && a.Optional {
		if a.data, err = edit.SetOptional(a.Manifest, data, name); err != nil {
			return err
		}
	}
	a.c.names = append(a.c.names, name+"@"+version)
	return nil
}

// write returns the manifest with a version of a plugin added.
func (a *adding) write(name, version string) ([]byte, error) {
	m, err := manifest.Parse(a.Manifest, a.data)
	if err != nil {
		return nil, err
	}
	if p := a.entries[name]; p != nil && m.Plugins[name] == nil {
		if p.Language != "" {
			p = &manifest.Plugin{Language: p.Language, Source: p.Source, Versions: []string{version}}
		}
		return edit.AddPlugin(a.Manifest, a.data, name, p)
	}
	return edit.AddVersion(a.Manifest, a.data, name, version)
}

// next prints the lines of a BUCK file for each new plugin, and the next
// command.
func (a *adding) next(out *resolve.Outcome) error {
	a.nextOfRuntimes()
	for _, name := range slices.Compact(slices.Sorted(slices.Values(a.asked))) {
		r, ok := catalog.Builtin().Lookup(name)
		if !ok || r.Smoke != nil || len(out.Lock.Plugins[name]) != 1 { // not a plugin of protoc, or not locked yet
			continue
		}
		target, lines := BuckLines(name, r)
		a.UI.Say("in a BUCK file:\n%s", lines)
		if buck2, _ := project.Find(filepath.Dir(files.Absolute(a.Manifest))); buck2 != nil {
			a.UI.Say("next, beside that file: buck2 build :%s", target)
			continue
		}
		flag, ok := strings.CutPrefix(path.Base(r.Sources[0].Binary), "protoc-gen-")
		if ok && len(out.Lock.Plugins["protoc"]) == 1 {
			a.UI.Say("next, without Buck2: eval \"$(fetch env protoc %s)\"; protoc --%s_out=. api.proto", name, flag)
		} else {
			a.UI.Say("next, without Buck2: fetch get %s", name)
		}
	}
	return nil
}

// newest returns the version that an entry "latest" would get now, and the
// newer versions that it would skip. See [Run.believing].
func (r *Run) newest(ctx context.Context, data []byte, name string, o resolve.Options) (string, []plan.Held, error) {
	data, err := edit.AddVersion(r.Manifest, data, name, manifest.Latest)
	if err != nil {
		return "", nil, err
	}
	m, err := manifest.Parse(r.Manifest, data)
	if err != nil {
		return "", nil, err
	}
	var version string
	var held []plan.Held
	err = r.believing(m, name, func() (string, []plan.Held, error) {
		var err error
		version, held, err = resolve.Newest(ctx, m, name, manifest.Latest, o)
		return version, held, err
	})
	if fault.Of(err) == fault.Usage {
		return "", nil, fault.Errorf(fault.Usage, whichVersion(name), "lockgen add %s: which version? %w", name, err)
	}
	if err != nil {
		return "", nil, fmt.Errorf("lockgen add %s: %w", name, err)
	}
	return version, held, nil
}

// believing calls look for a version before anything is downloaded. If a source
// has no version that is known to be old enough, and the manifest sets no rules
// for ages, it calls look again and trusts the release times of publishers,
// with a warning: a person asked for the plugin, and the manifest records the
// version. This is decided for each source, so that it does not choose an older
// version only because another source knows its time.
// older version that another source knows the time of is no reason to go back to it.
func (r *Run) believing(m *manifest.Manifest, name string, look func() (version string, held []plan.Held, err error)) error {
	first, held, err := look()
	says := m.At("policy", "minimum-release-age") != m.Name || m.At("policy", "publisher-times") != m.Name
	if says || err != nil && fault.Of(err) != fault.Policy {
		return err
	}
	m.Policy.PublisherTimes = lock.KindsThat(func(k *lock.Kind) bool {
		return k.PublisherTimes && (err != nil || slices.ContainsFunc(held, func(h plan.Held) bool { return h.Unseen == k.Name }))
	})
	if len(m.Policy.PublisherTimes) == 0 {
		return err
	}
	version, _, again := look()
	switch {
	case again != nil && err != nil:
		return err
	case again != nil:
		return again
	case version == first:
		return nil
	}
	r.UI.Warn("trusting the publisher's release time of %s %s, which this machine has not seen before: [policy] of %s sets no minimum age", name, version, m.Name)
	if !r.saidAges {
		r.saidAges = true
		r.UI.Say("to trust no publisher, set minimum-release-age = %q there: lockgen then waits until this machine has known a version for that time; to lock one at once, run: lockgen add %s@%s", "7d", name, version)
	}
	return nil
}

// whichVersion returns a hint for how to write a version.
func whichVersion(name string) string {
	example := "write: lockgen add " + name + "@1.2.3"
	r, ok := catalog.Builtin().Lookup(name)
	if !ok {
		return example
	}
	if r.Sources[0].Source.Name == lock.GoToolchain {
		return "write: lockgen add " + name + "@" + plan.GoHint
	}
	if name == lock.PythonName {
		return "write the versions of Python and of the release, such as: lockgen add python@3.13.1+20250107; protoc's --python_out needs only protoc"
	}
	return example
}

// BuckLines returns the name of a target that uses a plugin, and the lines of a
// BUCK file that define it.
func BuckLines(name string, r catalog.Recipe) (target, lines string) {
	file, rule, attr := r.Rule, r.Rule+"_proto_library", r.Attr
	if file == "" {
		file, rule, attr = "proto", "proto_codegen", "plugin = "+strconv.Quote(name)
	}
	target = "api_" + file
	if attr != "" {
		attr = "    " + attr + ",\n"
	}
	return target, fmt.Sprintf(`load("@buck2-protobuf//rules:%s.bzl", "%s")

%s(
    name = "%s",
    srcs = ["api.proto"],
%s)`, file, rule, rule, target, attr)
}
