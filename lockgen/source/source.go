// Package source asks where plugins are published: what a version consists of,
// which versions there are, and what has become of what is locked. It says what a
// [Source] is. There is one for each kind, a file each in lockgen/web and
// lockgen/native, and lockgen/session makes them.
package source

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/executable"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Source locks plugins of one kind. It finds out what a plugin consists of;
// the caller downloads, verifies and hashes.
//
// Every implementation promises:
//   - The closure is complete: every file that the plugin needs on a platform,
//     directly or transitively, is an Artifact with this platform.
//   - The same answers of upstream give the same Resolution, in the same order,
//     independent of this machine.
//   - A platform that upstream does not support is in Missing, with the reason.
//     So is one that a client silently leaves out.
//   - An error means that nothing is known about any platform: there is no such
//     version (it matches [fs.ErrNotExist]), the server or a policy refuses it.
//     It has a class.
//   - Nothing is installed and no code of a package runs.
type Source interface {
	// Resolve finds the closure of w for each of the platforms.
	Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*Resolution, error)
	// Locked returns the artifact for a locked file, to download it again. W is
	// the plugin version that the file belongs to.
	Locked(w *plan.Want, key string, f lock.File) (*Artifact, error)
	// Versions lists all versions of the package of w, in no order, with one
	// request if we make the request ourselves. If the package does not exist, the
	// error matches [fs.ErrNotExist]; if the source has no list, it is of class
	// [fault.Usage]. Released is zero if the source only has times set by the
	// publisher.
	Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error)
	// Upstream asks what the source now has for the files of v, which is the
	// locked version of w, without downloading them. The answers are by key of
	// the file.
	Upstream(ctx context.Context, w *plan.Want, v *lock.Version) map[string]Answer
	// Executable finds and verifies the executable of w in the verified tree of
	// a platform. Contents are those of the resolution's artifacts, by key.
	Executable(w *plan.Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error)
}

// A Resolution is what a source found.
type Resolution struct {
	Artifacts []*Artifact
	Missing   map[string]Missing // by platform
	Notes     []string           // what the publisher withdrew or advises against
	// Scripts has the packages that run code while the plugin is compiled
	// and are allowed to, as in the lock.
	Scripts []string
}

// Needed downloads and reads artifacts that a source must see to resolve. The
// contents are by identity; if several fail, the error is that of the first
// artifact.
type Needed func(ctx context.Context, artifacts []*Artifact) (map[string]*Content, error)

// A Compiler is a [Source] whose plugins are compiled when they are locked:
// their trees are the output of a compiler, not the content of artifacts.
type Compiler interface {
	// Compile makes the cell of w on a platform from its artifacts and their
	// contents, by key; compiled is false if w is unpacked instead.
	Compile(ctx context.Context, w *plan.Want, p lock.Platform, artifacts []*Artifact, contents map[string]*Content) (cell lock.Cell, compiled bool, err error)
}

// An Ahead is a [Source] that can resolve before it is known which platforms
// matter.
type Ahead interface {
	// Ahead resolves w, so that Resolve has the answer. If that fails, Resolve
	// reports it.
	Ahead(ctx context.Context, w *plan.Want)
}

// A Finisher is a [Source] that adds more to a version than files and cells.
type Finisher interface {
	// Finish completes v. Contents are those of its files, by key.
	Finish(w *plan.Want, v *lock.Version, contents map[string]*Content) error
}

// A Dater is a [Source] whose lists have no release times: it must ask for
// each.
type Dater interface {
	// Date sets Released and Seen of releases of w, as far as it can find out.
	Date(ctx context.Context, w *plan.Want, releases []*plan.Release) error
}

// Missing says why a plugin is not available on a platform.
type Missing struct {
	Reason string // one line without hosts, for the lock
	Err    error  // for the user
}

// NoFile is the reason for a platform whose file does not exist.
const NoFile = "the server has no file for it"

