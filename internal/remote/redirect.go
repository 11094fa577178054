package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"unicode"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

const maxRedirects = 10

// A request is the same for all attempts of one transfer.
type request struct {
	method     string    // "" is GET
	body       []byte    // nil for none
	stream     io.Reader // instead of body, with length bytes; can be sent only once
	length     int64
	url        *url.URL // with its userinfo
	header     http.Header
	credential Credential

	certificate *tls.Certificate // for the origin of url; nil for none
}

// request prepares the transfer of a URL.
func (c *Client) request(raw string) (*request, error) {
	u, err := c.parse(raw)
	if err != nil {
		return nil, err
	}
	r := &request{url: u, header: http.Header{
		"User-Agent":      {c.o.UserAgent},
		"Accept-Encoding": {"identity"},
	}}
	if u.User != nil {
		password, _ := u.User.Password()
		r.credential = Credential{
			Name:          "the user name in the URL",
			Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)),
		}
	} else if c.o.Credential != nil {
		r.credential = c.o.Credential(u)
	}
	if c.o.Certificate != nil && u.Scheme == "https" {
		r.certificate = c.o.Certificate(u)
	}
	return r, nil
}

// scrub removes the credential from text that a server may have echoed.
func (r *request) scrub(s string) string {
	secrets := []string{r.credential.Authorization}
	if _, secret, ok := strings.Cut(r.credential.Authorization, " "); ok {
		secrets = append(secrets, secret)
	}
	if r.url.User != nil {
		password, _ := r.url.User.Password()
		secrets = append(secrets, password, url.QueryEscape(password), url.PathEscape(password))
	}
	return redact.Values(s, secrets...)
}

// An answer is a response that is not a redirect.
type answer struct {
	*http.Response
	req    *request
	url    *url.URL // the URL that answered, without userinfo
	public bool     // a public host was involved
	chain  []string // redacted URLs; nil without redirects
	sent   string   // name of the credential sent to url; "" for none
}

// via describes the redirects of an answer for messages.
func via(chain []string) string {
	if len(chain) < 2 {
		return ""
	}
	return " (redirected: " + strings.Join(chain, " -> ") + ")"
}

// get sends one request and follows redirects. The caller closes the body.
func (c *Client) get(ctx context.Context, r *request) (*answer, *failure) {
	u := bare(r.url)
	auth, sent, certificate := r.credential.Authorization, r.credential.Name, r.certificate
	public := false
	var chain []string
	if strings.ContainsFunc(auth, unicode.IsControl) {
		return nil, &failure{class: fault.Machine, hint: "write it anew, on one line: what is read from a file often ends with a line break",
			err: fmt.Errorf("%s has a line break or another control character, so no server can be sent it", sent)}
	}
	for redirects := 0; ; redirects++ {
		chain = append(chain, r.scrub(redact.URL(u.String())))
		header := r.header.Clone()
		if auth != "" {
			header.Set("Authorization", auth)
		} else {
			sent = ""
		}
		proxy, err := c.o.Proxy(u)
		if err != nil { // a setting, which stays as it is
			return nil, &failure{class: fault.Of(err), hint: fault.Hint(err), err: err}
		}
		var privatePeer atomic.Bool
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if a, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
				privatePeer.Store(isPrivate(a.Addr()))
			}
		}})
		req := (&http.Request{Method: r.method, URL: u, Header: header, Host: u.Host}).WithContext(traced)
		if r.body != nil {
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.body)), int64(len(r.body))
		}
		if r.stream != nil {
			req.Body, req.ContentLength = io.NopCloser(r.stream), r.length
		}
		// http.Client would follow redirects by its own rules, send a Referer,
		// and put whole URLs into its errors.
		resp, err := c.transport(certificate, public).RoundTrip(req)
		if err != nil {
			return nil, c.connectFailure(r, err, chain)
		}
		// Behind a proxy, we do not see the server's address.
		public = public || !isPrivateName(u.Hostname()) && (proxy != nil || !privatePeer.Load())
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return &answer{Response: resp, req: r, url: u, public: public, chain: chain, sent: sent}, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection is reused
		resp.Body.Close()
		location := resp.Header.Get("Location")
		next, err := u.Parse(location)
		if location == "" || err != nil {
			return nil, &failure{class: fault.Upstream, hint: "try again later, or use a mirror: the server is misconfigured", err: fmt.Errorf("server answered %s without a usable Location%s", status(resp), via(chain))}
		}
		if r.method != "" && r.method != http.MethodGet && r.method != http.MethodHead {
			return nil, &failure{class: fault.Policy, hint: "ask its operator", err: fmt.Errorf("the server redirects a %s, which may contain a secret, to %s%s", r.method, redact.URL(next.String()), via(chain))}
		}
		if redirects == maxRedirects {
			return nil, &failure{class: fault.Upstream, hint: "ask its operator, or use another mirror",
				err: fmt.Errorf("more than %d redirects%s", maxRedirects, via(chain))}
		}
		err = checkRedirect(u, next, public)
		if err == nil && c.o.Allow != nil {
			err = c.o.Allow(next)
		}
		if err != nil {
			return nil, &failure{class: fault.Policy, hint: fault.Hint(err), err: fmt.Errorf("%s%s", r.scrub(err.Error()), via(chain))}
		}
		if origin(next) != origin(u) {
			auth, certificate = "", nil // not restored after a redirect back, since another host chose the URL
		}
		u = bare(next)
	}
}

