// Package install turns a locked entry into a folder, and the folder into a
// program. The folder has exactly the locked tree. A package manager, a
// compiler or our own strict unpacker creates it from verified files. If a
// plugin needs another one to run, the program is a launcher that starts both.
// Fetch uses this package for builds, lockgen for the smoke run of what it has
// just locked.
//
// The caller provides the download of missing files, see [Installer.Download];
// everything else is the same for both programs.
package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/managers"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// An Installer installs entries on one machine. Store, Host and Download are
// required.
type Installer struct {
	Store *store.Store
	Host  lock.Platform // this machine
	// Download downloads a file of an entry that is not in the store; the store
	// verifies it.
	Download func(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error
	// Ready copies the ready folder of an entry from a mirror into the empty
	// folder dir, for machines on which no package manager may run; nil for no
	// mirror. The result is compared with the lock.
	Ready func(ctx context.Context, e *lock.Entry, served, dir string) error
	// Local reports whether Download needs no connection for a file; nil for
	// never.
	Local func(ctx context.Context, e *lock.Entry, key string) bool

	Given        map[string]string    // path of a local file to use, by key; it is verified like a download
	Offline      bool                 // report what is missing before any work
	NodeManager  string               // what builds the folder of an npm plugin: one of [manifest.NodeManagers], or "" for the first available
	WheelManager string               // what builds the folder of a pip plugin: one of [WheelManagers], or "" for the first
	NoManagers   bool                 // run no package manager
	Python       string               // the Python that runs plugins; "" for one on PATH
	Clients      *clients.Set         // the package managers of this machine; nil to look for them
	Crates       *cargo.Shared        // where cargo compiles; nil for a folder for each plugin
	Detail       func(string, ...any) // called with progress messages; nil for none
	Transfer     *ui.Transfer         // shows progress; nil for none
	// Observe is called with the origin of each folder, from several
	// goroutines; nil for none. Implementations of Download report files in the
	// same way.
	Observe func(Event)

	npms  once.Map[string, *npm.Client]           // by runtime
	nodes once.Map[string, *managers.NodeManager] // by runtime
	trees once.Map[string, string]                // folders, by stamp

	mu     sync.Mutex
	packed map[string]packed // module zips with other bytes than those locked, by key
}

func (i *Installer) detail(format string, args ...any) {
	if i.Detail != nil {
		i.Detail(format, args...)
	}
}

// Tree returns the folder in the cache with the locked tree of an entry on a
// platform, and creates it if needed. It checks a folder once: a folder that
// this process uses stays in the cache.
func (i *Installer) Tree(ctx context.Context, e *lock.Entry, platform string) (dir string, cell lock.Cell, err error) {
	cell, served, err := e.Locked.Cell(platform)
	if err != nil {
		return "", cell, fmt.Errorf("%s: %w", e, err)
	}
	if cell.Tree == "" {
		dir, err := i.compiled(ctx, e, platform, served)
		if err != nil {
			return "", cell, fmt.Errorf("%s for %s: %w", e, platform, err)
		}
		return dir, cell, nil
	}
	dir, err = i.trees.Succeed(i.stamp(e, served, cell), func() (string, error) { return i.tree(ctx, e, platform, served, cell) })
	if err != nil {
		return "", cell, fmt.Errorf("%s for %s: %w", e, platform, err)
	}
	return dir, cell, nil
}

// tree is Tree for a folder that this process has not used before.
func (i *Installer) tree(ctx context.Context, e *lock.Entry, platform, served string, cell lock.Cell) (string, error) {
	if i.Offline {
		if missing := i.absent(ctx, e, platform); len(missing) > 0 {
			return "", i.offline(missing)
		}
	}
	built, start := false, time.Now()
	dir, err := i.Store.Tree(ctx, cell.Tree, func(ctx context.Context, dir string) error {
		built = true
		if e.Toolchain == nil && !e.Locked.Compiles() { // compiling shows its own progress
			defer i.Transfer.Step("installing %s for %s", e, platform)()
		}
		return i.build(ctx, e, served, dir)
	})
	if err == nil && !i.stamped(e, served, cell) {
		if !built {
			err = i.check(ctx, e, served, cell)
		}
		if err == nil {
			i.putStamp(e, served, cell)
		}
	}
	if err != nil {
		return "", err
	}
	if !built {
		i.observe(ctx, Event{Tier: FromCache, Bytes: bytesOf(e.Locked, served), Duration: time.Since(start)})
	}
	return dir, nil
}

// offline is the error for files that may not be downloaded.
func (i *Installer) offline(missing []string) error {
	return fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run the same command once without --offline",
		"offline, and not in the cache %s: %s", i.Store.Dir(), strings.Join(missing, ", ")))
}

