package wheel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Part is what one of several wheels of a project holds.
type Part struct {
	Wheel string         // its name
	Files []archive.File // by their paths in it
}

// ByProject lists the wheels of a version for a platform by the project that they
// are of, with several for one that has others for other interpreters.
func ByProject(v *lock.Version, platform string) map[string][]string {
	projects := map[string][]string{}
	for _, key := range v.FilesFor(platform) {
		name, _ := v.PackageOf(key)
		projects[name] = append(projects[name], key)
	}
	return projects
}

// ErrAside is about modules in a folder that Buck2 does not look into.
var ErrAside = errors.New("from where only an installation takes them")

// Merge says which files of the wheels of a project, each for some interpreters, make
// one wheel for all of them: the paths that are taken from each part. What several
// have alike is taken once; native modules are called after their interpreter, so
// that they lie beside each other. Of what the wheels say of themselves that of the
// first counts. The error is for one path with two contents.
func Merge(parts []Part) (take []map[string]bool, err error) {
	type seen struct {
		wheel string
		file  archive.File
	}
	known := map[string]seen{}
	for _, part := range parts {
		own := map[string]bool{}
		for _, f := range part.Files {
			top, rest, _ := strings.Cut(f.Path, "/")
			if strings.HasSuffix(top, ".data") && (strings.HasPrefix(rest, "purelib/") || strings.HasPrefix(rest, "platlib/")) {
				return nil, fmt.Errorf("%s keeps modules in %s, %w", part.Wheel, top, ErrAside)
			}
			other, twice := known[f.Path]
			switch {
			case !twice:
				known[f.Path] = seen{part.Wheel, f}
				own[f.Path] = true
			case f.SHA256 != other.file.SHA256 && !strings.HasSuffix(top, ".dist-info"):
				return nil, fmt.Errorf("%s and %s have other files called %s, and one folder serves all interpreters", other.wheel, part.Wheel, f.Path)
			}
		}
		take = append(take, own)
	}
	return take, nil
}
