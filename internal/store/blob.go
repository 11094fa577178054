package store

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Digest names a blob. Both fields are always known.
type Digest struct {
	SHA256 string // 64 lower-case hexadecimal digits
	Size   int64  // bytes
}

// String is for messages.
func (d Digest) String() string { return fmt.Sprintf("sha256 %s, %d bytes", d.SHA256, d.Size) }

// Sums are the digests of bytes that were just read, raw.
type Sums struct {
	SHA256 []byte
	SHA512 []byte // nil where nobody asked for it
	Size   int64  // bytes
	From   string // " from URL", as far as it is known
}

// mendBytes says what to do when bytes are not the locked ones.
const hintBytes = "try once more; if it stays so, the file is not the one that was locked: ask its publisher why before running lockgen update"

// Blob opens a blob for reading, after it was hashed again through the same
// file: what it returns has the digest. A blob that is missing, or was damaged
// and therefore removed, is [fs.ErrNotExist]. The caller closes the file.
func (s *Store) Blob(ctx context.Context, d Digest) (*os.File, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	f, err := s.useBlob(ctx, d)
	var bad *damaged
	if !errors.As(err, &bad) {
		return f, err
	}
	// Under the lock, so that a good blob which another process is just
	// putting in its place is not removed.
	if unlock, lockErr := s.lock(ctx, "blob-"+d.SHA256); lockErr == nil {
		defer unlock()
		f, err = s.useBlob(ctx, d)
		if !errors.As(err, &bad) {
			return f, err
		}
		remove(s.blobPath(d))
	}
	return nil, err
}

// HasBlob reports whether a blob of that size is there, without reading it.
func (s *Store) HasBlob(d Digest) bool {
	if d.check() != nil {
		return false
	}
	info, err := os.Lstat(s.blobPath(d))
	return err == nil && info.Mode().IsRegular() && info.Size() == d.Size
}

// Find returns the digest of the blob with that SHA-256, if one is there, by
// its size on disk: opening it with [Store.Blob] tells whether it is whole.
func (s *Store) Find(sha256 string) (d Digest, ok bool) {
	if lock.CheckSHA256("digest", sha256) != nil {
		return Digest{}, false
	}
	info, err := os.Lstat(s.blobPath(Digest{SHA256: sha256}))
	if err != nil || !info.Mode().IsRegular() || info.Size() <= 0 {
		return Digest{}, false
	}
	return Digest{sha256, info.Size()}, true
}

// sum512 is the key of the document that tells which blob has a SHA-512.
func sum512(sum []byte) string { return fmt.Sprintf("the blob with sha512 %x", sum) }

// Keep512 remembers the SHA-512 of a blob, for [Store.Find512]. Where that cannot be
// written it is not found.
func (s *Store) Keep512(sum []byte, d Digest) {
	_ = s.KeepDocument(sum512(sum), Document{Body: []byte(d.SHA256), From: sum512(sum)})
}

// Find512 is [Store.Find] by a SHA-512 that somebody kept. Whoever opens the blob has
// to hash it.
func (s *Store) Find512(sum []byte) (d Digest, ok bool) {
	doc, ok := s.Document(sum512(sum))
	if !ok || doc.From != sum512(sum) {
		return Digest{}, false
	}
	return s.Find(string(doc.Body))
}

// AddBlob makes sure that a blob is in the store. When it is not, get is
// called, by one process at a time, to write its bytes; they must have the
// digest or the error is of class [fault.Integrity], and writing past the size
// stops at once. The error of get is returned as it is. After an error nothing
// was added.
func (s *Store) AddBlob(ctx context.Context, d Digest, get func(context.Context, *Ingest) error) error {
	return s.addBlob(ctx, d, false, get)
}

// addBlob is AddBlob; with again it calls get even if the blob is there.
func (s *Store) addBlob(ctx context.Context, d Digest, again bool, get func(context.Context, *Ingest) error) error {
	if err := d.check(); err != nil {
		return err
	}
	if !again {
		if f, err := s.useBlob(ctx, d); err == nil {
			return f.Close()
		}
	}
	unlock, err := s.lock(ctx, "blob-"+d.SHA256)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := s.useBlob(ctx, d) // another process may have added it meanwhile
	there := err == nil
	var bad *damaged
	switch {
	case there:
		if err := f.Close(); err != nil || !again {
			return err
		}
	case errors.As(err, &bad):
		remove(s.blobPath(d))
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return err
	}
	// The lock makes this name ours; what is there was left by a crash.
	name := filepath.Join(tmp, d.SHA256+".part")
	remove(name)
	f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return s.refused(err)
	}
	in := &Ingest{s: s, f: f, limit: d.Size, sum256: sha256.New(), want: d}
	defer in.drop()
	if err := in.fill(ctx, get); err != nil {
		return err
	}
	if err := in.Check(); err != nil || there {
		return err
	}
	return in.keep(d)
}

