package install

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/managers"
)

// WheelManagers are the ways to build the folder of a pip plugin, all with the
// same result. The first is the default: a wheel is a zip with nothing to
// build, so pip verifies nothing that the tree digest does not, takes several
// times as long, and needs a Python, which plugins such as protoc do not.
var WheelManagers = []string{"none", "pip", "uv"}

// buildPip has the chosen pip or uv create the folder from verified wheels, or
// else our own unpacker. The wheels are strictly read first.
func (i *Installer) buildPip(ctx context.Context, e *lock.Entry, platform, dir string) error {
	if i.WheelManager != "" && !slices.Contains(WheelManagers, i.WheelManager) {
		return fault.Errorf(fault.Usage, "use one of "+strings.Join(WheelManagers, ", "), "unknown wheel manager %q", i.WheelManager)
	}
	if i.NoManagers || i.WheelManager == "" || i.WheelManager == "none" {
		return i.buildOurselves(ctx, e, platform, dir)
	}
	parts, err := i.unpack(ctx, e, platform, "", new(work))
	if err != nil {
		return err
	}
	var wheels []managers.LocalWheel
	for _, p := range parts {
		f := e.Locked.Files[p.key]
		for _, root := range f.Roots() {
			w := managers.LocalWheel{Root: root, Name: p.key, File: p.path}
			if _, err := hex.Decode(w.SHA256[:], []byte(f.SHA256)); err != nil {
				return fault.Errorf(fault.Lock, "run: lockgen update", "%s: %w", p.key, err)
			}
			for _, file := range p.files {
				if root == "" || strings.HasPrefix(file.Path, root+"/") {
					w.Files = append(w.Files, file)
				}
			}
			if w.Spread() {
				i.detail("%s would move files of the .data folder of %s; unpacking %s without it", i.WheelManager, p.key, e)
				return i.buildOurselves(ctx, e, platform, dir)
			}
			wheels = append(wheels, w)
		}
	}
	manager, err := managers.FindWheelManager(ctx, i.WheelManager)
	if err != nil {
		return err
	}
	i.detail("%s %s builds %s", manager.Name, manager.Version, e)
	start := time.Now()
	err = manager.Install(ctx, dir, wheels)
	i.observe(ctx, Event{Tier: FromManager, Bytes: bytesOf(e.Locked, platform), Duration: time.Since(start), Err: err})
	return noted(err, dir, parts)
}
