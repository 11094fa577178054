// Package source asks where plugins are published: what a version consists of,
// which versions there are, and what has become of what is locked. It says what a
// [Source] is. There is one for each kind, a file each in lockgen/web and
// lockgen/native, and lockgen/session makes them.
package source

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/executable"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Source locks plugins of one kind. It finds out what a plugin consists of;
// the driver downloads, checks and hashes.
//
// What every implementation promises:
//   - The closure is whole: every file that the plugin needs on a platform,
//     direct and transitive, is an Artifact that names this platform.
//   - The same answer of the upstream gives the same Resolution, in the same
//     order; nothing of this machine enters it.
//   - A platform that upstream does not serve is in Missing, with the reason.
//     What a client leaves out in silence counts as missing.
//   - An error means that nothing can be said of any platform: there is no
//     such version (it matches [fs.ErrNotExist]), a refusal of the server, a
//     policy. It has a class.
//   - Nothing is installed and no code of a package runs.
type Source interface {
	// Resolve finds the closure of w for each of the platforms.
	Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*Resolution, error)
	// Locked returns the artifact of a file that a lock holds, to download it
	// again. W is the plugin version that the file belongs to.
	Locked(w *plan.Want, key string, f lock.File) (*Artifact, error)
	// Versions lists every version of the package of w, in no order, in one
	// request where the source is asked by us. A package that is not there
	// matches [fs.ErrNotExist]; where the source knows no list the error is of
	// class [fault.Usage]. Released is zero where the source has no clock that the
	// publisher cannot set.
	Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error)
	// Upstream asks what the source has today of the files of v, which is locked
	// of w, without downloading them. The answers are by the key of a file.
	Upstream(ctx context.Context, w *plan.Want, v *lock.Version) map[string]Answer
	// Executable finds the executable of w in the verified tree of a platform,
	// and proves what can be proved of it. Contents are those of the
	// resolution's artifacts, by key.
	Executable(w *plan.Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error)
}

// A Resolution is what a source found.
type Resolution struct {
	Artifacts []*Artifact
	Missing   map[string]Missing // by the name of a platform
	Notes     []string           // what its publisher withdrew or advises against
	// BuildScripts are the packages that run code when the plugin is compiled
	// and may, as the lock has them.
	BuildScripts []string
}

// Needed downloads and reads artifacts that a source has to see in order to resolve.
// The contents are by identity; the first error is that of the first artifact.
type Needed func(ctx context.Context, artifacts []*Artifact) (map[string]*Content, error)

// A Compiler is a [Source] whose plugins are compiled when they are locked: their
// trees are not what the artifacts hold, but what is made of them.
type Compiler interface {
	// Compile makes the cell of w on a platform from the artifacts for it and
	// their contents, by key; compiled is false where w is unpacked after all.
	Compile(ctx context.Context, w *plan.Want, p lock.Platform, artifacts []*Artifact, contents map[string]*Content) (cell lock.Cell, compiled bool, err error)
}

// A Finisher is a [Source] that says more of a version than its files and cells.
type Finisher interface {
	// Finish completes v. Contents are those of its files, by key.
	Finish(w *plan.Want, v *lock.Version, contents map[string]*Content) error
}

// A Dater is a [Source] whose lists do not say when versions were released: it
// has to ask for each.
type Dater interface {
	// Date fills in Released and Seen of some releases of w, those of which it
	// can learn something.
	Date(ctx context.Context, w *plan.Want, releases []*plan.Release) error
}

// Missing says why a platform cannot have a plugin.
type Missing struct {
	Reason string // one line without hosts, for the lock
	Err    error  // for the user
}

// NoFile is the reason of a platform whose file is not there.
const NoFile = "the server has no file for it"

