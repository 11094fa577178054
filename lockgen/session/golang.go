package session

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/native"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

func (s *Session) newGo(ctx context.Context) (source.Source, error) {
	tool, err := s.Clients.Go(ctx)
	if err != nil {
		return nil, err
	}
	config, err := s.Clients.GoConfig(ctx, tool, s.Manifest.Registries[lock.Go])
	if err != nil {
		return nil, err
	}
	scratch, clean, err := s.Store.Scratch(ctx, "lockgen-go")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.cleanup = append(s.cleanup, clean)
	s.mu.Unlock()
	return native.NewGo(native.GoSettings{
		Clients: s.Clients, Tool: tool, Client: s.origins.Client(), Config: config, Store: s.Store, Scratch: scratch, Shown: s.Shown, Progress: s.progress,
		Old: s.OldFile, Entry: s.Locked.Entry, Needed: s.Needed, Now: s.Now,
		Believed: slices.Contains(s.Manifest.Policy.PublisherTimes, lock.Go), Ages: s.Manifest.At("policy", "minimum-release-age") != s.Manifest.Name,
	}), nil
}

// Module finds the Go module of a package: the longest prefix of its path for
// which the proxy has versions. dir is the folder of the package in the module.
func (s *Session) Module(ctx context.Context, importPath string) (module, dir string, err error) {
	l, err := s.Lister(ctx, lock.Go)
	if err != nil {
		return "", "", err
	}
	var first error
	for module = importPath; module == importPath || strings.Contains(module, "/"); module = path.Dir(module) {
		w := &plan.Want{Name: "module", From: manifest.Source{Kind: lock.Go, Name: module}}
		_, err := l.Versions(ctx, w)
		if err == nil {
			return module, strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/"), nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return "", "", first
}
