package cargo

import (
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A guard is an HTTP proxy on the loopback interface through which cargo
// reaches servers. The index entry of a crate may name another index, which
// cargo would ask before we can read the entry. So the guard records the
// servers that cargo contacts while it only asks for the registry, and
// [guard.restrict] then limits cargo to them.
type guard struct {
	server *http.Server
	url    string
	way    *http.Transport

	mu    sync.Mutex
	known map[string]bool // HOST:PORT
	isOff bool            // no other servers are allowed
}

// startGuard starts a guard. It returns nil if the user has a proxy: cargo
// understands more of that configuration than we do, and the proxy decides.
func startGuard(settings map[string]any) (*guard, error) {
	if settings["proxy"] != nil || slices.ContainsFunc(os.Environ(), func(kv string) bool {
		key, value, _ := strings.Cut(strings.ToLower(kv), "=")
		return value != "" && slices.Contains([]string{"http_proxy", "https_proxy", "all_proxy"}, key)
	}) {
		return nil, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &guard{
		url:   "http://" + listener.Addr().String(),
		way:   &http.Transport{DisableCompression: true},
		known: map[string]bool{},
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	go g.server.Serve(listener)
	return g, nil
}

// restrict limits cargo to the servers that it has contacted so far.
func (g *guard) restrict() {
	if g != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.isOff = true
	}
}

func (g *guard) close() {
	if g != nil {
		g.server.Close()
		g.way.CloseIdleConnections()
	}
}

// allows reports whether cargo may contact a server.
func (g *guard) allows(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isOff {
		g.known[host] = true
	}
	return g.known[host]
}

// ServeHTTP answers cargo: CONNECT for https, other methods for http.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Host == "" || r.Method != http.MethodConnect && !r.URL.IsAbs():
		http.Error(w, "this is a proxy", http.StatusBadRequest)
	case !g.allows(r.Host):
		http.Error(w, "not a server of the registry", http.StatusForbidden)
	case r.Method == http.MethodConnect:
		g.connect(w, r)
	default:
		g.forward(w, r)
	}
}

func (g *guard) connect(w http.ResponseWriter, r *http.Request) {
	var d net.Dialer
	up, err := d.DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(up, buffered)
		_ = up.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, up)
}

func (g *guard) forward(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	for _, name := range []string{"Proxy-Connection", "Proxy-Authorization", "Connection"} {
		out.Header.Del(name)
	}
	resp, err := g.way.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // as the server did, or would have
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