// An Artifact is one file to download.
type Artifact struct {
	Kind      string    // of its source
	Key       string    // its path in the lock
	File      lock.File // what upstream says of it; the driver adds digest, size, platforms
	Platforms []string  // whose trees it is part of
	Label     string    // for messages, without a host
	Size      int64     // bytes, as upstream announces them; 0 where it does not. It is only shown

	// Compiled marks source code: a cell that is made of it has no tree, for
	// that depends on who compiles.
	Compiled bool

	// Aged says that the version was chosen by a client, so that
	// minimum-release-age applies; released is the registry's word, zero for
	// none.
	Aged     bool
	Released time.Time

	// Identity names the thing that may never change its bytes, such as
	// name@version in one registry: two artifacts of one identity are one
	// download, and the old lock is searched by it.
	Identity string
	// Digest is upstream's own, "sha512-…" or "sha256-…" and the standard
	// base64 of it; "" where there is none.
	Digest string
	// Also is a second one of the same form, "" for none.
	Also string
	// Trust is the evidence that digest rests on, one of lock.Trusts; "" is
	// "registry".
	Trust string
	From  string // " from URL" of the last download, unless Label says so
	// Get brings the bytes.
	Get func(ctx context.Context, in *store.Ingest) error
	// Binary and Keep are those of [kind.Artifact].
	Binary string
	Keep   func(path string) (bytes int)
	// Looks tells artifacts of one identity apart that are read for other plugins,
	// whose Binary or Keep are others.
	Looks string
	// Verify proves more of the content than [kind.Kind.Check]; nil for none.
	Verify func(c *Content) error
}

// Roots lists the folders of the tree that an artifact is unpacked into.
func (a *Artifact) Roots() []string { return kind.Of(a.Kind).Roots(a.Key, a.File) }

// Reading says how the bytes are read.
func (a *Artifact) Reading() kind.Artifact {
	return kind.Artifact{Key: a.Key, File: a.File, Binary: a.Binary, Keep: a.Keep}
}

// Content is what was found in an artifact.
type Content struct {
	*kind.Content
	Digest store.Digest
}

// A Tree is the files of one platform by their locked paths.
type Tree map[string]archive.File

// Under lists what lies beside a path that is missing, for messages.
func (t Tree) Under(missing string) string {
	dir := missing[:strings.LastIndexByte(missing, '/')+1]
	var names []string
	for path := range t {
		if strings.HasPrefix(path, dir) {
			names = append(names, path)
		}
	}
	return fault.List(names)
}

// ReadFor has an artifact read for the executable of w, which is called as on p
// where the artifact is that file.
func (a *Artifact) ReadFor(w *plan.Want, p lock.Platform) {
	a.Binary, a.Keep = bareBinary(w, p), keepBinaries(w)
	var looks []string
	for _, p := range lock.Platforms {
		looks = append(looks, w.Binaries(p)...)
	}
	a.Looks = a.Binary + "\n" + strings.Join(looks, "\n")
}

// keepBinaries asks for the first bytes of every file that may be the
// executable of w on some platform.
func keepBinaries(w *plan.Want) func(path string) int {
	keep := map[string]bool{}
	for _, p := range lock.Platforms {
		for _, b := range w.Binaries(p) {
			keep[b] = true
		}
	}
	return func(path string) int {
		if keep[path] {
			return executable.HeadSize
		}
		return 0
	}
}

// bareBinary is where the executable of a file without an archive goes: the last
// candidate is the one that ends in .exe on Windows.
func bareBinary(w *plan.Want, p lock.Platform) string {
	paths := w.Binaries(p)
	return paths[len(paths)-1]
}

// NativeExecutable finds a compiled executable by its path, and looks at it.
func NativeExecutable(w *plan.Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error) {
	paths := w.Binaries(p)
	for _, path := range paths {
		f, ok := tree[path]
		if !ok {
			continue
		}
		// What no package manager unpacks is executable by the word of the entry.
		if p.OS != "windows" && !f.Exec && lock.KindOf(w.From.Kind).Wheels {
			return "", fault.Errorf(fault.Integrity, "no key allows it, for pip would not make it executable either: tell its publisher, or take another source", "%s is not marked as executable in its wheel", path)
		}
		for _, c := range contents {
			if head, ok := c.Heads[path]; ok {
				return path, executable.Check(p, path, head)
			}
		}
		return path, nil
	}
	return "", fault.Errorf(fault.Integrity, "correct binary of the entry", "there is no %s in it; there is %s", paths[0], tree.Under(paths[0]))
}

// Base64OfHex is a digest in hexadecimal as registries of npm write it.
func Base64OfHex(s string) string {
	raw, err := hex.DecodeString(s)
	if err != nil {
		return "not a digest: " + s
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// OldDigest is a locked file's digest in the form of the artifact's, "" where
// upstream had none of that form.
func OldDigest(a *Artifact, f lock.File) string {
	if strings.HasPrefix(a.Digest, "sha256-") {
		return "sha256-" + Base64OfHex(f.SHA256)
	}
	return f.Integrity
}
