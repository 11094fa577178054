package change

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// Upgrade changes plugins, NAME or NAME@VERSION, or all of them, to their
// newest compatible versions, or to the newest of all if latest is set.
func (r *Run) Upgrade(ctx context.Context, args []string, latest bool) error {
	return r.change(ctx, change{edit: func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
		m, err := manifest.Parse(r.Manifest, data)
		if err != nil {
			return nil, err
		}
		specs := args
		if len(specs) == 0 {
			specs = slices.Sorted(maps.Keys(m.Plugins))
		}
		for _, spec := range specs {
			name, version, given := lock.CutSpec(spec)
			entry := m.Plugins[name]
			switch {
			case entry == nil:
				names := slices.Sorted(maps.Keys(m.Plugins))
				return nil, fault.Errorf(fault.Usage, fault.DidYouMean(name, names, syntax.AddHint(name)), "%s does not ask for a plugin %q; it asks for %s", m.Name, name, strings.Join(names, ", "))
			case given && !slices.Contains(entry.Versions, version):
				return nil, fault.Errorf(fault.Usage, "choose one of them, or run: lockgen update "+spec, "%s asks for %s %s, not %s", m.At("plugins", name), name, strings.Join(entry.Versions, " and "), version)
			case !given && len(entry.Versions) > 1:
				say := fault.Errorf(fault.Usage, "choose the one to change: lockgen upgrade "+name+"@"+entry.Versions[0], "%s asks for %s %s, side by side", m.At("plugins", name), name, strings.Join(entry.Versions, " and "))
				if len(args) > 0 {
					return nil, say
				}
				r.UI.Say("%v; both stay; %s", say, fault.Hint(say))
				continue
			case !given:
				version = entry.Versions[0]
			}
			to, err := r.upgraded(ctx, data, name, version, latest, o)
			if fault.Of(err) == fault.Usage && len(args) == 0 { // a source without a list of versions
				r.UI.Say("%s %s stays: %v", name, version, err)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("lockgen upgrade %s: %w", name, err)
			}
			if to == version && !manifest.IsRange(version) {
				continue
			}
			if to != version {
				if data, err = edit.SetVersion(r.Manifest, data, name, version, to); err != nil {
					return nil, err
				}
				c.said = append(c.said, fmt.Sprintf("%s: changed %s from %s to %s", m.At("plugins", name), name, version, to))
			}
			c.names = append(c.names, name+"@"+to)
		}
		return data, nil
	}})
}

// upgraded returns what an entry of the manifest should have in place of
// version. It may return version.
func (r *Run) upgraded(ctx context.Context, data []byte, name, version string, latest bool, o resolve.Options) (string, error) {
	ranged := manifest.IsRange(version)
	probe := "^" + version
	switch {
	case latest, isRuntime(name) && !ranged: // for a runtime, the newest that matches
		probe = manifest.Latest
	case ranged:
		return version, nil // update changes the version within the range
	}
	m, err := manifest.Parse(r.Manifest, data)
	if err != nil {
		return "", err
	}
	dropRuntimes(m, name)
	m.Plugins[name].Versions = []string{probe}
	newest, _, err := resolve.Newest(ctx, m, name, probe, o)
	if fault.Of(err) == fault.Policy { // nothing newer is old enough
		return version, nil
	}
	if err != nil {
		return "", err
	}
	if !ranged {
		if plan.CompareVersions(r.kindOf(m, name), newest, version) <= 0 {
			return version, nil
		}
		return newest, nil
	}
	within, err := plan.ParseRange(r.kindOf(m, name), version)
	if err != nil || version == manifest.Latest || within.Allows(newest) {
		return version, err
	}
	sign := "^"
	if strings.HasPrefix(version, "~") && !strings.HasPrefix(version, "~=") {
		sign = "~"
	}
	return sign + newest, nil
}

// kindOf returns the kind of a plugin's first source.
func (r *Run) kindOf(m *manifest.Manifest, name string) string {
	wants, err := plan.Wants(m, nil)
	if err != nil {
		return lock.HTTP
	}
	return wants[slices.IndexFunc(wants, func(w *plan.Want) bool { return w.Name == name })].From.Kind
}
