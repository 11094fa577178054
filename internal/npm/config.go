package npm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Config has the registry settings of the user's own npm: which registries
// there are and how to reach them. Nothing in it is executed. It is safe for
// concurrent use.
type Config struct {
	layers []npmLayer // the first layer that has a setting wins
	unset  map[string][]string

	asked func(ctx context.Context) (string, error) // returns the registry of an unconfigured npm

	mu       sync.Mutex
	registry string // result of asked
}

// ReadConfig reads the configuration that npm uses in dir: the variables
// npm_config_…, the .npmrc of the project that dir belongs to, of the user, of
// the machine, and of npm itself. The last two depend on the user's npm, see
// [User], and are skipped if there is none; then other provides the npm to ask
// for the default registry.
func ReadConfig(ctx context.Context, dir string, user, other func(context.Context) (*Client, error)) (*Config, error) {
	n, err := user(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	environ := os.Environ()
	r := newNPMReader(dir, environ)
	c := &Config{unset: r.unset, asked: func(ctx context.Context) (string, error) {
		n := n
		if n == nil {
			var err error
			if n, err = other(ctx); err != nil {
				return "", err
			}
		}
		return n.defaultRegistry(ctx)
	}}

	builtin := npmLayer{}
	prefix := r.vars[foldVariable("PREFIX")]
	if n != nil {
		builtin = r.file(filepath.Join(filepath.Dir(filepath.Dir(n.cli)), "npmrc"))
		if prefix == "" && runtime.GOOS == "windows" {
			prefix = filepath.Dir(n.node)
		} else if prefix == "" {
			prefix = filepath.Join(r.vars["DESTDIR"], filepath.Dir(filepath.Dir(n.node)))
		}
	}
	c.layers = []npmLayer{r.environment(environ), builtin}
	add := func(l npmLayer) { c.layers = slices.Insert(c.layers, len(c.layers)-1, l) }
	path := func(key, or string) string {
		if s := c.text(key); s != "" {
			return s
		}
		return or
	}
	home := filepath.Join(r.home, ".npmrc")
	if on, _ := c.get("global").(bool); !on && c.text("location") != "global" {
		if file := filepath.Join(r.project(), ".npmrc"); file != path("userconfig", home) {
			add(r.file(file))
		}
	}
	add(r.file(path("userconfig", home)))
	global := ""
	if prefix = path("prefix", prefix); prefix != "" {
		global = filepath.Join(prefix, "etc", "npmrc")
	}
	if global = path("globalconfig", global); global != "" {
		add(r.file(global))
	}

	// Since version 9, npm exits if it finds one of these settings.
	for _, key := range []string{"_auth", "_authToken", "_password"} {
		if slices.ContainsFunc(c.layers[1:], func(l npmLayer) bool { return l[key] != nil }) {
			return nil, settingsError("run: npm config fix", "npm's configuration has %s without a registry; write //HOST/:%s", key, key)
		}
	}
	return c, nil
}

// get returns a setting from the first layer that has it.
func (c *Config) get(key string) any {
	for _, l := range c.layers {
		if v, ok := l[key]; ok {
			return v
		}
	}
	return nil
}

// text returns a setting that is text, or "".
func (c *Config) text(key string) string {
	s, _ := c.get(key).(string)
	return s
}

// texts returns a setting that may be a list.
func (c *Config) texts(key string) (all []string) {
	switch v := c.get(key).(type) {
	case string:
		all = []string{v}
	case []any:
		for _, one := range v {
			if s, ok := one.(string); ok && s != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

const npmRegistryHint = "set [registries] npm in plugins.toml, or correct npm's registry setting"

// Registry returns the registry for packages of a scope ("@bufbuild"), or for
// those without a scope (""). A scope without its own registry uses the
// default. The URL may contain credentials: redact it before printing it. If no
// configuration names the default, an npm without any configuration is run to
// find out.
func (c *Config) Registry(ctx context.Context, scope string) (string, error) {
	if scope != "" && (!strings.HasPrefix(scope, "@") || strings.ContainsAny(scope, "=/: \n")) {
		return "", fmt.Errorf("npm scope %q is not of the form @name", scope)
	}
	said := c.get("registry")
	if scope != "" && c.get(scope+":registry") != nil {
		said = c.get(scope + ":registry")
	}
	if said == nil {
		return c.defaultRegistry(ctx)
	}
	text := fmt.Sprint(said)
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", settingsError(npmRegistryHint, "npm's configuration has no valid registry for %q: %q", scope, redact.URL(text))
	}
	return text, nil
}

// RegistryOf returns the registry of a package. Ours, from plugins.toml,
// replaces npm's default unless it is "", but not the registry of a scope that
// has its own. A URL that [syntax.CheckURL] refuses is an error; a user in it is
// allowed.
func (c *Config) RegistryOf(ctx context.Context, name, ours string) (string, error) {
	scope := ""
	if strings.HasPrefix(name, "@") {
		scope, _, _ = strings.Cut(name, "/")
	}
	if ours != "" && (scope == "" || c.get(scope+":registry") == nil) {
		return ours, nil
	}
	r, err := c.Registry(ctx, scope)
	if err != nil {
		return "", err
	}
	return r, syntax.CheckURL(withoutUser(r))
}

// withoutUser removes the credentials from a URL of npm's own configuration,
// where they are allowed.
func withoutUser(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	host, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); ok && i >= 0 {
		host = host[i+1:]
	}
	if slash {
		path = "/" + path
	}
	return scheme + "://" + host + path
}

// Registries calls Registry for several scopes and for "".
func (c *Config) Registries(ctx context.Context, scopes ...string) (map[string]string, error) {
	urls := map[string]string{}
	for _, scope := range append([]string{""}, scopes...) {
		var err error
		if urls[scope], err = c.Registry(ctx, scope); err != nil {
			return nil, err
		}
	}
	return urls, nil
}

func (c *Config) defaultRegistry(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.registry != "" {
		return c.registry, nil
	}
	var err error
	c.registry, err = c.asked(ctx)
	return c.registry, err
}

// Options returns o with npm's certificate authorities, client certificates and
// proxies, and with npm's credentials where o has none. TLS is always verified:
// strict-ssl is ignored.
func (c *Config) Options(o remote.Options) (remote.Options, error) {
	pool, err := c.authorities()
	if err != nil {
		return o, err
	}
	if pool != nil {
		o.RootCAs = pool
	}
	o.Authority = fault.Authority("npm")
	if c.text("cafile") != "" || len(c.texts("ca")) > 0 {
		o.Authority = "npm is configured to trust only the authorities in cafile or ca: " + strings.Replace(o.Authority, "export NODE_EXTRA_CA_CERTS=FILE", "add it there: npm config set cafile FILE", 1)
	}
	others := o.Credential
	o.Credential = func(u *url.URL) remote.Credential {
		if own := c.Credential(u, ""); own.Authorization != "" || others == nil {
			return own
		}
		return others(u)
	}
	o.Certificate, o.Proxy = c.certificate, c.proxy
	return o, nil
}

// authorities returns those of ca or cafile, which npm trusts instead of all
// others, or else those of the machine with NODE_EXTRA_CA_CERTS. Nil means
// those of the machine.
func (c *Config) authorities() (*x509.CertPool, error) {
	if file := c.text("cafile"); file != "" {
		data, err := input.File(file)
		if err == nil {
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(data) {
				return nil, settingsError("correct cafile in npm's configuration", "cafile of npm's configuration: %s has no certificate", file)
			}
			return pool, nil
		}
		if !os.IsNotExist(err) { // npm ignores a missing file
			return nil, settingsError("correct cafile in npm's configuration", "cafile of npm's configuration: %w", err)
		}
	}
	if ca := c.texts("ca"); len(ca) > 0 {
		pool := x509.NewCertPool()
		for _, one := range ca {
			if !pool.AppendCertsFromPEM([]byte(strings.ReplaceAll(one, `\n`, "\n"))) {
				return nil, settingsError("correct ca in npm's configuration, or name a file by cafile", "ca of npm's configuration is not a certificate")
			}
		}
		return pool, nil
	}
	file := os.Getenv("NODE_EXTRA_CA_CERTS")
	data, err := input.File(file)
	if file == "" || err != nil { // node ignores it with a warning
		return nil, nil
	}
	pool, err := remote.MachineRoots()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(data)
	return pool, nil
}

// registryKeys returns the prefixes of settings for a URL, the longest path
// first: //HOST/a/b, //HOST/a/, //HOST/a, //HOST/, //HOST.
func registryKeys(u *url.URL) (keys []string) {
	host := strings.ToLower(u.Host)
	if port := u.Port(); port != "" && port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	for _, part := range strings.Split(u.Path, "/") {
		if part == "." || part == ".." { // it would leave the path of the prefix
			return nil
		}
	}
	p := u.EscapedPath()
	if p == "" {
		p = "/"
	}
	for key := "//" + host + p; len(key) > len("//"); {
		keys = append(keys, key)
		if cut := strings.TrimRight(key, "/"); len(cut) < len(key) {
			key = key[:len(key)-1]
		} else {
			key = key[:strings.LastIndexByte(key, '/')+1]
		}
	}
	return keys
}

// Credential returns what npm sends to a URL: the token or password configured
// for its host and a prefix of its path, or else, on the same host, that of the
// registry, if there is one.
func (c *Config) Credential(u *url.URL, registry string) remote.Credential {
	for _, key := range registryKeys(u) {
		auth, name := "", key+":_authToken"
		if token := c.text(name); token != "" {
			auth = "Bearer " + token
		} else if basic := c.text(key + ":_auth"); basic != "" {
			auth, name = "Basic "+basic, key+":_auth"
		} else if user, password := c.text(key+":username"), c.text(key+":_password"); user != "" && password != "" {
			name = key + ":_password"
			plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(password), "="))
			if err != nil {
				return remote.Credential{Name: name + " of npm's configuration, which is not base64"}
			}
			auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+string(plain)))
		}
		if auth != "" {
			name += " of npm's configuration"
			if unset := c.unset[strings.TrimSuffix(name, " of npm's configuration")]; len(unset) > 0 {
				name += ", where " + strings.Join(unset, ", ") + " is not set"
			}
			return remote.Credential{Name: name, Authorization: auth}
		}
	}
	if r, err := url.Parse(registry); err == nil && registry != "" && r.Host == u.Host && r.Scheme == u.Scheme {
		return c.Credential(r, "")
	}
	return remote.Credential{}
}

