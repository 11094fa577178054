package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A Layout is a folder in the OCI image layout (image specification,
// image-layout.md). It needs no server and can be copied between machines.
//
// We do not use content/oci of oras-go (v2.6.4): it trusts a file by its name,
// so a truncated file counts as present, and it flushes nothing to disk. Here a
// blob is verified before it counts as present, and gets its name only when it
// is complete and on disk.
type Layout string

// String returns oci-layout:DIR.
func (l Layout) String() string { return "oci-layout:" + string(l) }

func (l Layout) path(elem ...string) string {
	return filepath.Join(append([]string{string(l)}, elem...)...)
}

func (l Layout) blob(sha256 string) string { return l.path("blobs", "sha256", sha256) }

// missing returns the error for something that is not in the layout.
func (l Layout) missing(what string) error {
	if _, err := os.Stat(l.path(ocispec.ImageLayoutFile)); err != nil {
		return fault.Missingf(fault.Upstream, "check the path; to fill it run: lockgen mirror --to "+l.String(), "%s: the folder is not an OCI image layout", l)
	}
	return fault.Missingf(fault.Upstream, "run: lockgen mirror --to "+l.String(), "%s has no %s", l, what)
}

// broken returns an error about this machine.
func (l Layout) broken(err error) error {
	return fault.Errorf(fault.Machine, "make "+string(l)+" readable, and writable for lockgen mirror", "%s: %w", l, err)
}

// open opens a file of the layout; if there is none, the error matches
// fs.ErrNotExist. It accepts only regular files: opening a pipe would block
// forever.
func (l Layout) open(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.Errorf(fault.Integrity, "remove "+name+", then run: lockgen mirror --to "+l.String(), "%s: %s is not a file", l, name)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = l.broken(err)
	}
	return f, err
}

// openBlob is open for a blob that must be there.
func (l Layout) openBlob(sha256 string) (*os.File, error) {
	if err := l.known(); err != nil {
		return nil, err
	}
	f, err := l.open(l.blob(sha256))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, l.missing("sha256:" + sha256)
	}
	return f, err
}

// json decodes a file of the layout, and leaves v as it is if there is none.
func (l Layout) json(name string, v any) error {
	f, err := l.open(l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := readAll(f)
	if err != nil {
		return l.broken(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fault.Errorf(fault.Integrity, "remove "+f.Name()+", then run: lockgen mirror --to "+l.String(), "%s: its %s is malformed: %s", l, name, plain.Line(err.Error(), 300))
	}
	return nil
}

// known refuses a version of the layout that this program does not know.
func (l Layout) known() error {
	said := ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}
	err := l.json(ocispec.ImageLayoutFile, &said)
	if err == nil && said.Version != ocispec.ImageLayoutVersion {
		err = fault.Errorf(fault.Integrity, "use another folder, filled by lockgen mirror", "%s: its %s has the unknown version %s, expected %s",
			l, ocispec.ImageLayoutFile, plain.Line(said.Version, 80), ocispec.ImageLayoutVersion)
	}
	return err
}

// Check refuses a folder that is not a layout that this program can read and add
// to. An empty or missing one is fine.
func (l Layout) Check() error {
	_, err := l.index()
	return err
}

// index reads index.json; it returns an empty index if there is none.
func (l Layout) index() (*ocispec.Index, error) {
	if err := l.known(); err != nil {
		return nil, err
	}
	x := &ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: IndexType}
	return x, l.json(ocispec.ImageIndexFile, x)
}

// Resolve implements [Place].
func (l Layout) Resolve(ctx context.Context, tag string) (*Node, error) {
	x, err := l.index()
	if err != nil {
		return nil, err
	}
	for _, d := range x.Manifests {
		if d.Annotations[ocispec.AnnotationRefName] != tag {
			continue
		}
		if err := check(l.String(), "tag "+tag, d); err != nil {
			return nil, err
		}
		return l.Node(ctx, describe(d))
	}
	return nil, l.missing("tag " + tag)
}

