package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// pushes limits concurrent uploads.
const pushes = 4

// A Pusher fills a place. It skips blobs that the place has with that digest
// and size, and reads back and hashes what it pushes. It is not safe for
// concurrent use.
type Pusher struct {
	Place oci.Place
	Store *store.Store
	// Fetch puts a file of an entry into the store if needed.
	Fetch func(ctx context.Context, e *lock.Entry, key string) error
	// Tree puts the folder of an entry into the store.
	Tree func(ctx context.Context, e *lock.Entry, platform string) error
	// Compress wraps a writer. The same input gives the same output.
	Compress func(w io.Writer) (io.WriteCloser, error)
	// Transfer shows the progress; nil for none.
	Transfer *ui.Transfer
	Note     func(format string, args ...any)
	// DryRun only checks what the place has, and counts the rest as if it were
	// pushed. Files are not downloaded.
	DryRun bool

	Done Pushed

	mu    sync.Mutex
	blobs once.Map[string, struct{}] // by digest, since plugins share files
}

// Pushed counts what a [Pusher] did: blobs, manifests, and bytes of blobs.
type Pushed struct {
	Pushed  int      `json:"pushed"`
	Present int      `json:"present"`
	Bytes   int64    `json:"bytes"` // bytes that were pushed
	Tags    []string `json:"tags"`  // in the order of processing
	// New has the names of the pushed blobs, and the tags.
	New []string `json:"-"`
}

// Plugin pushes the files of an entry for the platforms, and a manifest.
func (p *Pusher) Plugin(ctx context.Context, e *lock.Entry, platforms []string) error {
	ctx = ui.For(ctx, e.String())
	defer p.Transfer.Tell(ctx)
	layers, err := p.files(ctx, e, platforms)
	if err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	if len(layers) == 0 {
		return nil
	}
	note := map[string]string{annotationPlugin: e.Name + "@" + e.Version}
	d, body, err := oci.Manifest(pluginType, note, layers)
	if err != nil {
		return err
	}
	return p.tag(ctx, pluginTag(e.Name, e.Version), pluginType, note, d, body, layers)
}

// files pushes files and returns their layers, sorted by key.
func (p *Pusher) files(ctx context.Context, e *lock.Entry, platforms []string) ([]oci.Descriptor, error) {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(e.Locked.Files)) {
		if slices.ContainsFunc(platforms, func(name string) bool {
			_, served, err := e.Locked.Cell(name)
			return err == nil && e.Locked.Files[key].For(served)
		}) {
			keys = append(keys, key)
		}
	}
	layers := make([]oci.Descriptor, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(pushes)
	for i, key := range keys {
		f := e.Locked.Files[key]
		layers[i] = oci.Descriptor{SHA256: f.SHA256, Size: f.Size, MediaType: fileLayer, Title: key}
		g.Go(func() error {
			err := p.blob(ctx, layers[i], func() error { return p.Fetch(ctx, e, key) })
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		})
	}
	return layers, g.Wait()
}

// blob pushes a blob unless the place has it, after fetch has put it into the
// store. Each blob is processed once.
func (p *Pusher) blob(ctx context.Context, d oci.Descriptor, fetch func() error) error {
	_, err := p.blobs.Do(d.SHA256, func() (struct{}, error) { return struct{}{}, p.pushBlob(ctx, d, fetch) })
	return err
}

func (p *Pusher) pushBlob(ctx context.Context, d oci.Descriptor, fetch func() error) error {
	there, err := p.Place.Contains(ctx, d)
	if err != nil {
		return err
	}
	if there {
		p.mu.Lock()
		p.Done.Present++
		p.mu.Unlock()
		return nil
	}
	if p.DryRun {
		p.pushed(d.Title, d.Size)
		return nil
	}
	if err := fetch(); err != nil {
		return err
	}
	f, err := p.Store.Blob(ctx, store.Digest{SHA256: d.SHA256, Size: d.Size})
	if err != nil {
		return err
	}
	defer f.Close()
	return p.pushFile(ctx, d, f)
}

// pushFile pushes a file and reads it back.
func (p *Pusher) pushFile(ctx context.Context, d oci.Descriptor, f *os.File) error {
	if p.DryRun {
		p.pushed(d.Title, d.Size)
		return nil
	}
	arrived := p.Transfer.Expect(ctx, d.Title, d.Size)
	// A transport may still read the body of a failed attempt, so each attempt
	// reads the file at its own offset.
	var last *counted
	if err := p.Place.Push(ctx, d, func() (io.ReadCloser, error) {
		if last != nil {
			p.Transfer.Add(-last.stop())
		}
		last = &counted{r: io.NewSectionReader(f, 0, d.Size+1), told: p.Transfer.Add}
		return io.NopCloser(last), nil
	}); err != nil {
		return err
	}
	back := &hashing{h: sha256.New()}
	if err := p.Place.Download(ctx, d.SHA256, d.Size, back); err != nil {
		return fmt.Errorf("reading it back: %w", err)
	}
	if got := hex.EncodeToString(back.h.Sum(nil)); got != d.SHA256 || back.n != d.Size {
		return fault.Errorf(fault.Integrity, "ask its operator, and do not use it", "%s accepted sha256:%s but returns sha256:%s, %d bytes", p.Place, d.SHA256, got, back.n)
	}
	arrived(d.Size)
	p.pushed(d.Title, d.Size)
	return nil
}