// CredentialFor is [Config.Credential] for a tarball of a registry. It returns
// none if the URL has a user.
func (c *Config) CredentialFor(address, registry string) remote.Credential {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return remote.Credential{}
	}
	return c.Credential(u, registry)
}

// certificate returns the client certificate for a URL: certfile and keyfile of
// a prefix of its path, or else cert and key for the host of the default
// registry. If it cannot be read, no certificate is sent and the server will
// complain.
func (c *Config) certificate(u *url.URL) *tls.Certificate {
	for _, key := range registryKeys(u) {
		cert, secret := c.text(key+":certfile"), c.text(key+":keyfile")
		if cert == "" || secret == "" {
			continue
		}
		if pair, err := remote.KeyPair(cert, secret); err == nil {
			return &pair
		}
		return nil
	}
	c.mu.Lock()
	own := c.registry
	c.mu.Unlock()
	if own == "" {
		own = c.text("registry")
	}
	r, err := url.Parse(own)
	if err != nil || own == "" || r.Host != u.Host || r.Scheme != u.Scheme {
		return nil
	}
	lines := strings.NewReplacer(`\n`, "\n")
	pair, err := tls.X509KeyPair([]byte(lines.Replace(c.text("cert"))), []byte(lines.Replace(c.text("key"))))
	if err != nil {
		return nil
	}
	return &pair
}