// AddUnknown stores bytes whose digest is not known beforehand: it is found
// while get writes them, at most limit bytes; with512 their SHA-512 is as well, which
// costs twice as much. Check sees the sums before
// anything is kept, and its error, like that of get, is returned as it is: it
// is where the caller compares them with what upstream says.
func (s *Store) AddUnknown(ctx context.Context, limit int64, with512 bool, get func(context.Context, *Ingest) error, check func(Sums) error) (Digest, error) {
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return Digest{}, err
	}
	f, err := os.CreateTemp(tmp, "blob-*.part")
	if err != nil {
		return Digest{}, s.refused(err)
	}
	in := &Ingest{s: s, f: f, limit: limit, sum256: sha256.New()}
	if with512 {
		in.sum512 = sha512.New()
	}
	defer in.drop()
	if err := in.fill(ctx, get); err != nil {
		return Digest{}, err
	}
	d := in.digest()
	if d.Size == 0 {
		return Digest{}, fault.Errorf(fault.Integrity, "look at the address in a browser: nothing is published there (yet)", "got an empty file%s", in.from)
	}
	sums := Sums{SHA256: in.sum256.Sum(nil), Size: in.n, From: in.from}
	if with512 {
		sums.SHA512 = in.sum512.Sum(nil)
	}
	if err := check(sums); err != nil {
		return Digest{}, err
	}
	unlock, err := s.lock(ctx, "blob-"+d.SHA256)
	if err != nil {
		return Digest{}, err
	}
	defer unlock()
	switch f, err := s.useBlob(ctx, d); {
	case err == nil:
		return d, f.Close()
	case ctx.Err() != nil:
		return Digest{}, err
	}
	remove(s.blobPath(d)) // absent or damaged
	if err := in.keep(d); err != nil {
		return Digest{}, err
	}
	return d, nil
}

func (d Digest) check() error {
	if err := lock.CheckSHA256("digest", d.SHA256); err != nil {
		return fault.Errorf(fault.Internal, "", "%w", err)
	}
	if d.Size <= 0 {
		return fault.Errorf(fault.Internal, "", "blob %s has size %d", d.SHA256, d.Size)
	}
	return nil
}

func (s *Store) blobPath(d Digest) string {
	return s.path("blobs", "sha256", d.SHA256[:2], d.SHA256)
}

// damaged is the error of a blob that is there and is not what its name says.
// To callers it does not exist.
type damaged struct{ path, why string }

func (e *damaged) Error() string {
	return fmt.Sprintf("%s is damaged (%s) and counts as missing", e.path, e.why)
}
func (e *damaged) Is(target error) bool { return target == fs.ErrNotExist }

// useBlob is openBlob for somebody who uses the blob, which is noted.
func (s *Store) useBlob(ctx context.Context, d Digest) (*os.File, error) {
	f, err := s.openBlob(ctx, d)
	if err == nil {
		if info, err := f.Stat(); err == nil {
			touch(f.Name(), info)
		}
	}
	return f, err
}

// openBlob opens and hashes a blob. It changes nothing.
func (s *Store) openBlob(ctx context.Context, d Digest) (*os.File, error) {
	name := s.blobPath(d)
	info, err := os.Lstat(name) // before opening: a pipe would block
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.Errorf(fault.Machine, "make "+s.dir+" readable, or set "+EnvDir, "%w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &damaged{name, "not a regular file"}
	}
	if info.Size() != d.Size {
		return nil, &damaged{name, fmt.Sprintf("%d bytes instead of %d", info.Size(), d.Size)}
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrPermission) && os.Chmod(name, 0o444) == nil {
		f, err = os.Open(name)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.Errorf(fault.Machine, "make "+name+" readable, or remove it", "%w", err)
	}
	h := sha256.New()
	n, err := io.Copy(h, archive.WithContext(ctx, io.LimitReader(f, d.Size+1)))
	if err == nil {
		got := Digest{hex.EncodeToString(h.Sum(nil)), n}
		if got == d {
			if _, err = f.Seek(0, io.SeekStart); err == nil {
				return f, nil
			}
		} else {
			err = &damaged{name, got.String()}
		}
	}
	f.Close()
	return nil, err
}

