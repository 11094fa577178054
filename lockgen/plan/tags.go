package plan

import (
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// A Tag is a tag with a version in it, of an OCI repository or a release.
type Tag struct{ before, after string }

// anyVersion is the version for which a template is expanded to find a Tag.
const anyVersion = "1version1"

// newTag returns the pattern of a tag that contains anyVersion once.
func newTag(tag string) (Tag, bool) {
	before, after, ok := strings.Cut(tag, anyVersion)
	return Tag{before, after}, ok && !strings.Contains(after, anyVersion)
}

// Of returns the tag of a version.
func (t Tag) Of(version string) string { return t.before + version + t.after }

// Version returns the version that a tag is for.
func (t Tag) Version(tag string) (string, bool) {
	rest, ok := strings.CutPrefix(tag, t.before)
	if !ok {
		return "", false
	}
	version, ok := strings.CutSuffix(rest, t.after)
	return version, ok && manifest.CheckExact(version) == nil
}

// ReleaseTag returns the tag of the releases of w on GitHub. Ok is false if the
// template has no version.
func (w *Want) ReleaseTag() (t Tag, ok bool) {
	if w.Releases != "" {
		return newTag(anyVersion)
	}
	return newTag(w.Naming.ReleaseTag(anyVersion))
}

// Tags returns the tags of w in an OCI repository: one, unless each platform
// has its own, and none if the template has no version.
func (w *Want) Tags() []Tag {
	any := *w
	any.Version = anyVersion
	var list []Tag
	for _, platform := range lock.Platforms {
		ref, err := any.OCI(platform)
		if err != nil {
			return nil
		}
		t, ok := newTag(ref.Tag)
		if !ok {
			return nil
		}
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}