// proxy returns the proxy of npm's configuration, or else that of the
// environment.
func (c *Config) proxy(u *url.URL) (*url.URL, error) {
	if c.direct(u) {
		return nil, nil
	}
	for _, key := range []string{"https-proxy", "proxy"} {
		if proxy := c.text(key); proxy != "" {
			p, err := url.Parse(proxy)
			if err != nil || p.Host == "" {
				return nil, settingsError("correct it: npm config set "+key+" https://HOST:PORT", "%s of npm's configuration is not a URL: %s", key, redact.URL(proxy))
			}
			return p, nil
		}
	}
	return remote.EnvironmentProxy(u)
}

// direct reports whether noproxy has the host of a URL or a domain above it.
func (c *Config) direct(u *url.URL) bool {
	host := strings.Split(strings.ToLower(u.Hostname()), ".")
	for _, list := range c.texts("noproxy") {
		for one := range strings.SplitSeq(list, ",") {
			labels := strings.FieldsFunc(strings.TrimSpace(one), func(c rune) bool { return c == '.' })
			if n := len(host) - len(labels); len(labels) > 0 && n >= 0 && slices.Equal(host[n:], labels) {
				return true
			}
		}
	}
	return false
}

// settingsError returns the error for a setting that cannot be used.
func settingsError(hint, format string, args ...any) error {
	return fault.About(fault.AboutNPM, fault.Errorf(fault.Machine, hint, format, args...))
}
