package install

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/managers"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/npm"
)

// buildNPM has a Node manager create the folder from verified tarballs. They
// are strictly read first, so the manager gets nothing that we would refuse. If
// no manager may or can do it, our own unpacker does.
func (i *Installer) buildNPM(ctx context.Context, e *lock.Entry, platform, dir string) error {
	if i.NoManagers || i.NodeManager == "none" {
		return i.buildOurselves(ctx, e, platform, dir)
	}
	if i.NodeManager != "" && !slices.Contains(manifest.NodeManagers, i.NodeManager) {
		return fault.Errorf(fault.Usage, "use one of "+strings.Join(manifest.NodeManagers, ", "), "unknown node manager %q", i.NodeManager)
	}
	// Finding the manager may download the locked runtime; download and read
	// the tarballs at the same time.
	var parts []part
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	read := make(chan error, 1)
	go func() {
		var err error
		parts, err = i.unpack(reading, e, platform, "", new(work))
		read <- err
	}()
	manager, err := i.nodeManager(ctx, e)
	if err != nil {
		cancel()
		<-read
		return err
	}
	if err := <-read; err != nil {
		return err
	}
	if manager == nil {
		return i.buildOurselves(ctx, e, platform, dir)
	}
	tarballs := make([]managers.Tarball, len(parts))
	for n, p := range parts {
		f := e.Locked.Files[p.key]
		tarballs[n] = managers.Tarball{Path: p.key, Name: f.Name, Version: f.Version, File: p.path, Integrity: f.Integrity, Files: p.files}
	}
	i.detail("%s %s builds %s", manager.Name, manager.Version, e)
	start := time.Now()
	err = manager.Install(ctx, dir, tarballs)
	i.observe(ctx, Event{Tier: FromManager, Bytes: bytesOf(e.Locked, platform), Duration: time.Since(start), Err: err})
	return noted(err, dir, parts)
}

// noted records which files that a manager wrote are executable, unless it
// failed.
func noted(err error, dir string, parts []part) error {
	for _, p := range parts {
		if err == nil {
			err = archive.NoteExec(dir, p.files)
		}
	}
	return err
}

// nodeManager returns the manager for the folder of an entry: the chosen one,
// or else the locked npm, or else the first one on this machine that is recent
// enough. It returns nil for our own unpacker. The locked node is downloaded
// only to run such a manager.
func (i *Installer) nodeManager(ctx context.Context, e *lock.Entry) (*managers.NodeManager, error) {
	return i.nodes.Do(runtimeOf(e), func() (*managers.NodeManager, error) {
		locked := sync.OnceValues(func() (*npm.Client, error) { return i.lockedNPM(ctx, e) })
		if i.NodeManager == "" || i.NodeManager == "npm" {
			npm, err := locked()
			if err != nil {
				return nil, err
			}
			if npm != nil {
				return managers.OfNPM(npm)
			}
		}
		node := func() (string, error) {
			npm, err := locked()
			if npm == nil {
				return "", err
			}
			return npm.Node(), nil
		}
		if i.NodeManager != "" {
			return managers.FindNode(ctx, i.NodeManager, node)
		}
		for _, name := range manifest.NodeManagers {
			if name == "none" {
				break
			}
			manager, err := managers.FindNode(ctx, name, node)
			if err == nil || fault.Of(err) != fault.Machine {
				return manager, err
			}
			i.detail("%v", err)
		}
		i.detail("unpacking %s without a package manager", e)
		return nil, nil
	})
}

// runtimeOf returns the name of the runtime of an entry, or "".
func runtimeOf(e *lock.Entry) string {
	if e.Runtime == nil {
		return ""
	}
	return e.Runtime.String()
}

// NPM returns the npm in the entry's locked runtime if it is for this machine,
// or else the npm of the machine.
func (i *Installer) NPM(ctx context.Context, e *lock.Entry) (*npm.Client, error) {
	return i.npms.Do(runtimeOf(e), func() (*npm.Client, error) {
		if locked, err := i.lockedNPM(ctx, e); err != nil || locked != nil {
			return locked, err
		}
		return i.Clients.NPM(ctx)
	})
}

// lockedNPM returns the npm in the entry's locked runtime, or nil if it is not
// for this machine.
func (i *Installer) lockedNPM(ctx context.Context, e *lock.Entry) (*npm.Client, error) {
	if e.Runtime == nil {
		return nil, nil
	}
	if _, _, err := e.Runtime.Locked.Cell(i.Host.Name); err != nil {
		return nil, nil
	}
	dir, _, err := i.Tree(ctx, e.Runtime, i.Host.Name)
	if fault.Of(err) == fault.Machine { // whoever needs the runtime itself reports it
		i.detail("%v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	npm := npm.Locked(dir, i.Host.Name)
	if _, err := npm.Version(); err != nil {
		i.detail("%s has no npm", e.Runtime)
		return nil, nil
	}
	return npm, nil
}
