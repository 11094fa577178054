// Package remote transfers bytes over HTTP: artifacts into a [Sink], documents
// of registries into memory. It is the only package that uses the network.
//
// For every request and any server, it promises:
//   - Bounded time. Each phase has a timeout (see [Timeouts]), a body that is
//     too slow is given up, and redirects and attempts are limited.
//   - Bounded space. Documents have a size limit; a download stops at the first
//     byte beyond its size.
//   - Encryption: http only to loopback hosts, and never from https to http.
//   - A credential is sent only to the origin of its URL. No message shows a
//     credential or the query of a URL.
//   - A server on the internet cannot redirect us into the private network.
//
// Errors are of class [fault.Upstream] (network, server), [fault.Integrity]
// (bytes other than those locked), [fault.Policy] (refused by a rule above) or
// [fault.Usage] (not a URL that can be fetched). If the server says that a file
// does not exist (404 or 410), the error matches fs.ErrNotExist.
//
// Credentials come from the userinfo of a URL or from [Options.Credential],
// such as [Netrc].
//
// Retries use github.com/cenkalti/backoff/v5 instead of
// hashicorp/go-retryablehttp. We retry a whole transfer with its state (bytes
// so far, validator), which backoff does; go-retryablehttp repeats a single
// request and does not cover reading the body. Also, backoff has no
// dependencies and does nothing at program start.
package remote

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// maxConnections limits the connections to one host at a time; further requests
// wait.
const maxConnections = 16

// A Sink takes the bytes of a download, such as a *store.Ingest.
type Sink interface {
	io.Writer
	// Offset is the number of bytes written since the start or the last Reset.
	Offset() int64
	// Reset discards everything written, before a transfer that starts over.
	Reset() error
	// From sets where the following bytes come from: a redacted URL and its
	// redirects. Messages about wrong bytes show it.
	From(place string)
}

// Timeouts limit the phases of a request. Zero means the default.
type Timeouts struct {
	Connect time.Duration // name lookup and TCP, per connection; default 15 s
	TLS     time.Duration // handshake; default 15 s
	Header  time.Duration // from the request sent to the complete header; default 30 s
	// Stall is how long a body may be slower than MinRate. The rate is measured
	// in windows of this length, while we wait for the server; default 30 s.
	Stall   time.Duration
	MinRate int64 // bytes per second; default 1024
	// Document limits a document, or a message of a protocol, with all attempts,
	// since a slow body above MinRate could take forever; default 2 min.
	Document time.Duration
	// RetryWait is the wait before the second attempt. It doubles each time up
	// to 10 s and varies randomly by half; default 500 ms.
	RetryWait time.Duration
	// RetryAfter limits the wait that a server may ask for; default 30 s.
	RetryAfter time.Duration
}

// A Credential authenticates us to a server.
type Credential struct {
	Name          string // its source, for messages, such as "NPM_TOKEN"; never the secret
	Authorization string // value of the Authorization header; "" for no credential
}

// Options configure a [Client]. The zero value is ready to use.
type Options struct {
	Offline   bool   // refuse every request, class Upstream
	UserAgent string // default "buck2-protobuf"
	// Progress is called with the redacted URL and the number of new bytes for
	// a sink; the number is negative if a transfer starts over. Concurrent
	// downloads call it concurrently.
	Progress func(url string, delta int64)
	// Credential returns the credential for a URL without userinfo. It is called
	// once for each transfer, never for the target of a redirect.
	Credential func(u *url.URL) Credential
	// Allow returns an error, of class [fault.Policy], to refuse a server. It
	// is called with the URL of every request and redirect before anything is
	// sent, and its error is returned as it is. nil allows all.
	Allow func(u *url.URL) error
	// Store keeps documents for conditional requests; nil for none.
	Store *store.Store
	// Certificate returns the client certificate for a URL, or nil. It is
	// called once for each transfer; redirects to another origin do not get it.
	Certificate func(u *url.URL) *tls.Certificate
	// Proxy returns the proxy for a URL, or nil; default [EnvironmentProxy].
	Proxy   func(u *url.URL) (*url.URL, error)
	RootCAs *x509.CertPool // nil for those of the machine (and SSL_CERT_FILE)
	// Authority is the hint for an untrusted certificate; "" for the one that
	// applies if RootCAs is nil, see [fault.Authority].
	Authority string
	Attempts  int // for one transfer; default 4
	Timeouts  Timeouts
}

// A Client sends requests. It is safe for concurrent use and reuses
// connections, so share one.
type Client struct {
	o      Options
	broken error // why no server can be trusted
	// open connects to any address. guarded, used after a redirect from a
	// public host, refuses addresses that are not public. They share no
	// connections: guarded must not use one that open made.
	open, guarded *http.Transport
	// certified has clients with a client certificate, by its bytes.
	certified once.Map[string, *Client]
}

