// Package download brings artifacts into the store and reads them strictly, each of
// them once for everybody who needs it.
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

// A download is an artifact that is downloaded once for everybody who needs it, and
// read once for everybody who looks for the same in it.
type download struct {
	digest   string // that upstream gave
	done     queue.Flag
	blob     store.Digest
	contents map[string]*source.Content // by what is looked for
	err      error
}

// Downloads are those of a run. They are safe for concurrent use.
type Downloads struct {
	*session.Session
	max              int64        // bytes of one
	loading, reading *queue.Queue // what may go on at once
	count            atomic.Int64 // of what was downloaded

	mu      sync.Mutex
	fetched map[string]*download // by identity
}

// New prepares the downloads of a session. Limit bounds one of them, in bytes; 0 is
// the default.
func New(s *session.Session, limit int64) *Downloads {
	if limit == 0 {
		limit = maxArtifact
	}
	return &Downloads{Session: s, max: limit, loading: queue.New(downloads), reading: queue.New(runtime.GOMAXPROCS(0)), fetched: map[string]*download{}}
}

// Count is how many artifacts were downloaded.
func (l *Downloads) Count() int64 { return l.count.Load() }

func newDownload(a *source.Artifact) *download {
	return &download{digest: a.Digest, done: queue.NewFlag(), contents: map[string]*source.Content{}}
}

// Fetch downloads every artifact once and reads it strictly, several at a time;
// what is urgent goes first. What went wrong with an artifact is in errs, by
// identity; err is an interruption. With fresh set, nothing that the store has
// counts. Several may fetch at once.
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
		if there == nil { // it failed already, and two digests are said of it
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
			if there.err != nil { // the next one who needs it may try again
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
		if err == nil && l.Content(a) == nil { // it was read for another plugin
			err = l.readFor(ctx, there, a, urgent)
		}
		switch {
		case err == nil || errs[a.Identity] != nil:
		case errors.Is(err, context.Canceled) && ctx.Err() == nil: // by somebody else
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

// Content is what was found in an artifact that was fetched, nil for one that was
// not.
func (l *Downloads) Content(a *source.Artifact) *source.Content {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there := l.fetched[a.Identity]; there != nil {
		return there.contents[a.Looks]
	}
	return nil
}

// Needed is Fetch for a source that has to read artifacts in order to resolve.
// The contents are by identity; the first error is that of the first artifact.
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

// one brings one artifact into the store and reads it.
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

// errDamaged is the error of a blob that the store had, and that is not what its name
// says: it was removed.
var errDamaged = errors.New("what the cache had of it was damaged, and is removed")

// readFor reads what is in the store for the plugin of an artifact.
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

// blob is the artifact in the store.
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
	// Without a digest of upstream only a download tells whether it is the same.
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

// stored finds the blob that has the digests which upstream gives, whoever brought it:
// no bytes are downloaded twice.
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
	if also != "" { // its SHA-256 is looked at by who reads it
		f, err := l.Store.Blob(ctx, d) // a damaged one is removed
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

// download brings the bytes of an artifact into the store, if they are what upstream
// promises and what is locked; locked is nil for what is new. Where it is fresh,
// upstream was not asked what it promises by now.
func (l *Downloads) download(ctx context.Context, a *source.Artifact, locked *store.Digest, fresh bool) (store.Digest, error) {
	arrived := l.Shown().Expect(ctx, a.Label, a.Size)
	var sum512 []byte
	with512 := strings.HasPrefix(a.Digest, "sha512-") || strings.HasPrefix(a.Also, "sha512-")
	d, err := l.Store.AddUnknown(ctx, l.max, with512, a.Get, func(sums store.Sums) error {
		sum512 = sums.SHA512
		if sums.From != " from "+a.Label {
			a.From = sums.From
		}
		// A proxy may pack the files of a module anew: their hash decides, see verify.
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

// promised compares the bytes of an artifact with what upstream says of them.
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
		return fault.Errorf(fault.Integrity, "try again; if it stays so, the server or a proxy gives other bytes than the registry promises: do not use them",
			"the download of %s%s is not what the registry promises: got %s (%d bytes), expected %s", a.Label, a.From, got, sums.Size, a.Digest)
	case strings.HasPrefix(a.Also, "sha512-") && of512 != a.Also:
		return fault.Errorf(fault.Integrity, "ask its publisher which of the two is right",
			"the download of %s%s has the SHA-256 that its publisher gives, and another SHA-512: got %s, expected %s", a.Label, a.From, of512, a.Also)
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

// read reads a blob strictly, without unpacking it; what it says of itself is checked
// each time.
func (l *Downloads) read(ctx context.Context, a *source.Artifact, d store.Digest) (*source.Content, error) {
	f, err := l.Store.Blob(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Machine, "run it again", "%s: %w", a.Label, errDamaged)
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

// annotate puts the artifact's name before an error, unless it is there.
func annotate(label string, err error) error {
	if strings.Contains(err.Error(), label) || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.Errorf(fault.Of(err), "", "%s: %w", label, err)
}