// pushed counts a blob or a tag.
func (p *Pusher) pushed(name string, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Done.Pushed++
	p.Done.Bytes += size
	p.Done.New = append(p.Done.New, name)
}

// counted reports how many bytes were read, until it is stopped.
type counted struct {
	r    io.Reader
	told func(n int64)

	mu   sync.Mutex
	n    int64
	over bool
}

// Read implements [io.Reader].
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.n += int64(n)
		c.told(int64(n))
	}
	return n, err
}

// stop ends the reports and returns the number of reported bytes.
func (c *counted) stop() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.n
}

// hashing is a sink that only hashes.
type hashing struct {
	h hash.Hash
	n int64
}

func (s *hashing) Write(b []byte) (int, error) { s.n += int64(len(b)); return s.h.Write(b) }
func (s *hashing) Offset() int64               { return s.n }
func (s *hashing) From(string)                 {}
func (s *hashing) Reset() error                { s.n = 0; s.h.Reset(); return nil }

// empty pushes the config that all manifests have.
func (p *Pusher) empty(ctx context.Context) error {
	if p.DryRun {
		return nil
	}
	if there, err := p.Place.Contains(ctx, oci.Empty); there || err != nil {
		return err
	}
	return p.Place.Push(ctx, oci.Empty, oci.EmptyBody)
}

// tag makes a tag refer to a manifest or index whose parts are already there. A
// tag that refers to something else is not changed: other bytes with the same
// name are a warning sign, and what lockgen did not push is not ours to
// replace. If the other one is of the same plugin and only lists different
// files, for example after a platform was added, ours gets a longer tag with a
// digest.
func (p *Pusher) tag(ctx context.Context, tag, artifactType string, note map[string]string, d oci.Descriptor, body []byte, parts []oci.Descriptor) error {
	other, err := p.Place.Resolve(ctx, tag)
	if fault.Of(err) == fault.Integrity && p.DryRun { // the same as below, as far as possible
		p.pushed(tag, 0)
		return nil
	}
	if fault.Of(err) == fault.Integrity { // damaged; if it was ours, push it again
		if err := p.Place.PushNode(ctx, "", d, body); err != nil {
			return err
		}
		other, err = p.Place.Resolve(ctx, tag)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := p.empty(ctx); err != nil {
			return err
		}
		if p.DryRun {
			p.pushed(tag, 0)
			p.Done.Tags = append(p.Done.Tags, tag)
			return nil
		}
		if err := p.Place.PushNode(ctx, tag, d, body); err != nil {
			return err
		}
		back, err := p.Place.Resolve(ctx, tag)
		if err != nil {
			return fmt.Errorf("reading it back: %w", err)
		}
		if back.SHA256 != d.SHA256 {
			return fault.Errorf(fault.Integrity, "run it again; check whether another lockgen mirror runs at the same time", "%s: tag %s was pushed as sha256:%s but is now sha256:%s", p.Place, tag, d.SHA256, back.SHA256)
		}
		p.pushed(tag, 0)
		p.Done.Tags = append(p.Done.Tags, tag)
		return nil
	case err != nil:
		return err
	case other.SHA256 == d.SHA256:
		p.Done.Present++
		p.Done.Tags = append(p.Done.Tags, tag)
		return nil
	case other.ArtifactType != artifactType:
		return fault.Errorf(fault.Policy, "mirror to another repository, or delete the tag if nobody needs it",
			"%s: tag %s was not pushed by lockgen mirror (%q, sha256:%s); it is not overwritten", p.Place, tag, other.ArtifactType, other.SHA256)
	}
	if other.Annotations[annotationPlugin] == note[annotationPlugin] && artifactType == pluginType {
		for _, l := range other.Layers {
			for _, mine := range parts {
				if l.Title == mine.Title && l.SHA256 != mine.SHA256 {
					return fault.Errorf(fault.Integrity, "compare the two locks to see which one is right, then mirror to another repository",
						"%s: tag %s has other bytes for %s than the lock: sha256:%s, expected sha256:%s; it is not overwritten", p.Place, tag, l.Title, l.SHA256, mine.SHA256)
				}
			}
		}
	}
	if strings.HasSuffix(tag, "."+d.SHA256[:12]) {
		return fault.Errorf(fault.Policy, "delete the tag", "%s: tag %s is sha256:%s; it is not overwritten", p.Place, tag, other.SHA256)
	}
	longer := tag[:min(len(tag), 115)] + "." + d.SHA256[:12]
	p.Note("%s: tag %s lists other files and is not changed; those of this lock have the tag %s", p.Place, tag, longer)
	return p.tag(ctx, longer, artifactType, note, d, body, parts)
}

