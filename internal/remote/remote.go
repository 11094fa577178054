// Package remote brings bytes over HTTP: artifacts into a [Sink], documents of
// registries into memory. It is the only package that talks to the network.
//
// What it promises of every request, however bad the server is:
//   - Bounded time. Each phase has a timeout (see [Timeouts]), a body that
//     comes slower than a floor is given up, redirects and attempts are counted.
//   - Bounded space. A document has a limit; a download stops at the first byte
//     beyond its size.
//   - Nothing in clear: http only to loopback hosts, never from https to http.
//   - A credential goes to the origin of the URL it belongs to and nowhere else;
//     no message shows one, nor the query of a URL.
//   - A server of the internet cannot direct us into the private network.
//
// Failures are of class [fault.Upstream] (network, server), [fault.Integrity]
// (other bytes than locked), [fault.Policy] (refused by a rule above) or
// [fault.Usage] (not a URL that this program fetches). One that means "there is
// no such file", a 404 or 410, matches fs.ErrNotExist.
//
// Credentials come from the userinfo of a URL or from [Options.Credential],
// such as [Netrc].
//
// Retries are timed by github.com/cenkalti/backoff/v5 and not by
// hashicorp/go-retryablehttp: what must be tried again here is a whole transfer
// with its state (bytes so far, validator), which is the former's unit, while
// the latter repeats a request and hands over its body unguarded. It also has
// no dependencies and nothing to do at program start.
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
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// maxConnections bounds the connections to one host at a time; what is more
// waits for its turn.
const maxConnections = 16

// A Sink takes the bytes of a download. *store.Ingest is one.
type Sink interface {
	io.Writer
	// Offset is the number of bytes written since the start or the last Reset.
	Offset() int64
	// Reset drops everything written, for a transfer that starts afresh.
	Reset() error
	// From says where the bytes that follow come from: a redacted URL, and how a
	// redirect led there. It is for messages about other bytes than expected.
	From(place string)
}

// Timeouts bound the phases of a request. A zero field means its default.
type Timeouts struct {
	Connect time.Duration // name lookup and TCP, per connection; default 15 s
	TLS     time.Duration // handshake; default 15 s
	Header  time.Duration // from the request sent to the whole answer header; default 30 s
	// Stall is how long the body of an answer may stay below MinRate, measured
	// in windows of this length while we wait for the server; default 30 s.
	Stall   time.Duration
	MinRate int64 // bytes per second; default 1024
	// Document is how long a document or a message of a protocol may take, with
	// all attempts: what keeps above MinRate would else never end; default 2 min.
	Document time.Duration
	// RetryWait is the wait before the second attempt; it doubles each time up
	// to 10 s, and is randomised by half; default 500 ms.
	RetryWait time.Duration
	// RetryAfter caps the wait that a server may ask for; default 30 s.
	RetryAfter time.Duration
}

// A Credential is what a server asks of its clients.
type Credential struct {
	Name          string // where it comes from, for messages: "NPM_TOKEN"; never the secret
	Authorization string // value of the header of that name; "" for no credential
}

// Options of a [Client]. The zero value is good.
type Options struct {
	Offline   bool   // refuse every request, class Upstream
	UserAgent string // default "buck2-protobuf"
	// Progress is told of every number of bytes that came for a sink, with the
	// redacted URL; negative when a transfer starts afresh. It is called from
	// the goroutine of the download, so it must allow concurrent calls when
	// there are concurrent downloads.
	Progress func(url string, delta int64)
	// Credential gives the credential for a URL that has no userinfo. It is
	// asked once per transfer, never for the target of a redirect.
	Credential func(u *url.URL) Credential
	// Allow refuses servers by an error, which is returned as it is, of class
	// [fault.Policy]. It is asked of the URL of every request and of every
	// redirect before anything is sent there; nil allows all.
	Allow func(u *url.URL) error
	// Store keeps documents, so that they are asked for on condition the next
	// time; nil for none.
	Store *store.Store
	// Certificate gives the client's certificate for a URL, nil for none. It is
	// asked once per transfer; the target of a redirect to another origin sees none.
	Certificate func(u *url.URL) *tls.Certificate
	// Proxy gives the proxy for a URL, nil for none; by default it is
	// [EnvironmentProxy].
	Proxy   func(u *url.URL) (*url.URL, error)
	RootCAs *x509.CertPool // nil for those of the machine (and SSL_CERT_FILE)
	// Authority is the hint where a certificate is not believed; "" for what is
	// true of RootCAs nil, see [fault.Authority].
	Authority string
	Attempts  int // of one transfer; default 4
	Timeouts  Timeouts
}

// A Client fetches. It is safe for concurrent use and keeps connections, so
// make one and share it.
type Client struct {
	o Options
	// open connects to whatever it is told; guarded refuses addresses that are
	// not public, and serves redirects that a public host sent. They share no
	// connections, or one could lend the other what it may not have.
	open, guarded *http.Transport
	// certified are transports with a client's certificate, by its bytes.
	certified once.Map[string, *Client]
}

// EnvironmentProxy is the proxy for a URL that the environment names
// (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), nil for none.
func EnvironmentProxy(u *url.URL) (*url.URL, error) {
	return httpproxy.FromEnvironment().ProxyFunc()(u)
}

// New makes a client. The proxies of the environment (HTTPS_PROXY, NO_PROXY, …)
// are read here, once.
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
		o.Proxy = httpproxy.FromEnvironment().ProxyFunc()
	}
	c := &Client{o: o}
	dialer := &net.Dialer{Timeout: t.Connect, KeepAlive: 30 * time.Second}
	c.open = &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return c.o.Proxy(r.URL) },
		DialContext:            dialer.DialContext,
		OnProxyConnectResponse: proxyAnswer,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    t.TLS,
		ResponseHeaderTimeout:  t.Header,
		MaxResponseHeaderBytes: 1 << 20,
		// The digest is that of the bytes as they are published.
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

// transport returns what sends a request: with the client's certificate, if
// there is one, over connections of its own.
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

// parse reads a URL that a person, the lock or a registry gave, and applies the
// rules for a first request.
func (c *Client) parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		// The parser's own words may quote a piece of a password.
		return nil, fault.Errorf(fault.Usage, "give an address of the form https://HOST/PATH", "%s is not a URL", redact.URL(raw))
	}
	switch u.Scheme {
	case "https", "http":
	default:
		return nil, fault.Errorf(fault.Usage, "give an https:// address", "%s: the scheme %s is not fetched", redact.URL(raw), u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fault.Errorf(fault.Usage, "give an address of the form https://HOST/PATH", "%s has no host", redact.URL(raw))
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
			"%s is needed and the network is not allowed (offline)", redact.URL(raw)))
	}
	return u, nil
}

// checkClear refuses http to any host but this machine.
func checkClear(u *url.URL) error {
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return fault.Errorf(fault.Policy, "use https", "%s: http is only for loopback hosts, everything else must be https", redact.URL(u.String()))
	}
	return nil
}

// isLoopback reports whether a host, as it is written, is this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// isPrivateName reports whether a host, as it is written, is one that only this
// machine or its network can mean. A name that resolves to such an address is
// found when it is dialled.
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

// isPrivate reports whether an address is not one of the public internet.
func isPrivate(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() ||
		sharedV4.Contains(a) || thisV4.Contains(a)
}

// origin is what a credential belongs to: scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
