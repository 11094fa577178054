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

	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/origin"
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
		f.Why = "it is created on first use"
	}
	findings := []Finding{f}
	if h.Free >= 0 {
		f = Finding{Good, "free space", ui.Size(h.Free), "", ""}
		if h.Free < lowSpace {
			f.State, f.Why, f.Hint = Note, "node for one platform needs 250 MiB", "fetch cache clear --older-than 7d"
		}
		findings = append(findings, f)
	}
	f = Finding{Good, "reflink", "yes", "", ""}
	if !h.Reflink {
		f.State, f.Value, f.Why = Note, "no", "every installed plugin is copied; btrfs, XFS and bcachefs would share blocks"
	}
	return append(findings, f)
}

// lookAtProxies shows the proxy settings in the environment, without passwords.
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
			f.State, f.Why, f.Hint = Bad, fmt.Sprintf("%s cannot read its certificates: %v", reader, err), "unset "+key+", or set it to an existing file"
		}
		findings = append(findings, f)
	}
	if !proxied {
		findings = append(findings, Finding{Good, "proxy", "none set", "", ""})
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return strings.Compare(a.What, b.What) })
	return findings
}

// lookAtRegistries asks the clients which registry they are configured with:
// those of the sources in the lock, or all if there is no lock.
func (o *Options) lookAtRegistries(ctx context.Context) []Finding {
	used := map[string]bool{}
	var scopes []string
	for _, versions := range o.Lock.Plugins {
		for _, v := range versions {
			used[v.Source] = true
			for _, f := range v.Files {
				if scope, _, ok := strings.Cut(f.Name, "/"); ok && strings.HasPrefix(scope, "@") {
					scopes = append(scopes, scope)
				}
			}
		}
	}
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	from := &origin.Origins{
		Dir: o.Dir, Registries: o.Manifest.Registries, Clients: &clients.Set{},
		Remote: remote.Options{Offline: o.Offline, Timeouts: remote.Timeouts{Connect: askTime, TLS: askTime, Header: askTime}},
	}
	kinds := lock.Ecosystems()
	found := make([][]Finding, len(kinds))
	var all sync.WaitGroup
	for i, kind := range kinds {
		given := o.Manifest.Registries[kind]
		if len(used) > 0 && !used[kind] && given == "" {
			continue
		}
		all.Go(func() {
			urls, client, err := from.Configured(ctx, kind, scopes...)
			why := ""
			if given != "" {
				urls, why = map[string]string{"": given}, "[registries] of plugins.toml"
			} else if err != nil {
				found[i] = []Finding{{Note, kind, "not known", err.Error(), fault.Hint(err)}}
				return
			}
			for _, scope := range slices.Sorted(maps.Keys(urls)) {
				if scope != "" && urls[scope] == urls[""] {
					continue
				}
				f := Finding{Good, strings.TrimSpace(kind + " " + scope), redact.List(urls[scope]), why, ""}
				if err == nil && client != nil {
					f.believed(ctx, client, urls[scope], given != "" || used[kind])
				}
				found[i] = append(found[i], f)
			}
		})
	}
	all.Wait()
	return slices.Concat(append([][]Finding{{}}, found...)...)
}

// askTime limits each phase of asking a server for its certificate.
const askTime = 2 * time.Second

// believed asks the servers of a list of URLs, separated as for GOPROXY, for
// their certificates. A certificate that is not trusted, for example because a
// proxy intercepts TLS, is bad if the server is needed.
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
