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

// A gate is an HTTP proxy on the loopback through which cargo reaches servers. The
// entries of an index may name other indexes, which cargo asks before we can read
// that they do. So the gate learns the servers of the registry while nothing but
// the registry is asked, and after [gate.shut] lets cargo go to no other.
type gate struct {
	server *http.Server
	url    string
	way    *http.Transport

	mu    sync.Mutex
	known map[string]bool // HOST:PORT
	isOff bool            // to others
}

// openGate starts a gate. It is nil where the user has a proxy, of which cargo
// knows more than we do: there the proxy decides.
func openGate(settings map[string]any) (*gate, error) {
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
	g := &gate{
		url:   "http://" + listener.Addr().String(),
		way:   &http.Transport{DisableCompression: true},
		known: map[string]bool{},
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	go g.server.Serve(listener)
	return g, nil
}

// shut lets cargo go to no server more than it went to until now.
func (g *gate) shut() {
	if g != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.isOff = true
	}
}

func (g *gate) close() {
	if g != nil {
		g.server.Close()
		g.way.CloseIdleConnections()
	}
}

// lets reports whether cargo may go to a server.
func (g *gate) lets(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isOff {
		g.known[host] = true
	}
	return g.known[host]
}

// ServeHTTP is a request of cargo: CONNECT to a server of TLS, or any other to one
// without.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Host == "" || r.Method != http.MethodConnect && !r.URL.IsAbs():
		http.Error(w, "this is a proxy", http.StatusBadRequest)
	case !g.lets(r.Host):
		http.Error(w, "no server of the registry", http.StatusForbidden)
	case r.Method == http.MethodConnect:
		g.connect(w, r)
	default:
		g.forward(w, r)
	}
}

func (g *gate) connect(w http.ResponseWriter, r *http.Request) {
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

func (g *gate) forward(w http.ResponseWriter, r *http.Request) {
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
