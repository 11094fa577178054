// Package download downloads artifacts into the store and reads them strictly.
// It does each of these once for all users of an artifact.
package download

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/queue"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

const (
	maxArtifact = 2 << 30 // bytes of one download
	downloads   = 8       // at once
)

// A download is an artifact that is downloaded once, and read once for
// everybody who looks for the same in it.
type download struct {
	digest   string // from upstream
	done     queue.Flag
	blob     store.Digest
	contents map[string]*source.Content // by what is looked for
	err      error
}

// Downloads are the downloads of a run. They are safe for concurrent use.
type Downloads struct {
	*session.Session
	max              int64        // size limit of one, in bytes
	loading, reading *queue.Queue // limit what runs at once
	count            atomic.Int64 // number of completed downloads

	mu      sync.Mutex
	fetched map[string]*download // by identity
}

// New returns the downloads of a session. limit is the size limit of one, in
// bytes; 0 is the default.
func New(s *session.Session, limit int64) *Downloads {
	if limit == 0 {
		limit = maxArtifact
	}
	return &Downloads{Session: s, max: limit, loading: queue.New(downloads), reading: queue.New(runtime.GOMAXPROCS(0)), fetched: map[string]*download{}}
}

// Count returns the number of artifacts that were downloaded.
func (l *Downloads) Count() int64 { return l.count.Load() }

func newDownload(a *source.Artifact) *download {
	return &download{digest: a.Digest, done: queue.NewFlag(), contents: map[string]*source.Content{}}
}

// Fetch downloads and reads artifacts, several at a time, urgent ones first.
// errs has the errors of single artifacts by identity; err is an interruption.
// With fresh set, it downloads even what the store has. Several goroutines may
// call Fetch at once.
func (l *Downloads) Fetch(ctx context.Context, artifacts []*source.Artifact, fresh, urgent bool) (errs map[string]error, err error) {
	defer l.Show()()
	errs = map[string]error{}
	waiting := map[string]*download{}
	for _, a := range artifacts {
		l.mu.Lock()
		there := l.fetched[a.Identity]
		begin := there == nil && errs[a.Identity] == nil
		if begin {
			there = newDownload(a)
			l.fetched[a.Identity] = there
		}
		l.mu.Unlock()
		if there == nil { // it failed before, and was reported
			continue
		}
		if there.digest != a.Digest {
			errs[a.Identity] = fault.Errorf(fault.Integrity, "ask the registry's operator", "the registry gives two digests for %s: %s and %s", a.Label, there.digest, a.Digest)
		}
		waiting[a.Identity] = there
		if !begin {
			continue
		}
		if f, ok := l.OldFile(a); ok && a.Size == 0 {
			a.Size = f.Size
		}
		l.Shown().Announce(ctx, a.Size)
		go func() {
			defer there.done.Open()
			if f, ok := l.OldFile(a); ok && a.Digest != "" && source.OldDigest(a, f) != "" && a.Digest != source.OldDigest(a, f) {
				there.err = source.ReplacedError(a, "upstream digest "+source.OldDigest(a, f), "upstream digest "+a.Digest)
			} else {
				there.err = l.one(ctx, there, a, fresh, urgent)
			}
			if there.err != nil { // the next user may try again
				l.mu.Lock()
				delete(l.fetched, a.Identity)
				l.mu.Unlock()
			}
		}()
	}
	var again []*source.Artifact
	for _, a := range artifacts {
		there := waiting[a.Identity]
		<-there.done.Opened
		err := there.err
		if err == nil && l.Content(a) == nil { // it was downloaded for another plugin
			err = l.readFor(ctx, there, a, urgent)
		}
		switch {
		case err == nil || errs[a.Identity] != nil:
		case errors.Is(err, context.Canceled) && ctx.Err() == nil: // canceled by another user
			again = append(again, a)
		default:
			errs[a.Identity] = err
		}
	}
	if len(again) > 0 {
		more, err := l.Fetch(ctx, again, fresh, urgent)
		maps.Copy(errs, more)
		return errs, err
	}
	return errs, ctx.Err()
}

