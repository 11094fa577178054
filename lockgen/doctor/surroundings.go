package doctor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// lowSpace is less than the largest closures need, in bytes.
const lowSpace = 1 << 30

func lookAtCache(s *store.Store) []Finding {
	h, err := s.Probe()
	f := Finding{Good, "folder", s.Dir(), "", ""}
	if err != nil {
		f.State, f.Why, f.Hint = Bad, err.Error(), fault.Hint(err)
		return []Finding{f}
	}
	if !h.Exists {
		f.Why = "it will be made by its first use"
	}
	findings := []Finding{f}
	if h.Free >= 0 {
		f = Finding{Good, "free space", ui.Size(h.Free), "", ""}
		if h.Free < lowSpace {
			f.State, f.Why, f.Hint = Note, "a node for one platform takes 250 MiB", "fetch cache clear --older-than 7d"
		}
		findings = append(findings, f)
	}
	f = Finding{Good, "reflink", "yes", "", ""}
	if !h.Reflink {
		f.State, f.Value, f.Why = Note, "no", "every installed plugin is copied; btrfs, XFS and bcachefs would share the blocks"
	}
	return append(findings, f)
}

// lookAtProxies shows what the environment says of the way out, without
// passwords.
func (o *Options) lookAtProxies() []Finding {
	findings := []Finding{}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"} {
		for _, key := range []string{name, strings.ToLower(name)} {
			if value := o.Env(key); value != "" {
				findings = append(findings, Finding{Good, key, redact.URL(value), "", ""})
			}
		}
	}
	proxied := len(findings) > 0
	for _, key := range []string{"NO_PROXY", "no_proxy"} {
		if value := o.Env(key); value != "" {
			findings = append(findings, Finding{Good, key, value, "", ""})
		}
	}
	for key, reader := range map[string]string{"SSL_CERT_FILE": "lockgen, fetch and go", "NODE_EXTRA_CA_CERTS": "npm", "PIP_CERT": "pip", "CARGO_HTTP_CAINFO": "cargo"} {
		value := o.Env(key)
		if value == "" {
			continue
		}
		f := Finding{Good, key, value, "certificates for " + reader, ""}
		if _, err := os.Stat(value); err != nil {
			f.State, f.Why, f.Hint = Bad, fmt.Sprintf("%s cannot read its certificates: %v", reader, err), "unset "+key+", or name a file that is there"
		}
		findings = append(findings, f)
	}
	if !proxied {
		findings = append(findings, Finding{Good, "proxy", "none set", "", ""})
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return strings.Compare(a.What, b.What) })
	return findings
}

// sourcesOf returns the kinds of source that a lock has, and its scopes of npm.
func sourcesOf(l *lock.Lock) (used map[string]bool, scopes []string) {
	used = map[string]bool{}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			used[v.Source] = true
			for _, f := range v.Files {
				if scope, _, ok := strings.Cut(f.Name, "/"); ok && v.Source == lock.NPM && !slices.Contains(scopes, scope) {
					scopes = append(scopes, scope)
				}
			}
		}
	}
	slices.Sort(scopes)
	return used, scopes
}

