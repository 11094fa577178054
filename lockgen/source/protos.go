package source

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Packager is a [Source] for which a proto package is one file of a package,
// without the package's dependencies.
type Packager interface {
	// Pack returns the file of w with its .proto files, without platforms. The
	// notes are as in a [Resolution].
	Pack(ctx context.Context, w *plan.Want) (a *Artifact, notes []string, err error)
}

// Protos finds the archive of a proto package, which is the same for every
// platform.
func Protos(ctx context.Context, s Source, w *plan.Want) (*Resolution, error) {
	platforms := lock.Platforms[:]
	if p, ok := s.(Packager); ok {
		a, notes, err := p.Pack(ctx, w)
		if err != nil {
			return nil, err
		}
		for _, p := range platforms {
			a.Platforms = append(a.Platforms, p.Name)
		}
		return &Resolution{Artifacts: []*Artifact{a}, Notes: notes}, nil
	}
	res, err := s.Resolve(ctx, w, platforms)
	if err != nil {
		return nil, err
	}
	if len(res.Artifacts) != 1 || len(res.Missing) > 0 {
		return nil, fault.Errorf(fault.Usage, "name one archive for all: of an OCI registry, oci://HOST/REPO:TAG#FILE", "%s has another file for each platform, and a proto package is one archive", w.From)
	}
	if a := res.Artifacts[0]; a.File.Archive != "zip" && !strings.HasPrefix(a.File.Archive, "tar.") {
		return nil, fault.Errorf(fault.Usage, "use a .zip or .tar.gz", "%s is not an archive", a.Label)
	}
	return res, nil
}
