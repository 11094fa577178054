package resolve

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// The state of a locked file upstream. The first two are errors of check. The
// others are warnings: the locked file can still be downloaded.
const (
	Replaced    = "replaced"    // other bytes under the same name
	Deleted     = "deleted"     // it no longer exists
	Unreachable = "unreachable" // no source could be asked
	Yanked      = "yanked"      // withdrawn, but still available
	Deprecated  = "deprecated"  // its publisher advises against it
	Unverified  = "unverified"  // available, but only a download could verify its digest
)

// A Finding is a locked file whose state upstream has changed.
type Finding struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	File    string `json:"file"` // NAME@VERSION of a package, or the name of the file
	State   string `json:"state"`
	What    string `json:"what"`

	class fault.Class // of an unreachable file
}

// String describes the finding in one line.
func (f Finding) String() string {
	return f.Plugin + " " + f.Version + ": " + f.File + " is " + f.State + ": " + f.What
}

// Class returns the class of a finding, which is [fault.OK] for a warning.
func (f Finding) Class() fault.Class {
	switch f.State {
	case Replaced:
		return fault.Integrity
	case Deleted:
		return fault.Upstream
	case Unreachable:
		if f.class == fault.OK || f.class == fault.Internal {
			return fault.Upstream
		}
		return f.class
	}
	return fault.OK
}

// Upstream asks the sources whether everything that is locked still exists
// unchanged. With Options.Verify, it downloads the files of sources that
// publish no digest. It writes only to the store. The findings are sorted by
// plugin, version and file; asked is the number of files. The error is an
// interruption or a fault of this machine.
func Upstream(ctx context.Context, m *manifest.Manifest, o Options) (findings []Finding, asked int, err error) {
	if o.Offline {
		return nil, 0, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, and --upstream asks every source"))
	}
	wants, err := plan.Wants(m, o.Old)
	if err != nil {
		return nil, 0, err
	}
	u := newUpdate(m, o)
	u.Asking, u.out.Lock = true, o.Old
	defer u.Close()
	defer u.Show()()
	u.Shown().Plugins(len(wants))
	said := map[string]bool{} // report a file of several plugins once for each
	for _, w := range wants {
		v := o.Old.Plugins[w.Name][w.Version]
		if v == nil {
			u.Shown().Ended()
			continue
		}
		source, err := u.Source(ctx, v.Source)
		if err != nil {
			return nil, 0, err
		}
		end := u.Shown().Step("asking upstream for %s of %s", plain.Count(len(v.Files), "file"), w)
		answers := source.Upstream(ctx, w.LockedAs(m, v), v)
		end()
		u.Shown().Ended()
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		for _, key := range slices.Sorted(maps.Keys(v.Files)) {
			asked++
			f := v.Files[key]
			found := finding(f, answers[key])
			if found != nil && found.State == Unverified && o.Verify {
				found = u.again(ctx, w.LockedAs(m, v), source, key, f)
			}
			if err := ctx.Err(); err != nil {
				return nil, 0, err
			}
			if found == nil {
				continue
			}
			found.Plugin, found.Version, found.File = w.Name, w.Version, key
			if f.Name != "" {
				found.File = f.Name + "@" + f.Version
			}
			if line := found.String(); !said[line] {
				said[line] = true
				findings = append(findings, *found)
			}
		}
	}
	return findings, asked, nil
}

// finding evaluates the answer of a source. It returns nil if there is nothing
// to report.
func finding(f lock.File, a source.Answer) *Finding {
	switch {
	case errors.Is(a.Err, fs.ErrNotExist) && fault.Of(a.Err) != fault.Machine:
		return &Finding{State: Deleted, What: oneLine(a.Err)}
	case a.Err != nil && fault.Of(a.Err) == fault.Integrity:
		return &Finding{State: Replaced, What: oneLine(a.Err)}
	case a.Err != nil:
		return &Finding{State: Unreachable, What: oneLine(a.Err), class: fault.Of(a.Err)}
	case a.Unproved == "" && !slices.Contains(strings.Fields(a.Digest), a.Expected):
		now := a.Digest
		if now == "" {
			now = "no digest"
		}
		return &Finding{State: Replaced, What: "locked with " + a.Expected + ", but upstream now has " + now}
	case a.Yanked != "":
		return &Finding{State: Yanked, What: a.Yanked}
	case a.Deprecated != "":
		return &Finding{State: Deprecated, What: a.Deprecated}
	case a.Unproved != "":
		return &Finding{State: Unverified, What: a.Unproved}
	}
	return nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// again downloads a locked file again and compares it.
func (u *update) again(ctx context.Context, w *plan.Want, src source.Source, key string, f lock.File) *Finding {
	a, err := src.Locked(w, key, f)
	if err == nil {
		var errs map[string]error
		if errs, err = u.files.Fetch(ctx, []*source.Artifact{a}, true, false); err == nil {
			err = errs[a.Identity]
		}
	}
	if err == nil {
		return nil
	}
	return finding(f, source.Answer{Err: err})
}
