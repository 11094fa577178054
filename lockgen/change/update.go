package change

import (
	"context"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// Update locks what the manifest asks for and the lock lacks, and locks again
// the given plugins, NAME or NAME@VERSION.
func (r *Run) Update(ctx context.Context, names []string) error {
	return r.change(ctx, change{names: names, edit: r.movePins})
}

// movePins replaces the exact version in the manifest for each given
// NAME@VERSION, unless an entry allows that version as it is.
func (r *Run) movePins(_ context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
	for _, spec := range c.names {
		name, version, given := lock.CutSpec(spec)
		m, err := manifest.Parse(r.Manifest, data)
		if err != nil {
			return nil, err
		}
		entry := m.Plugins[name]
		if !given || entry == nil {
			continue // resolve reports the error
		}
		means, err := asksFor(m, o.Old, name, version)
		if err != nil {
			return nil, err
		}
		if means {
			continue
		}
		if err := manifest.CheckWanted(version); err != nil {
			return nil, err
		}
		if len(entry.Versions) > 1 {
			return nil, fault.Errorf(fault.Usage, "run: lockgen add "+spec+", and then, for the version to replace: lockgen remove "+name+"@"+entry.Versions[0],
				"%s asks for %s %s: which of them should become %s?", m.At("plugins", name), name, strings.Join(entry.Versions, " and "), version)
		}
		if old := entry.Versions[0]; !manifest.IsRange(old) {
			if data, err = edit.SetVersion(r.Manifest, data, name, old, version); err != nil {
				return nil, err
			}
			c.said = append(c.said, fmt.Sprintf("%s: changed %s from %s to %s", m.At("plugins", name), name, old, version))
		}
	}
	return data, nil
}