// Content returns what was found in an artifact, or nil if it was not fetched.
func (l *Downloads) Content(a *source.Artifact) *source.Content {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there := l.fetched[a.Identity]; there != nil {
		return there.contents[a.Looks]
	}
	return nil
}

// Needed is Fetch for a source that must read artifacts to resolve. It returns
// the contents by identity, or the error of the first artifact that failed.
func (l *Downloads) Needed(ctx context.Context, artifacts []*source.Artifact) (map[string]*source.Content, error) {
	errs, err := l.Fetch(ctx, artifacts, false, true)
	if err != nil {
		return nil, err
	}
	contents := map[string]*source.Content{}
	for _, a := range artifacts {
		if err := errs[a.Identity]; err != nil {
			return nil, err
		}
		contents[a.Identity] = l.Content(a)
	}
	return contents, nil
}

// one downloads and reads one artifact.
func (l *Downloads) one(ctx context.Context, there *download, a *source.Artifact, fresh, urgent bool) (err error) {
	for again := false; ; again = true {
		if there.blob, err = l.blob(ctx, a, fresh || again, urgent); err != nil {
			return err
		}
		err = l.readFor(ctx, there, a, urgent)
		if again || !errors.Is(err, errDamaged) {
			return err
		}
	}
}

// errDamaged is the error for a blob in the store that did not match its name,
// and was removed.
var errDamaged = errors.New("the copy in the cache was damaged and has been removed")

// readFor reads a blob of the store for the plugin of an artifact.
func (l *Downloads) readFor(ctx context.Context, there *download, a *source.Artifact, urgent bool) error {
	leave, err := l.reading.Enter(ctx, urgent)
	if err != nil {
		return err
	}
	defer leave()
	defer l.Shown().Step("reading %s", a.Label)()
	c, err := l.read(ctx, a, there.blob)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	there.contents[a.Looks] = c
	return nil
}

// blob returns the artifact as a blob of the store.
func (l *Downloads) blob(ctx context.Context, a *source.Artifact, fresh, urgent bool) (_ store.Digest, err error) {
	coming := false
	defer func() {
		if !coming {
			l.Shown().Withdraw(a.Size)
		}
	}()
	leave, err := l.loading.Enter(ctx, urgent)
	if err != nil {
		return store.Digest{}, err
	}
	defer leave()
	locked, known := l.OldFile(a)
	d := store.Digest{SHA256: locked.SHA256, Size: locked.Size}
	// If upstream has no digest, only a download shows whether the bytes
	// changed.
	if known && a.Digest != "" && !fresh && l.Store.HasBlob(d) {
		return d, nil
	}
	if !known && !fresh {
		if there, ok := l.stored(ctx, a); ok {
			return there, nil
		}
	}
	coming = true
	if !known {
		return l.download(ctx, a, nil, fresh)
	}
	return l.download(ctx, a, &d, fresh)
}

// stored finds the blob with the digests that upstream gives, whoever
// downloaded it, so that nothing is downloaded twice.
func (l *Downloads) stored(ctx context.Context, a *source.Artifact) (store.Digest, bool) {
	algorithm, sum, _ := strings.Cut(a.Digest, "-")
	raw, err := base64.StdEncoding.DecodeString(sum)
	if err != nil {
		return store.Digest{}, false
	}
	var d store.Digest
	found, also := false, a.Also
	switch algorithm {
	case "sha256":
		d, found = l.Store.Find(hex.EncodeToString(raw))
	case "sha512":
		d, found = l.Store.Find512(raw)
		also = a.Digest
	}
	if !found {
		return store.Digest{}, false
	}
	if also != "" { // its SHA-256 is checked when it is read
		f, err := l.Store.Blob(ctx, d) // removes a damaged one
		if err != nil {
			return store.Digest{}, false
		}
		defer f.Close()
		h := sha512.New()
		if _, err := io.Copy(h, f); err != nil || also != "sha512-"+base64.StdEncoding.EncodeToString(h.Sum(nil)) {
			return store.Digest{}, false
		}
	}
	l.Store.Prove(store.Proof{Identity: a.Identity, Manifest: a.File.Manifest, Digest: d})
	return d, true
}

