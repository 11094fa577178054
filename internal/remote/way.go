package remote

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Way describes how a package manager is configured to reach its registries,
// apart from the environment.
type Way struct {
	// Proxy for all servers except those in NO_PROXY, in curl's format:
	// [SCHEME://][USER:PASSWORD@]HOST[:PORT]; "" for that of the environment.
	Proxy string
	// CAFile is a PEM file with authorities to trust in addition to those of
	// the machine, or a folder of such files with the names that OpenSSL looks
	// for, see [authorities]; "" for none.
	CAFile string
	// Client is the name of the package manager, for [fault.Authority].
	Client string
}

// By returns a client like c that reaches servers as w says; w takes precedence
// over [Options.Proxy]. A CA file without a certificate or a malformed proxy is
// an error of class [fault.Machine].
func (c *Client) By(w Way) (*Client, error) {
	if w == (Way{}) {
		return c, nil
	}
	if c.broken != nil {
		return nil, c.broken
	}
	o := c.o
	if w.Client != "" {
		o.Authority = fault.Authority(w.Client)
	}
	if w.CAFile != "" {
		pem, err := authorities(w.CAFile)
		if err != nil {
			return nil, fault.Errorf(fault.Machine, "correct the setting of the package manager that names it", "the file of certificate authorities: %w", err)
		}
		if o.RootCAs != nil {
			o.RootCAs = o.RootCAs.Clone()
		} else if o.RootCAs, err = MachineRoots(); err != nil {
			o.RootCAs = x509.NewCertPool()
		}
		if !o.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.Errorf(fault.Machine, "give a PEM file, or a folder of such files prepared with: openssl rehash DIR", "%s has no certificate of an authority", w.CAFile)
		}
	}
	if w.Proxy == "" {
		return New(o), nil
	}
	address, ok := proxyAddress(w.Proxy)
	if !ok {
		return nil, fault.Errorf(fault.Machine, "correct the setting of the package manager that names it", "%s is not the URL of a proxy", redact.URL(w.Proxy))
	}
	env := httpproxy.FromEnvironment()
	env.HTTPProxy, env.HTTPSProxy = address, address
	o.Proxy = env.ProxyFunc()
	return New(o), nil
}

// environment returns the proxies of the environment. One that is not the URL of a
// proxy is an error of class [fault.Machine] for the servers that it is for: without
// it, requests would go round the proxy.
func environment() func(*url.URL) (*url.URL, error) {
	env := httpproxy.FromEnvironment()
	malformed := map[string]error{}
	for _, v := range []struct {
		scheme, name string
		value        *string
	}{{"https", "HTTPS_PROXY", &env.HTTPSProxy}, {"http", "HTTP_PROXY", &env.HTTPProxy}} {
		if _, ok := proxyAddress(*v.value); *v.value != "" && !ok {
			malformed[v.scheme] = fault.Errorf(fault.Machine, "correct it, or unset it", "%s is not the URL of a proxy: %s", v.name, redact.URL(*v.value))
			*v.value = "http://proxy.invalid" // NO_PROXY still says for which servers
		}
	}
	ask := env.ProxyFunc()
	return func(u *url.URL) (*url.URL, error) {
		proxy, err := ask(u)
		if bad := malformed[u.Scheme]; proxy != nil && bad != nil {
			return nil, bad
		}
		return proxy, err
	}
}

// proxyAddress returns the URL of a proxy, whose scheme may be left out. ok is false
// for what is none.
func proxyAddress(text string) (address string, ok bool) {
	if address = text; !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	return address, err == nil && u.Hostname() != ""
}

// MachineRoots is [x509.SystemCertPool], which would wait for ever where
// SSL_CERT_FILE is a pipe that nobody writes to.
func MachineRoots() (*x509.CertPool, error) {
	const key = "SSL_CERT_FILE"
	name := os.Getenv(key)
	if !input.IsStream(name) {
		return x509.SystemCertPool()
	}
	pem, err := input.File(name)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, "unset "+key+", or set it to an existing file", "%s: %w", key, err)
	}
	os.Setenv(key, os.DevNull)
	pool, err := x509.SystemCertPool()
	os.Setenv(key, name)
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}

// authorities reads a file of certificates, or those files of a folder that
// OpenSSL, and so Python, would find there.
func authorities(name string) ([]byte, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return input.File(name)
	}
	var all []byte
	for _, e := range entries {
		if !hashed(e.Name()) {
			continue
		}
		pem, err := input.File(filepath.Join(name, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(append(all, pem...), '\n')
	}
	return all, nil
}

// KeyPair is [tls.LoadX509KeyPair] for files that the user's settings name.
func KeyPair(cert, key string) (tls.Certificate, error) {
	public, err := input.File(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret, err := input.File(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(public, secret)
}

// hashed reports whether OpenSSL would look for a file of that name in a
// folder: eight hexadecimal digits, the hash of the subject, and a number
// (openssl-rehash(1)).
func hashed(name string) bool {
	hash, number, _ := strings.Cut(name, ".")
	return len(hash) == 8 && strings.Trim(hash, "0123456789abcdef") == "" && number != "" && strings.Trim(number, "0123456789") == ""
}