// absent returns the files of an entry and its runtime that an installation
// would have to download: none if the tree is in the cache.
func (i *Installer) absent(ctx context.Context, e *lock.Entry, platform string) []string {
	var missing []string
	for ; e != nil; e = e.Runtime {
		cell, served, err := e.Locked.Cell(platform)
		if err != nil {
			continue // tree will report it
		}
		_, err = i.Store.Tree(ctx, cell.Tree, func(context.Context, string) error { return fs.ErrNotExist })
		if err == nil && i.stamped(e, served, cell) {
			continue
		}
		for _, key := range e.Locked.FilesFor(served) {
			if f := e.Locked.Files[key]; i.Given[key] == "" && !i.here(e, key) && (i.Local == nil || !i.Local(ctx, e, key)) {
				missing = append(missing, f.Label(key))
			}
		}
		if e.Toolchain != nil {
			missing = append(missing, i.absent(ctx, e.Toolchain, i.Host.Name)...)
		}
	}
	return missing
}

// build fills an empty folder with the tree of an entry. The caller compares
// the result with the lock.
func (i *Installer) build(ctx context.Context, e *lock.Entry, platform, dir string) error {
	if e.Locked.IsProtos() {
		return i.buildOurselves(ctx, e, platform, dir)
	}
	switch k := e.Locked.Kind(); {
	case k.Folders:
		return i.readyFirst(ctx, e, platform, dir, i.buildNPM)
	case k.Wheels:
		return i.readyFirst(ctx, e, platform, dir, i.buildPip)
	case e.Toolchain != nil && k.Mains:
		return i.orReady(ctx, e, platform, dir, i.buildByGo(ctx, e, platform, dir))
	case e.Locked.Compiles():
		return i.readyOr(ctx, e, platform, dir, i.buildByCargo)
	case !slices.Contains(lock.KindNames(), e.Locked.Source):
		return fault.Errorf(fault.Usage, "use another source of the plugin", "%s: this version does not install plugins of source %q", e, e.Locked.Source)
	}
	return i.buildOurselves(ctx, e, platform, dir)
}

// buildOurselves unpacks the files of an entry.
func (i *Installer) buildOurselves(ctx context.Context, e *lock.Entry, platform, dir string) error {
	var w work
	_, err := i.unpack(ctx, e, platform, dir, &w)
	if err == nil || w.err != nil { // otherwise a download failed and was reported
		i.observe(ctx, Event{Tier: FromUnpacker, Bytes: bytesOf(e.Locked, platform), Duration: w.total, Err: err})
	}
	return err
}

// work measures how long at least one of several goroutines is at work.
type work struct {
	mu    sync.Mutex
	busy  int
	since time.Time
	total time.Duration
	err   error // of the work itself; nil if it succeeded or was not done
}

func (w *work) do(ctx context.Context, f func() error) error {
	w.mu.Lock()
	if w.busy++; w.busy == 1 {
		w.since = time.Now()
	}
	w.mu.Unlock()
	err := f()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy--; w.busy == 0 {
		w.total += time.Since(w.since)
	}
	if err != nil && ctx.Err() == nil {
		w.err = err
	}
	return err
}

// A part is one file of an entry: verified, in the cache, and strictly read.
type part struct {
	key, path string
	files     []archive.File // its content
}