// An Artifact is one file to download.
type Artifact struct {
	Kind      string    // of its source
	Key       string    // its key in the lock
	File      lock.File // as upstream describes it; the caller adds digest, size and platforms
	Platforms []string  // whose trees include it
	Label     string    // for messages, without a host
	Size      int64     // bytes as announced by upstream, for display; 0 if unknown

	// Compiled marks source code: a cell made from it has no tree, since that
	// depends on the compiler.
	Compiled bool

	// Aged says that a client chose the version, so minimum-release-age
	// applies; released is the registry's time, zero if unknown.
	Aged     bool
	Released time.Time

	// Identity names what must always have the same bytes, such as name@version
	// in one registry: two artifacts with one identity are downloaded once, and
	// looked up by it in the old lock.
	Identity string
	// Digest is upstream's digest, "sha512-…" or "sha256-…" and standard
	// base64; "" if there is none.
	Digest string
	// Also is a second digest in the same form; "" for none.
	Also string
	// Trust is the evidence for the digest, one of [lock.Trusts]; "" means
	// "registry".
	Trust string
	From  string // " from URL" of the last download, unless Label has it
	// Get downloads the bytes.
	Get func(ctx context.Context, in *store.Ingest) error
	// Binary and Keep are those of [kind.Artifact].
	Binary string
	Keep   func(path string) (bytes int)
	// Looks distinguishes artifacts of one identity that are read for different
	// plugins, with different Binary or Keep.
	Looks string
	// Attested asks for what is signed about who made the file; nil where the
	// source has no place for that.
	Attested func(ctx context.Context, sha256 string) (Attestation, error)
	// Verify checks the content beyond [kind.Kind.Check]; nil for nothing more.
	Verify func(c *Content) error
}

// GetLocked downloads the bytes of an artifact that stands in a locked entry under a
// key, and shows the progress.
func (a *Artifact) GetLocked(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, shown *ui.Transfer) error {
	size := e.Locked.Files[key].Size
	arrived := shown.Expect(ui.For(ctx, e.String()), a.Label, size)
	if err := a.Get(ctx, in); err != nil {
		return err
	}
	arrived(size)
	return nil
}

// An Attestation is what a source has that says who made a file.
type Attestation struct {
	From    string   // where it is
	Bundles [][]byte // of Sigstore; none if nobody signed anything
}

// Attested is the attestation in a document that was asked for, if it is there.
func Attested(from string, body []byte, err error, bundles func([]byte) ([][]byte, error)) (Attestation, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return Attestation{}, nil
	}
	said := Attestation{From: from}
	if err == nil {
		if said.Bundles, err = bundles(body); err != nil {
			err = fault.Errorf(fault.Upstream, "ask the operator of the registry", "%s: malformed document: %w", from, err)
		}
	}
	return said, err
}

// Roots lists the folders of the tree that an artifact is unpacked to.
func (a *Artifact) Roots() []string { return kind.Of(a.Kind).Roots(a.Key, a.File) }

// Reading says how to read the artifact.
func (a *Artifact) Reading() kind.Artifact {
	return kind.Artifact{Key: a.Key, File: a.File, Binary: a.Binary, Keep: a.Keep}
}

// Content is the content of an artifact.
type Content struct {
	*kind.Content
	Digest store.Digest
}

// A Tree has the files of one platform by path.
type Tree map[string]archive.File

// Under lists files near a missing path, for messages.
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

// ReadFor makes the artifact be read for the executable of w, with its name on
// p if the artifact is that file.
func (a *Artifact) ReadFor(w *plan.Want, p lock.Platform) {
	a.Binary, a.Keep = bareBinary(w, p), keepBinaries(w)
	var looks []string
	for _, p := range lock.Platforms {
		looks = append(looks, w.Binaries(p)...)
	}
	a.Looks = a.Binary + "\n" + strings.Join(looks, "\n")
}

// keepBinaries keeps the first bytes of every file that may be the executable
// of w on some platform.
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

// bareBinary returns the path for a file that is the executable itself: the
// last candidate, which ends with .exe on Windows.
func bareBinary(w *plan.Want, p lock.Platform) string {
	paths := w.Binaries(p)
	return paths[len(paths)-1]
}

// NativeExecutable finds a compiled executable by its path, and checks it.
func NativeExecutable(w *plan.Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error) {
	paths := w.Binaries(p)
	for _, path := range paths {
		f, ok := tree[path]
		if !ok {
			continue
		}
		// The entry decides what is executable, except in wheels, where installers do.
		if p.OS != "windows" && !f.Exec && lock.KindOf(w.From.Kind).Wheels && !lock.WheelScript(path) {
			return "", fault.Errorf(fault.Integrity, "no key allows it, for pip would not make it executable either: report it to the publisher, or use another source", "%s is not marked as executable in its wheel", path)
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

// Base64OfHex converts a hexadecimal digest to the form of npm registries.
func Base64OfHex(s string) string {
	raw, err := hex.DecodeString(s)
	if err != nil {
		return "not a digest: " + s
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// OldDigest returns the digest of a locked file in the form of the artifact's
// digest, or "" if there was none in that form.
func OldDigest(a *Artifact, f lock.File) string {
	if strings.HasPrefix(a.Digest, "sha256-") {
		return "sha256-" + Base64OfHex(f.SHA256)
	}
	return f.Integrity
}