// An Ingest takes the bytes of one blob, in order, and hashes them on the way.
type Ingest struct {
	s              *Store
	f              *os.File
	sum256, sum512 hash.Hash      // sum512 only where somebody wants it
	chunks         chan []byte    // to be hashed by a goroutine of its own; nil for none yet
	pending        sync.WaitGroup // of the chunks
	n, limit       int64
	want           Digest // of AddBlob; zero where the digest is unknown
	from           string // " from URL", for messages
	err            error  // the first failure of Write; outranks what get makes of it
	done           bool
}

// Write appends bytes. Its errors are final: of class [fault.Integrity] when
// there are more bytes than expected, of [fault.Machine] when the disk refuses.
func (in *Ingest) Write(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	if int64(len(p)) > in.limit-in.n {
		in.err = fault.Errorf(fault.Integrity, hintBytes, "wrong bytes%s: more than the expected %d", in.from, in.limit)
		return 0, in.err
	}
	n, err := in.f.Write(p)
	in.sum(p[:n])
	in.n += int64(n)
	if err != nil {
		in.err = in.s.refused(err)
		return n, in.err
	}
	return n, nil
}

// Check reports whether the bytes so far are those that [Store.AddBlob] waits
// for, for a caller that can have them from somewhere else; the error is the one
// that AddBlob would return. With [Store.AddUnknown] nothing is expected.
func (in *Ingest) Check() error {
	if in.err != nil || in.want == (Digest{}) {
		return in.err
	}
	if got := in.digest(); got != in.want {
		return fault.Errorf(fault.Integrity, hintBytes, "wrong bytes%s: got %s, expected %s", in.from, got, in.want)
	}
	return nil
}

// From says where the bytes that follow come from, for messages.
func (in *Ingest) From(place string) { in.from = " from " + place }

// Err is the first failure of Write since the start or the last Reset: too many
// bytes, or what the disk said.
func (in *Ingest) Err() error { return in.err }

// Offset is the number of bytes taken so far: where an interrupted download
// goes on.
func (in *Ingest) Offset() int64 { return in.n }

// Reset forgets all bytes, for a retry that starts afresh.
func (in *Ingest) Reset() error {
	in.n, in.err = 0, nil
	in.pending.Wait()
	in.sum256.Reset()
	if in.sum512 != nil {
		in.sum512.Reset()
	}
	err := in.f.Truncate(0)
	if err == nil {
		_, err = in.f.Seek(0, io.SeekStart)
	}
	if err != nil {
		in.err = in.s.refused(err)
	}
	return in.err
}

func (in *Ingest) fill(ctx context.Context, get func(context.Context, *Ingest) error) error {
	err := get(ctx, in)
	if in.err != nil {
		return in.err
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func (in *Ingest) digest() Digest {
	in.pending.Wait()
	return Digest{hex.EncodeToString(in.sum256.Sum(nil)), in.n}
}

// keep publishes the bytes as blob d. The caller holds the lock of d.
func (in *Ingest) keep(d Digest) error {
	if _, err := in.s.mkdir("blobs", "sha256", d.SHA256[:2]); err != nil {
		return err
	}
	if err := rename(in.f, in.s.blobPath(d), 0o444); err != nil {
		return in.s.refused(err)
	}
	in.done = true
	return nil
}

// Hashing takes about as long as reading and writing: files of some size are
// hashed beside that, so that a second processor halves the time.
const (
	hashBeside = 1 << 20 // bytes; smaller files are not worth a goroutine
	hashAhead  = 1       // chunks that may wait to be hashed, each as long as a Write
)

var chunkPool = sync.Pool{New: func() any { return new([]byte) }}

// sum hashes p, now or soon; who reads the sums waits for pending.
func (in *Ingest) sum(p []byte) {
	if in.limit < hashBeside {
		in.hash(p)
		return
	}
	if in.chunks == nil {
		in.chunks = make(chan []byte, hashAhead)
		go func(chunks <-chan []byte) {
			for chunk := range chunks {
				in.hash(chunk)
				chunkPool.Put(&chunk)
				in.pending.Done()
			}
		}(in.chunks)
	}
	chunk := append((*chunkPool.Get().(*[]byte))[:0], p...)
	in.pending.Add(1)
	in.chunks <- chunk
}

func (in *Ingest) hash(p []byte) {
	in.sum256.Write(p)
	if in.sum512 != nil {
		in.sum512.Write(p)
	}
}

// drop removes the temporary file unless it was kept.
func (in *Ingest) drop() {
	if in.chunks != nil {
		close(in.chunks)
	}
	if !in.done {
		in.f.Close()
		remove(in.f.Name())
	}
}