// bare returns a URL without userinfo, as it is sent. Userinfo from a redirect
// is dropped too: the server must not choose the user.
func bare(u *url.URL) *url.URL {
	b := *u
	b.User, b.Fragment, b.RawFragment = nil, "", ""
	return &b
}

// checkRedirect checks a redirect from one URL to another. Public says that a
// public host is involved.
func checkRedirect(from, to *url.URL, public bool) error {
	const hint = "use another mirror, or the target URL itself if you trust it"
	switch {
	case to.Scheme != "https" && to.Scheme != "http":
		return fault.Errorf(fault.Policy, hint, "%s redirects to the scheme %s, which is not supported", redact.URL(from.String()), plain.Line(to.Scheme, 20))
	case strings.Trim(to.Hostname(), ".") == "":
		return fault.Errorf(fault.Policy, hint, "%s redirects to %s, which has no host", redact.URL(from.String()), redact.URL(to.String()))
	case from.Scheme == "https" && to.Scheme == "http":
		return fault.Errorf(fault.Policy, hint, "%s redirects from https to http: %s", redact.URL(from.String()), redact.URL(to.String()))
	case public && isPrivateName(to.Hostname()):
		return fault.Errorf(fault.Policy, hint, "%s is public but redirects into this machine or its network: %s", redact.URL(from.String()), redact.URL(to.String()))
	}
	if checkClear(to) != nil {
		return fault.Errorf(fault.Policy, hint, "%s redirects to %s: http is only for loopback hosts, everything else must be https", redact.URL(from.String()), redact.URL(to.String()))
	}
	return nil
}

// guardedDial connects only to public addresses, and to the proxies of the
// environment, which may be private.
func (c *Client) guardedDial(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	proxies := map[string]bool{}
	for _, scheme := range []string{"https", "http"} {
		// Is there a proxy for the internet? example.com is reserved (RFC
		// 2606).
		if p, _ := c.o.Proxy(&url.URL{Scheme: scheme, Host: "example.com"}); p != nil {
			port := p.Port()
			if port == "" {
				port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[p.Scheme]
			}
			proxies[net.JoinHostPort(p.Hostname(), port)] = true
		}
	}
	guarded := *d
	guarded.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil || isPrivate(a.Addr()) {
			return fault.Errorf(fault.Policy, "use another mirror, or the target URL itself if you trust it",
				"a public host redirected to a name with the private address %s", address)
		}
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if proxies[addr] {
			return d.DialContext(ctx, network, addr)
		}
		return guarded.DialContext(ctx, network, addr)
	}
}

// proxyAnswer returns an error for a proxy that refuses to connect.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{resp.StatusCode, fmt.Errorf("the proxy %s answered %s", redact.URL(proxy.String()), status(resp))}
}

type proxyError struct {
	code int
	error
}

// A failure is the error of one attempt.
type failure struct {
	class fault.Class
	hint  string
	err   error
	retry bool  // another attempt may succeed
	after int64 // seconds that the server asked us to wait, 0 for none

	distrust bool // the certificate is not trusted
}

var (
	errStalled = errors.New("the server sends data too slowly")
	errShort   = errors.New("the response ended early")
)

// connectFailure classifies an error of the transport.
func (c *Client) connectFailure(r *request, err error, chain []string) *failure {
	text := &shown{r.scrub(plain.Line(err.Error(), 300)) + via(chain), err}
	f := &failure{class: fault.Upstream, err: text, retry: true,
		hint: "check the network and the proxy (HTTPS_PROXY, NO_PROXY), then try again"}
	var unverified *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var dns *net.DNSError
	var proxy *proxyError
	switch {
	case fault.IsMachine(err):
		// Files or memory may be available again for a later attempt.
		f.class, f.hint = fault.Machine, fault.MachineHint(err)
	case fault.Of(err) == fault.Policy:
		f.class, f.hint, f.retry = fault.Policy, fault.Hint(err), false
	case errors.As(err, &unverified), errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		f.retry, f.distrust = false, true
		f.err = fault.About(fault.AboutProxy, text)
		f.hint = cmp.Or(c.o.Authority, fault.Authority(""))
	case errors.As(err, &record), errors.As(err, &alert):
		f.retry = false
		if string(record.RecordHeader[:]) == "HTTP/" {
			text.text = "the server speaks plain HTTP instead of TLS" + via(chain)
		}
		f.hint = "check the address: the server does not speak TLS, or no version that we support"
	case errors.As(err, &dns) && dns.IsNotFound:
		f.retry = false
		f.hint = "check the host name, the network and the proxy (HTTPS_PROXY)"
	case errors.As(err, &proxy):
		f.err = fault.About(fault.AboutProxy, text)
		f.retry = proxy.code >= 500 || proxy.code == http.StatusTooManyRequests
		f.hint = "check the user name and the password in HTTPS_PROXY, and what the proxy allows"
	}
	return f
}

// shown is an error with another text that is safe to print.
type shown struct {
	text string
	err  error
}

func (e *shown) Error() string { return e.text }
func (e *shown) Unwrap() error { return e.err }