// Node implements [Place].
func (l Layout) Node(_ context.Context, d Descriptor) (*Node, error) {
	name := l.String() + "@sha256:" + d.SHA256
	f, err := l.openBlob(d.SHA256)
	if err != nil {
		return nil, err
	}
	data, err := readAll(f)
	if err != nil {
		return nil, l.broken(err)
	}
	if found := Describe(d.MediaType, data); found.SHA256 != d.SHA256 || found.Size != d.Size {
		return nil, fault.Errorf(fault.Integrity, "repair it: lockgen mirror --to "+l.String(), "%s is damaged: sha256:%s, %d bytes", name, found.SHA256, found.Size)
	}
	return parse(name, d.spec(), data)
}

// Download implements [Place].
func (l Layout) Download(ctx context.Context, sha256 string, size int64, sink remote.Sink) error {
	if sink.Offset() > 0 {
		if err := sink.Reset(); err != nil {
			return err
		}
	}
	f, err := l.openBlob(sha256)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != size {
		return fault.Errorf(fault.Integrity, "repair it: lockgen mirror --to "+l.String(), "%s: sha256:%s is damaged: not a file of %d bytes", l, sha256, size)
	}
	sink.From(f.Name())
	_, err = io.CopyBuffer(struct{ io.Writer }{sink}, &stopping{ctx, f}, make([]byte, 256<<10))
	return err
}

// stopping is a reader that fails when its context ends.
type stopping struct {
	ctx context.Context
	r   io.Reader
}

func (s *stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// Contains implements [Place]. It reads the blob.
func (l Layout) Contains(ctx context.Context, d Descriptor) (bool, error) {
	if err := l.known(); err != nil {
		return false, err
	}
	f, err := l.open(l.blob(d.SHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, &stopping{ctx, io.LimitReader(f, d.Size+1)})
	if err != nil {
		return false, l.broken(err)
	}
	return n == d.Size && hex.EncodeToString(h.Sum(nil)) == d.SHA256, nil
}

// Push implements [Place]. It replaces a damaged blob.
func (l Layout) Push(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	if ok, err := l.Contains(ctx, d); ok || err != nil {
		return err
	}
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close()
	return l.write(l.blob(d.SHA256), func(f *os.File) error {
		h := sha256.New()
		n, err := io.Copy(io.MultiWriter(f, h), &stopping{ctx, io.LimitReader(body, d.Size+1)})
		if err == nil && (n != d.Size || hex.EncodeToString(h.Sum(nil)) != d.SHA256) {
			err = fault.Errorf(fault.Internal, "", "%s: pushed content other than sha256:%s", l, d.SHA256)
		}
		return err
	})
}

// write creates a file in one step, after its content is on disk.
func (l Layout) write(name string, fill func(f *os.File) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return l.broken(err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return l.broken(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			if fault.Of(err) == fault.Machine {
				err = l.broken(err)
			}
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// PushNode implements [Place].
func (l Layout) PushNode(ctx context.Context, tag string, d Descriptor, body []byte) error {
	if err := l.Push(ctx, d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }); err != nil {
		return err
	}
	f, err := store.Lock(ctx, l.path(".lock"))
	if ctx.Err() != nil && err != nil {
		return err
	}
	if err != nil {
		return l.broken(err)
	}
	defer f.Close()
	whole := func(name string, v any) error {
		return l.write(l.path(name), func(f *os.File) error {
			data, err := json.MarshalIndent(v, "", "  ")
			if err == nil {
				_, err = f.Write(append(data, '\n'))
			}
			return err
		})
	}
	if _, err := os.Stat(l.path(ocispec.ImageLayoutFile)); errors.Is(err, fs.ErrNotExist) {
		if err := whole(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
			return err
		}
	}
	if tag == "" { // the tagged index lists it
		return nil
	}
	x, err := l.index()
	if err != nil {
		return err
	}
	x.Manifests = slices.DeleteFunc(x.Manifests, func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] == tag })
	entry := d.spec()
	entry.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	x.Manifests = append(x.Manifests, entry)
	slices.SortFunc(x.Manifests, func(a, b ocispec.Descriptor) int {
		return strings.Compare(a.Annotations[ocispec.AnnotationRefName], b.Annotations[ocispec.AnnotationRefName])
	})
	if err := whole(ocispec.ImageIndexFile, x); err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	return nil
}
