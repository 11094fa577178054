package change

import (
	"context"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// Update locks what the manifest asks for and the lock lacks, and the plugins that are
// named, NAME or NAME@VERSION, again.
func (r *Run) Update(ctx context.Context, names []string) error {
	return r.change(ctx, change{names: names, edit: r.movePins})
}

// movePins writes each NAME@VERSION that is asked for in place of the exact version
// that the manifest has, unless an entry allows it as it is.
func (r *Run) movePins(_ context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
	for _, spec := range c.names {
		name, version, given := strings.Cut(spec, "@")
		m, err := manifest.Parse(r.Manifest, data)
		if err != nil {
			return nil, err
		}
		entry := m.Plugins[name]
		if !given || entry == nil {
			continue // resolve says what is wrong with it
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
			return nil, fault.Errorf(fault.Usage, "run: lockgen add "+spec+", and then for the one that goes: lockgen remove "+name+"@"+entry.Versions[0],
				"%s asks for %s %s: which of them is to become %s?", m.At("plugins", name), name, strings.Join(entry.Versions, " and "), version)
		}
		if old := entry.Versions[0]; !manifest.IsRange(old) {
			if data, err = edit.SetVersion(r.Manifest, data, name, old, version); err != nil {
				return nil, err
			}
			c.said = append(c.said, fmt.Sprintf("%s: %s moves from %s to %s", m.At("plugins", name), name, old, version))
		}
	}
	return data, nil
}