// lookAtRegistries asks the clients of the sources that the lock has, or of all
// where there is no lock, which registry they are configured with.
func (o *Options) lookAtRegistries(ctx context.Context) []Finding {
	used, scopes := sourcesOf(o.Lock)
	base := remote.Options{Offline: o.Offline, Timeouts: remote.Timeouts{Connect: askTime, TLS: askTime, Header: askTime}}
	ask := []struct {
		kind, manifest string
		// ask returns the registries by scope, "" for those of all, and the client
		// that reaches them as the package manager does.
		ask func(manifest string) (map[string]string, *remote.Client, error)
	}{
		{lock.NPM, o.Manifest.Registries.NPM, func(manifest string) (map[string]string, *remote.Client, error) {
			config, err := npm.ReadConfig(ctx, o.Dir, npm.Find)
			if err != nil {
				return nil, nil, err
			}
			options, err := config.Options(base)
			if err != nil || manifest != "" {
				return nil, remote.New(options), err
			}
			urls, err := config.Registries(ctx, scopes...)
			return urls, remote.New(options), err
		}},
		{lock.Pip, o.Manifest.Registries.Pip, func(manifest string) (map[string]string, *remote.Client, error) {
			pip, err := pip.Find(ctx)
			if err != nil {
				return nil, nil, err
			}
			config, err := pip.Config(ctx, o.Dir, manifest)
			if err != nil {
				return nil, nil, err
			}
			client, err := config.Client(base)
			return map[string]string{"": config.Index}, client, err
		}},
		{lock.Go, o.Manifest.Registries.Go, func(manifest string) (map[string]string, *remote.Client, error) {
			base := base
			base.Authority = fault.Authority("go")
			if manifest != "" {
				return nil, remote.New(base), nil
			}
			tool, err := gotool.Find(ctx)
			if err != nil {
				return nil, nil, err
			}
			c, err := tool.Config(ctx, "")
			return map[string]string{"": c.Proxy}, remote.New(base), err
		}},
		{lock.Cargo, o.Manifest.Registries.Cargo, func(manifest string) (map[string]string, *remote.Client, error) {
			index, way, err := cargo.Way(o.Dir, manifest)
			if err != nil {
				return nil, nil, err
			}
			client, err := remote.New(base).By(way)
			if index == "" || err != nil {
				return nil, nil, err
			}
			return map[string]string{"": index}, client, nil
		}},
		{lock.Maven, o.Manifest.Registries.Maven, func(manifest string) (map[string]string, *remote.Client, error) {
			config, err := maven.ReadConfig()
			if err != nil {
				return nil, nil, err
			}
			list, err := config.Repositories(manifest)
			urls := map[string]string{}
			for _, r := range list {
				urls[r.ID] = r.URL
			}
			return urls, remote.New(config.Options(base)), err
		}},
	}
	found := make([][]Finding, len(ask))
	var all sync.WaitGroup
	for i, a := range ask {
		if len(used) > 0 && !used[a.kind] && a.manifest == "" {
			continue
		}
		all.Go(func() {
			urls, client, err := a.ask(a.manifest)
			why := ""
			if a.manifest != "" {
				urls, why = map[string]string{"": a.manifest}, "[registries] of plugins.toml"
			} else if err != nil {
				found[i] = []Finding{{Note, a.kind, "not known", err.Error(), fault.Hint(err)}}
				return
			}
			for _, scope := range slices.Sorted(maps.Keys(urls)) {
				if scope != "" && urls[scope] == urls[""] {
					continue
				}
				f := Finding{Good, strings.TrimSpace(a.kind + " " + scope), redact.List(urls[scope]), why, ""}
				if err == nil && client != nil {
					f.believed(ctx, client, urls[scope], a.manifest != "" || used[a.kind])
				}
				found[i] = append(found[i], f)
			}
		})
	}
	all.Wait()
	return slices.Concat(append([][]Finding{{}}, found...)...)
}

// askTime is what each phase of asking a server for its certificate may take.
const askTime = 2 * time.Second

// believed asks the servers of a list of URLs, as Go has it, for their
// certificates. One that is not believed, as where a proxy opens TLS, is bad where
// it is needed.
func (f *Finding) believed(ctx context.Context, client *remote.Client, urls string, needed bool) {
	for _, u := range strings.FieldsFunc(urls, func(r rune) bool { return r == ',' || r == '|' }) {
		if err := client.Distrust(ctx, strings.TrimPrefix(u, "sparse+")); err != nil {
			f.State, f.Why, f.Hint = Note, err.Error(), fault.Hint(err)
			if needed {
				f.State = Bad
			}
			return
		}
	}
}