// Folder pushes the ready folder of an entry on a platform with its own cell,
// and returns its layer.
func (p *Pusher) Folder(ctx context.Context, e *lock.Entry, platform string) (oci.Descriptor, error) {
	name := treeTag(e, platform)
	fail := func(err error) (oci.Descriptor, error) {
		return oci.Descriptor{}, fmt.Errorf("the ready folder of %s for %s: %w", e, platform, err)
	}
	n, err := p.Place.Resolve(ctx, name)
	if err == nil {
		layer, err := treeOf(p.Place, n)
		if err != nil {
			return fail(err)
		}
		ok, err := p.Place.Contains(ctx, layer)
		if err == nil && !ok {
			err = fault.Errorf(fault.Integrity, "delete tag "+name+" there, then run it again", "%s lists it but has lost its content", p.Place)
		}
		if err != nil {
			return fail(err)
		}
		p.Done.Present += 2
		p.Done.Tags = append(p.Done.Tags, name)
		return layer, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	if err := p.Tree(ctx, e, platform); err != nil {
		return fail(err)
	}
	layer, err := p.pack(ctx, e.Locked.Platforms[platform].Tree)
	if err != nil {
		return fail(err)
	}
	d, body, err := oci.Manifest(treeType, map[string]string{annotationTree: e.Locked.Platforms[platform].Tree}, []oci.Descriptor{layer})
	if err == nil {
		err = p.tag(ctx, name, treeType, nil, d, body, []oci.Descriptor{layer})
	}
	if err != nil {
		return fail(err)
	}
	return layer, nil
}

// pack compresses a folder of the store and pushes it.
func (p *Pusher) pack(ctx context.Context, tree string) (layer oci.Descriptor, err error) {
	dir, clean, err := p.Store.Scratch(ctx, "pack")
	if err != nil {
		return layer, err
	}
	defer clean()
	f, err := os.CreateTemp(dir, "tree-*.tar.gz")
	if err != nil {
		return layer, err
	}
	defer f.Close()
	sum := &hashing{h: sha256.New()}
	z, err := p.Compress(io.MultiWriter(f, sum))
	if err != nil {
		return layer, err
	}
	if err := p.Store.Pack(ctx, tree, z); err != nil {
		return layer, err
	}
	if err := z.Close(); err != nil {
		return layer, err
	}
	layer = oci.Descriptor{SHA256: hex.EncodeToString(sum.h.Sum(nil)), Size: sum.n, MediaType: treeLayer, Title: "tree-" + tree + ".tar.gz"}
	there, err := p.Place.Contains(ctx, layer)
	if err != nil {
		return layer, err
	}
	if there {
		p.Done.Present++
		return layer, nil
	}
	return layer, p.pushFile(ctx, layer, f)
}

// Bundle pushes the index of a bundle. Its plugins, which all contains together
// with their runtimes, must have been pushed for the platforms of what. Folders has the
// layers of ready folders, by platform.
func (p *Pusher) Bundle(ctx context.Context, name string, plugins, all []*lock.Entry, what *Selection, folders map[string][]oci.Descriptor) error {
	var specs []string
	for _, e := range plugins {
		specs = append(specs, e.Name+"@"+e.Version)
	}
	note := map[string]string{annotationPlugins: strings.Join(specs, " ")}
	var children []oci.Descriptor
	for _, platform := range what.Platforms {
		var layers []oci.Descriptor
		seen := map[string]bool{}
		for _, e := range all {
			_, served, err := e.Locked.Cell(platform)
			if err != nil {
				layers = nil // it lacks a plugin, so it has no such bundle
				break
			}
			for _, key := range e.Locked.FilesFor(served) {
				if f := e.Locked.Files[key]; !seen[f.SHA256] {
					seen[f.SHA256] = true
					layers = append(layers, oci.Descriptor{SHA256: f.SHA256, Size: f.Size, MediaType: fileLayer, Title: key})
				}
			}
		}
		if layers == nil {
			if slices.Contains(what.wanted, platform) {
				p.Note("bundle %s has no manifest for %s: not all of its plugins are locked for it", name, platform)
			}
			continue
		}
		layers = append(layers, folders[platform]...)
		d, body, err := oci.Manifest(bundleType, note, layers)
		if err != nil {
			return err
		}
		if err := p.empty(ctx); err != nil {
			return err
		}
		if !p.DryRun {
			err = p.Place.PushNode(ctx, "", d, body)
		}
		if err != nil {
			return fmt.Errorf("bundle %s for %s: %w", name, platform, err)
		}
		known, _ := lock.LookupPlatform(platform)
		d.OS, d.Arch = known.GOOS, known.GOARCH
		children = append(children, d)
	}
	if len(children) == 0 {
		return fault.Errorf(fault.Usage, "add the platform to platforms", "bundle %s: no platform has all its plugins", name)
	}
	d, body, err := oci.Index(bundleType, note, children)
	if err != nil {
		return err
	}
	if err := p.tag(ctx, bundleTag(name), bundleType, note, d, body, nil); err != nil {
		return fmt.Errorf("bundle %s: %w", name, err)
	}
	return nil
}