// unpack strictly reads every file of an entry as soon as it is in the cache,
// and writes its content below dir. If dir is "", it only reads, or uses the
// scan cache. The parts are in the order of FilesFor. W measures the work
// without the downloads.
func (i *Installer) unpack(ctx context.Context, e *lock.Entry, platform, dir string, w *work) ([]part, error) {
	keys := e.Locked.FilesFor(platform)
	parts := make([]part, len(keys))
	readers := make(chan struct{}, runtime.GOMAXPROCS(0))
	missing := i.announce(ctx, e, keys)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for n, key := range keys {
		g.Go(func() error {
			if slices.Contains(missing, key) {
				if err := i.fetch(ctx, e, key); err != nil {
					return err
				}
			}
			readers <- struct{}{}
			defer func() { <-readers }()
			return w.do(ctx, func() error {
				f, d, err := i.blob(ctx, e, key)
				if err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				defer f.Close()
				var files []archive.File
				if dir == "" {
					files, err = kind.List(ctx, i.Store, d, f, e.Locked, key, platform)
				} else {
					files, err = kind.Unpack(ctx, f, dir, e.Locked, key, platform)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				parts[n] = part{key, f.Name(), files}
				return nil
			})
		})
	}
	return parts, g.Wait()
}

// parallelDownloads limits concurrent downloads.
const parallelDownloads = 8

func digest(f lock.File) store.Digest { return store.Digest{SHA256: f.SHA256, Size: f.Size} }

// need downloads the files of an entry that are not in the cache, several at a
// time.
func (i *Installer) need(ctx context.Context, e *lock.Entry, keys []string) error {
	missing := i.announce(ctx, e, keys)
	if len(missing) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, key := range missing {
		g.Go(func() error { return i.fetch(ctx, e, key) })
	}
	return g.Wait()
}

// announce adds the files of an entry that are not in the cache to the expected
// transfer, and returns their keys. The caller must fetch each of them.
func (i *Installer) announce(ctx context.Context, e *lock.Entry, keys []string) (missing []string) {
	for _, key := range keys {
		if !i.here(e, key) {
			missing = append(missing, key)
			i.Transfer.Announce(ui.For(ctx, e.String()), e.Locked.Files[key].Size)
		}
	}
	return missing
}

// blob opens one verified file in the cache and returns its digest, which is not
// the locked one if a proxy compressed it differently. A damaged copy is
// downloaded again.
func (i *Installer) blob(ctx context.Context, e *lock.Entry, key string) (*os.File, store.Digest, error) {
	d := digest(e.Locked.Files[key])
	if other, ok := i.packedAnew(key); ok {
		d = other.Digest
	}
	f, err := i.Store.Blob(ctx, d)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, d, err
	}
	i.detail("%s is missing or damaged in the cache; downloading it again", key)
	if err := i.need(ctx, e, []string{key}); err != nil {
		return nil, d, err
	}
	if other, ok := i.packedAnew(key); ok {
		d = other.Digest
	}
	f, err = i.Store.Blob(ctx, d)
	return f, d, err
}

// fetch downloads one file to the cache.
func (i *Installer) fetch(ctx context.Context, e *lock.Entry, key string) error {
	downloads := false
	get := func(ctx context.Context, in *store.Ingest) error {
		if name := i.Given[key]; name != "" {
			return copyFile(in, name)
		}
		downloads = true
		return i.Download(ctx, e, key, in)
	}
	defer func() {
		if !downloads {
			i.Transfer.Withdraw(e.Locked.Files[key].Size)
		}
	}()
	err := i.add(ctx, e, key, get)
	if e.Locked.Kind().Repacks() && fault.Of(err) == fault.Integrity {
		err = i.fetchPacked(ctx, key, get)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// add puts one file into the cache. A file that the caller gave is not recorded
// as a proof.
func (i *Installer) add(ctx context.Context, e *lock.Entry, key string, get func(context.Context, *store.Ingest) error) error {
	if i.Given[key] != "" {
		return i.Store.AddBlob(ctx, digest(e.Locked.Files[key]), get)
	}
	return i.Store.AddProven(ctx, Proof(e, key), get)
}

// copyFile copies a local file.
func copyFile(in io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(in, f)
	return err
}
