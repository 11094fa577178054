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
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Digest names a blob. Both fields are always known.
type Digest struct {
	SHA256 string // 64 lower-case hexadecimal digits
	Size   int64  // bytes
}

// String is for messages.
func (d Digest) String() string { return fmt.Sprintf("sha256 %s, %d bytes", d.SHA256, d.Size) }

// Sums has the digests of bytes that were just read, as raw bytes.
type Sums struct {
	SHA256 []byte
	SHA512 []byte // nil if not requested
	Size   int64  // bytes
	From   string // " from URL", if the source is known
}

// hintBytes says what to do when bytes are not the locked ones.
const hintBytes = "try again; if it fails again, the file has changed since it was locked: ask the publisher why before running lockgen update"

// Blob opens a blob for reading, after hashing it through the same open file.
// If the blob is missing, or is damaged and therefore removed, the error
// matches [fs.ErrNotExist]. The caller closes the file.
func (s *Store) Blob(ctx context.Context, d Digest) (*os.File, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	f, err := s.useBlob(ctx, d)
	var bad *damaged
	if !errors.As(err, &bad) {
		return f, err
	}
	// Under the lock, so that a good blob is not removed that another process
	// has just put there.
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

// HasBlob reports whether a blob with that digest and size exists, without
// reading it.
func (s *Store) HasBlob(d Digest) bool {
	if d.check() != nil {
		return false
	}
	info, err := os.Lstat(s.blobPath(d))
	return err == nil && info.Mode().IsRegular() && info.Size() == d.Size
}

// Find returns the digest of the blob with that SHA-256, if there is one, with
// its size on disk. It does not read the blob: [Store.Blob] verifies it.
func (s *Store) Find(sha256 string) (d Digest, ok bool) {
	if syntax.CheckSHA256("digest", sha256) != nil {
		return Digest{}, false
	}
	info, err := os.Lstat(s.blobPath(Digest{SHA256: sha256}))
	if err != nil || !info.Mode().IsRegular() || info.Size() <= 0 {
		return Digest{}, false
	}
	return Digest{sha256, info.Size()}, true
}

// sum512 returns the key of the document that maps a SHA-512 to a blob.
func sum512(sum []byte) string { return fmt.Sprintf("the blob with sha512 %x", sum) }

// Keep512 records the SHA-512 of a blob for [Store.Find512]. If it cannot be
// written, Find512 does not find the blob.
func (s *Store) Keep512(sum []byte, d Digest) {
	_ = s.KeepDocument(sum512(sum), Document{Body: []byte(d.SHA256), From: sum512(sum)})
}

// Find512 is [Store.Find] by a SHA-512 that [Store.Keep512] recorded. The
// record is not verified, so the caller must hash the blob.
func (s *Store) Find512(sum []byte) (d Digest, ok bool) {
	doc, ok := s.Document(sum512(sum))
	if !ok || doc.From != sum512(sum) {
		return Digest{}, false
	}
	return s.Find(string(doc.Body))
}

// AddBlob adds a blob unless the store has it. In that case it calls get, in
// one process at a time, to write the bytes. If they do not have the digest,
// the error is of class [fault.Integrity]; writing past the size fails at once.
// An error of get is returned as it is. After an error, nothing has been added.
func (s *Store) AddBlob(ctx context.Context, d Digest, get func(context.Context, *Ingest) error) error {
	return s.addBlob(ctx, d, false, get)
}

// addBlob is AddBlob. If again is set, it calls get even if the store has the
// blob.
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
	f, err := s.useBlob(ctx, d) // another process may have added it in the meantime
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
	// The lock makes this name ours; an existing file is left from a crash.
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

// AddUnknown adds a blob whose digest is not known: get writes its bytes, at
// most limit, and AddUnknown hashes them; with512 adds their SHA-512, which costs
// twice as much. Before anything is kept, check gets the digests, to compare them
// with what the registry says. Errors of get and check are returned as they are.
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
		return Digest{}, fault.Errorf(fault.Integrity, "open the URL in a browser: nothing is published there (yet)", "got an empty file%s", in.from)
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
	remove(s.blobPath(d)) // missing or damaged
	if err := in.keep(d); err != nil {
		return Digest{}, err
	}
	return d, nil
}

func (d Digest) check() error {
	if err := syntax.CheckSHA256("digest", d.SHA256); err != nil {
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

// damaged is the error for a blob that does not match its name. To callers, it
// does not exist.
type damaged struct{ path, why string }

func (e *damaged) Error() string {
	return fmt.Sprintf("%s is damaged (%s) and treated as missing", e.path, e.why)
}
func (e *damaged) Is(target error) bool { return target == fs.ErrNotExist }

// useBlob is openBlob, and records the use.
func (s *Store) useBlob(ctx context.Context, d Digest) (*os.File, error) {
	f, err := s.openBlob(ctx, d)
	if err == nil {
		if info, err := f.Stat(); err == nil {
			touch(f.Name(), info)
		}
	}
	return f, err
}

// openBlob opens and verifies a blob. It changes nothing.
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

// An Ingest takes the bytes of one blob, in order, and hashes them.
type Ingest struct {
	s              *Store
	f              *os.File
	sum256, sum512 hash.Hash      // sum512 may be nil
	chunks         chan []byte    // for the hashing goroutine; nil until it starts
	pending        sync.WaitGroup // of the chunks
	n, limit       int64
	want           Digest // of AddBlob; zero if the digest is unknown
	from           string // " from URL", for messages
	err            error  // the first error of Write; it has priority over the error of get
	done           bool
}

// Write appends bytes. Its errors are final: of class [fault.Integrity] if
// there are more bytes than expected, of [fault.Machine] if they cannot be
// written.
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

// Check reports whether the bytes so far are those that [Store.AddBlob]
// expects, for a caller that can try another source; the error is the one that
// AddBlob would return. With [Store.AddUnknown], any bytes are accepted.
func (in *Ingest) Check() error {
	if in.err != nil || in.want == (Digest{}) {
		return in.err
	}
	if got := in.digest(); got != in.want {
		return fault.Errorf(fault.Integrity, hintBytes, "wrong bytes%s: got %s, expected %s", in.from, got, in.want)
	}
	return nil
}

// From sets where the following bytes come from, for messages.
func (in *Ingest) From(place string) { in.from = " from " + place }

// Err returns the first error of Write since the start or the last Reset.
func (in *Ingest) Err() error { return in.err }

// Offset returns the number of bytes written so far, where an interrupted
// download continues.
func (in *Ingest) Offset() int64 { return in.n }

// Reset discards all bytes, before a download that starts over.
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

// Hashing takes about as long as reading and writing. Larger files are hashed
// in parallel with that, which halves the time on two processors.
const (
	hashBeside = 1 << 20 // bytes; smaller files are not worth a goroutine
	hashAhead  = 1       // chunks that may wait to be hashed, each the size of a Write
)

var chunkPool = sync.Pool{New: func() any { return new([]byte) }}

// sum hashes p, now or later; wait for pending before reading the sums.
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
