package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// A client is the program that knows the registry of a kind of source.
type client struct {
	kind     string
	registry func(r *manifest.Registries) string // in plugins.toml
	// asked returns the registries by scope ("" for the default), and the client
	// that downloads from them like the package manager does.
	asked func(ctx context.Context, q *question) (map[string]string, *remote.Client, error)
	// needed returns the tools that a locked version needs. It may be nil.
	needed func(a *asking)
}

// A question is what doctor asks a client.
type question struct {
	*Options
	base  remote.Options
	given string // the registry in plugins.toml, "" for none
}

// An asking is a locked version on this machine.
type asking struct {
	lock         *lock.Lock
	given        string // the registry in plugins.toml
	v            *lock.Version
	host, served string
	cell         lock.Cell
	add          func(why string, tools ...string)
}

var clients = []client{
	{lock.NPM, func(r *manifest.Registries) string { return r.NPM }, npmRegistry, func(a *asking) {
		if a.given == "" && !bringsNPM(a.lock, a.v, a.served) {
			a.add(" (names the registry)", "npm")
		}
	}},
	{lock.Pip, func(r *manifest.Registries) string { return r.Pip }, pipRegistry, func(a *asking) {
		if a.given == "" {
			a.add(" (names the index)", "pip")
		}
		if len(a.v.Python) > 0 && a.v.Runtime == "" {
			a.add(" (runs on Python "+strings.Join(a.v.Python, ", ")+")", "python")
		}
	}},
	{lock.Go, func(r *manifest.Registries) string { return r.Go }, goRegistry, func(a *asking) {
		if a.given == "" {
			a.add(" (names the module proxy)", "go")
		}
		if tool, version, ok := strings.Cut(a.v.Toolchain, "@"); ok && a.lock.Plugins[tool][version] != nil {
			if _, _, err := a.lock.Plugins[tool][version].Cell(a.host); err != nil {
				a.add(" (needs exactly Go "+version+", which is not locked for "+a.host+")", "go")
			}
		}
	}},
	{lock.Cargo, func(r *manifest.Registries) string { return r.Cargo }, cargoRegistry, func(a *asking) {
		if a.cell.Tree == "" {
			a.add(" (compiles it)", "cargo", "rustc")
		}
	}},
	{lock.Maven, func(r *manifest.Registries) string { return r.Maven }, mavenRegistry, nil},
}

func npmRegistry(ctx context.Context, q *question) (map[string]string, *remote.Client, error) {
	config, err := npm.ReadConfig(ctx, q.Dir, npm.User, npm.Find)
	if err != nil {
		return nil, nil, err
	}
	options, err := config.Options(q.base)
	if err != nil || q.given != "" {
		return nil, remote.New(options), err
	}
	urls, err := config.Registries(ctx, scopesOf(q.Lock)...)
	return urls, remote.New(options), err
}

func pipRegistry(ctx context.Context, q *question) (map[string]string, *remote.Client, error) {
	pip, err := pip.Find(ctx)
	if err != nil {
		return nil, nil, err
	}
	config, err := pip.Config(ctx, q.Dir, q.given)
	if err != nil {
		return nil, nil, err
	}
	client, err := config.Client(q.base)
	return map[string]string{"": config.Index}, client, err
}

func goRegistry(ctx context.Context, q *question) (map[string]string, *remote.Client, error) {
	base := q.base
	base.Authority = fault.Authority("go")
	if q.given != "" {
		return nil, remote.New(base), nil
	}
	tool, err := gotool.Find(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := tool.Config(ctx, "")
	return map[string]string{"": c.Proxy}, remote.New(base), err
}

func cargoRegistry(ctx context.Context, q *question) (map[string]string, *remote.Client, error) {
	index, way, err := cargo.Way(q.Dir, q.given)
	if err != nil {
		return nil, nil, err
	}
	client, err := remote.New(q.base).By(way)
	if index == "" || err != nil {
		return nil, nil, err
	}
	return map[string]string{"": index}, client, nil
}

func mavenRegistry(ctx context.Context, q *question) (map[string]string, *remote.Client, error) {
	config, err := maven.ReadConfig()
	if err != nil {
		return nil, nil, err
	}
	list, err := config.Repositories(q.given)
	urls := map[string]string{}
	for _, r := range list {
		urls[r.ID] = r.URL
	}
	return urls, remote.New(config.Options(q.base)), err
}

// scopesOf lists the scopes of npm packages in a lock.
func scopesOf(l *lock.Lock) (scopes []string) {
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for _, f := range v.Files {
				if scope, _, ok := strings.Cut(f.Name, "/"); ok && strings.HasPrefix(scope, "@") && !slices.Contains(scopes, scope) {
					scopes = append(scopes, scope)
				}
			}
		}
	}
	slices.Sort(scopes)
	return scopes
}

// bringsNPM reports whether the locked runtime of a plugin contains an npm for
// this machine.
func bringsNPM(l *lock.Lock, v *lock.Version, platform string) bool {
	name, version, _ := strings.Cut(v.Runtime, "@")
	node := l.Plugins[name][version]
	if node == nil {
		return false
	}
	_, _, err := node.Cell(platform)
	return err == nil
}