// download downloads an artifact into the store, if it matches what upstream
// promises and the lock; locked is nil for a new artifact. With fresh set, the
// digest from upstream may be outdated.
func (l *Downloads) download(ctx context.Context, a *source.Artifact, locked *store.Digest, fresh bool) (store.Digest, error) {
	arrived := l.Shown().Expect(ctx, a.Label, a.Size)
	var sum512 []byte
	with512 := strings.HasPrefix(a.Digest, "sha512-") || strings.HasPrefix(a.Also, "sha512-")
	d, err := l.Store.AddUnknown(ctx, l.max, with512, a.Get, func(sums store.Sums) error {
		sum512 = sums.SHA512
		if sums.From != " from "+a.Label {
			a.From = sums.From
		}
		// A proxy may repack the files of a module, so their hash decides; see
		// verify.
		if strings.HasPrefix(a.Digest, "h1:") {
			return nil
		}
		err := promised(a, sums)
		now := store.Digest{SHA256: hex.EncodeToString(sums.SHA256), Size: sums.Size}
		if locked != nil && now != *locked && (err == nil || fresh) {
			return source.ReplacedError(a, locked.String(), now.String())
		}
		return err
	})
	if err != nil {
		return d, err
	}
	arrived(d.Size)
	l.count.Add(1)
	if strings.HasPrefix(a.Digest, "sha512-") {
		l.Store.Keep512(sum512, d)
	}
	l.Store.Prove(store.Proof{Identity: a.Identity, Manifest: a.File.Manifest, Digest: d})
	return d, nil
}

// promised compares the bytes of an artifact with the digests from upstream.
func promised(a *source.Artifact, sums store.Sums) error {
	of256 := "sha256-" + base64.StdEncoding.EncodeToString(sums.SHA256)
	of512 := "sha512-" + base64.StdEncoding.EncodeToString(sums.SHA512)
	got := of512
	if strings.HasPrefix(a.Digest, "sha256-") {
		got = of256
	}
	switch {
	case a.Digest == "":
		return nil
	case got != a.Digest:
		return fault.Errorf(fault.Integrity, "try again; if it happens again, the server or a proxy sends other bytes than the registry promises: do not use them",
			"the download of %s%s does not match the registry's digest: got %s (%d bytes), expected %s", a.Label, a.From, got, sums.Size, a.Digest)
	case strings.HasPrefix(a.Also, "sha512-") && of512 != a.Also:
		return fault.Errorf(fault.Integrity, "ask the publisher which of the two is right",
			"the download of %s%s matches the publisher's SHA-256 but not its SHA-512: got %s, expected %s", a.Label, a.From, of512, a.Also)
	}
	return nil
}

// Stored reads a blob of the store for an artifact, as if it had been fetched.
func (l *Downloads) Stored(ctx context.Context, a *source.Artifact, blob store.Digest) (*source.Content, error) {
	c, err := l.read(ctx, a, blob)
	if err != nil {
		return nil, err
	}
	there := newDownload(a)
	there.blob, there.contents[a.Looks] = blob, c
	there.done.Open()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fetched[a.Identity] = there
	return c, nil
}

// read reads a blob strictly, without unpacking it, and checks its metadata
// each time.
func (l *Downloads) read(ctx context.Context, a *source.Artifact, d store.Digest) (*source.Content, error) {
	f, err := l.Store.Blob(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Machine, "run the command again", "%s: %w", a.Label, errDamaged)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	k, reading := kind.Of(a.Kind), a.Reading()
	found, err := k.Scan(ctx, l.Store, d, f, reading)
	if err != nil {
		return nil, source.Unfit(annotate(a.Label, err))
	}
	c := &source.Content{Content: found, Digest: d}
	if err = k.Check(reading, found); err == nil && a.Verify != nil {
		err = a.Verify(c)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// annotate prepends the artifact's name to an error that does not contain it.
func annotate(label string, err error) error {
	if strings.Contains(err.Error(), label) || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.Errorf(fault.Of(err), "", "%s: %w", label, err)
}
