// Package clients has the package managers of this machine, and how they are
// configured. One run of a program starts each of them once for that, no matter
// how many of its parts want to know.
package clients

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/pip"
)

// A Set has the package managers of one run. It finds each of them when it is
// first asked for, and remembers also that there is none. The zero Set is ready
// to use, and a nil one remembers nothing. It is safe for concurrent use. A Set
// must not be copied after first use.
type Set struct {
	npm    once.Map[string, *npm.Client] // by folder of the node; "" for the user's, of any version
	pip    once.Map[string, *pip.Client]
	cargo  once.Map[string, *cargo.Client]
	golang once.Map[string, *gotool.Client]

	indexes once.Map[indexOf, *pip.Config]
	proxies once.Map[proxyOf, gotool.Config]
}

// An indexOf is a question to pip.
type indexOf struct {
	tool      *pip.Client
	dir, ours string
}

// A proxyOf is a question to Go.
type proxyOf struct {
	tool  *gotool.Client
	proxy string
}

// known is s, or an empty Set.
func (s *Set) known() *Set {
	if s == nil {
		return &Set{}
	}
	return s
}

// UserNPM is [npm.User].
func (s *Set) UserNPM(ctx context.Context) (*npm.Client, error) {
	return s.known().npm.Do("", func() (*npm.Client, error) { return npm.User(ctx) })
}

// NPM is [npm.Find].
func (s *Set) NPM(ctx context.Context) (*npm.Client, error) {
	n, err := s.UserNPM(ctx)
	if err != nil {
		return nil, err
	}
	return n, n.Check()
}

// LockedNPM is [npm.Locked].
func (s *Set) LockedNPM(dir, platform string) *npm.Client {
	n, _ := s.known().npm.Do(dir, func() (*npm.Client, error) { return npm.Locked(dir, platform), nil })
	return n
}

// Pip is [pip.Find].
func (s *Set) Pip(ctx context.Context) (*pip.Client, error) {
	return s.known().pip.Do("", func() (*pip.Client, error) { return pip.Find(ctx) })
}

// PipConfig is [pip.Client.Config].
func (s *Set) PipConfig(ctx context.Context, tool *pip.Client, dir, ours string) (*pip.Config, error) {
	return s.known().indexes.Do(indexOf{tool, dir, ours}, func() (*pip.Config, error) { return tool.Config(ctx, dir, ours) })
}

// Cargo is [cargo.Find].
func (s *Set) Cargo(ctx context.Context) (*cargo.Client, error) {
	return s.known().cargo.Do("", func() (*cargo.Client, error) { return cargo.Find(ctx) })
}

// Go is [gotool.Find].
func (s *Set) Go(ctx context.Context) (*gotool.Client, error) {
	return s.known().golang.Do("", func() (*gotool.Client, error) { return gotool.Find(ctx) })
}

// GoConfig is [gotool.Client.Config].
func (s *Set) GoConfig(ctx context.Context, tool *gotool.Client, proxy string) (gotool.Config, error) {
	return s.known().proxies.Do(proxyOf{tool, proxy}, func() (gotool.Config, error) { return tool.Config(ctx, proxy) })
}