// EnvironmentProxy returns the proxy for a URL that the environment sets
// (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), or nil.
func EnvironmentProxy(u *url.URL) (*url.URL, error) { return environment()(u) }

// New returns a client. It reads the proxies of the environment (HTTPS_PROXY,
// NO_PROXY, …) once.
func New(o Options) *Client {
	setDefault(&o.UserAgent, "buck2-protobuf")
	setDefault(&o.Attempts, 4)
	t := &o.Timeouts
	setDefault(&t.Connect, 15*time.Second)
	setDefault(&t.TLS, 15*time.Second)
	setDefault(&t.Header, 30*time.Second)
	setDefault(&t.Stall, 30*time.Second)
	setDefault(&t.MinRate, 1024)
	setDefault(&t.Document, 2*time.Minute)
	setDefault(&t.RetryWait, 500*time.Millisecond)
	setDefault(&t.RetryAfter, 30*time.Second)

	if o.Proxy == nil {
		o.Proxy = environment()
	}
	c := &Client{o: o}
	if o.RootCAs == nil && input.IsStream(os.Getenv("SSL_CERT_FILE")) {
		o.RootCAs, c.broken = MachineRoots()
	}
	dialer := &net.Dialer{Timeout: t.Connect, KeepAlive: 30 * time.Second}
	c.open = &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return c.o.Proxy(r.URL) },
		DialContext:            dialer.DialContext,
		OnProxyConnectResponse: proxyAnswer,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    t.TLS,
		ResponseHeaderTimeout:  t.Header,
		MaxResponseHeaderBytes: 1 << 20,
		// Digests are of the bytes as published.
		DisableCompression:  true,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 8,
		MaxConnsPerHost:     maxConnections,
		IdleConnTimeout:     30 * time.Second,
	}
	c.guarded = c.open.Clone()
	c.guarded.DialContext = c.guardedDial(dialer)
	return c
}

// transport returns the transport for a request: with a client certificate it
// uses connections of its own.
func (c *Client) transport(certificate *tls.Certificate, public bool) *http.Transport {
	if certificate != nil {
		key := string(bytes.Join(certificate.Certificate, nil))
		c, _ = c.certified.Do(key, func() (*Client, error) {
			with := &Client{open: c.open.Clone(), guarded: c.guarded.Clone()}
			for _, t := range []*http.Transport{with.open, with.guarded} {
				t.TLSClientConfig.Certificates = []tls.Certificate{*certificate}
			}
			return with, nil
		})
	}
	if public {
		return c.guarded
	}
	return c.open
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// parse parses a URL from a person, the lock or a registry, and applies the
// rules for a first request.
func (c *Client) parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		// The parser's error may quote part of a password.
		return nil, fault.Errorf(fault.Usage, "use a URL of the form https://HOST/PATH", "%s is not a URL", redact.URL(raw))
	}
	switch u.Scheme {
	case "https", "http":
	default:
		return nil, fault.Errorf(fault.Usage, "use an https:// URL", "%s: the scheme %s is not supported", redact.URL(raw), u.Scheme)
	}
	if strings.Trim(u.Hostname(), ".") == "" {
		return nil, fault.Errorf(fault.Usage, "use a URL of the form https://HOST/PATH", "%s has no host", redact.URL(raw))
	}
	if err := checkClear(u); err != nil {
		return nil, err
	}
	if c.o.Allow != nil {
		if err := c.o.Allow(u); err != nil {
			return nil, err
		}
	}
	if c.o.Offline {
		return nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run once without --offline, or fill the cache from a mirror",
			"%s is needed, but the network is not allowed (offline)", redact.URL(raw)))
	}
	if c.broken != nil {
		return nil, c.broken
	}
	return u, nil
}

// checkClear refuses http, except to this machine.
func checkClear(u *url.URL) error {
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return fault.Errorf(fault.Policy, "use https", "%s: http is only for loopback hosts, everything else must be https", redact.URL(u.String()))
	}
	return nil
}

// isLoopback reports whether a host, as written, is this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// isPrivateName reports whether a host, as written, can only be on this machine
// or its network. Names that resolve to private addresses are checked when
// connecting.
func isPrivateName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && isPrivate(a)
}

var (
	sharedV4 = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598, carrier-grade NAT
	thisV4   = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122, "this host"
	nat64    = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052, an IPv4 address in the last 32 bits
)

// isPrivate reports whether an address is outside the public internet.
func isPrivate(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() ||
		sharedV4.Contains(a) || thisV4.Contains(a)
}

// origin returns what a credential is valid for: scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
