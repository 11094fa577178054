// Package build reports what the running program was built from, and where the
// files of that version are on the web.
package build

import (
	"runtime/debug"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Home is the URL of the buck2-protobuf repository, for browsers and for git.
const Home = "https://github.com/birbparty/buck2-protobuf"

// Info is what Go recorded of the program when it was built.
type Info struct {
	Version string // of the module; "devel" if Go recorded none
	Commit  string // "" if Go recorded none
	Dirty   bool   // built from changed files
}

// Read returns the Info of this program.
func Read() Info {
	v := Info{Version: "devel"}
	if info, ok := debug.ReadBuildInfo(); ok {
		if main := info.Main.Version; main != "" && main != "(devel)" {
			v.Version = main
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Dirty = s.Value == "true"
			}
		}
	}
	return v
}

// Release returns the tag of the program's release, or "" if it is not a release.
func (v Info) Release() string {
	if semver.IsValid(v.Version) && !module.IsPseudoVersion(v.Version) && semver.Build(v.Version) == "" {
		return v.Version
	}
	return ""
}

// Page returns the URL of a file of the repository as it was when the program was
// built: at the release or the commit or, if neither is known, at the newest commit.
func (v Info) Page(path string) string {
	at := v.Release()
	switch {
	case at != "":
	case v.Commit != "":
		at = v.Commit
	case module.IsPseudoVersion(v.Version):
		at, _ = module.PseudoVersionRev(v.Version) // it has one, or it were no pseudo-version
	default:
		at = "main"
	}
	return Home + "/blob/" + at + "/" + path
}
