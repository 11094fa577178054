package remote

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestRoundTrip(t *testing.T) {
	other := fake.New(t)
	other.File("/there", []byte("from another origin"))
	for _, tt := range []struct {
		what, method string
		faults       []fake.Fault
		class        fault.Class
		want         string // in the body or in the error
		requests     int
	}{
		{"answer", "GET", nil, 0, "content", 1},
		{"tried again", "GET", []fake.Fault{fake.Status(503).Once(), fake.Truncate(3).Once(), fake.Reset(-1).Once()}, 0, "content", 4},
		{"always 503", "GET", []fake.Fault{fake.Status(503)}, fault.Upstream, "503", 4},
		{"401 is an answer", "GET", []fake.Fault{fake.Status(401, "Www-Authenticate", "Bearer")}, 0, "fake says 401", 1},
		{"redirect", "GET", []fake.Fault{fake.Redirect(307, other.URL+"/there")}, 0, "from another origin", 1},
		{"POST", "POST", []fake.Fault{fake.Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { _, _ = io.Copy(w, r.Body) })}, 0, "secret", 1},
		{"POST elsewhere", "POST", []fake.Fault{fake.Redirect(307, other.URL+"/there")}, fault.Policy, "redirects a POST", 1},
		{"endless", "GET", []fake.Fault{fake.Endless()}, fault.Upstream, "exceeds the limit", 1},
		{"login page", "GET", []fake.Fault{fake.HTML()}, fault.Upstream, "looks like HTML", 1},
		{"to http", "GET", []fake.Fault{fake.Redirect(302, "http://example.com/")}, fault.Policy, "http is only for loopback hosts", 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := fake.New(t)
			s.File("/x", []byte("content"))
			s.Fault("/x", tt.faults...)
			other.Forget()
			var body io.Reader
			if tt.method == "POST" {
				body = strings.NewReader("secret")
			}
			req, err := http.NewRequestWithContext(context.Background(), tt.method, s.URL+"/x", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer canary")
			resp, err := New(Options{Timeouts: Timeouts{RetryWait: 1}}).RoundTrip(req)
			text := ""
			if err != nil {
				text = err.Error()
			} else {
				got, _ := io.ReadAll(resp.Body)
				text = string(got)
				if resp.Request == nil || resp.Request.URL.Host == "" || tt.what == "redirect" && resp.Request.URL.String() != other.URL+"/there" {
					t.Errorf("request %+v", resp.Request)
				}
			}
			if fault.Of(err) != tt.class || !strings.Contains(text, tt.want) || strings.Contains(text, "canary") {
				t.Errorf("class %v, %q, expected %v and %q", fault.Of(err), text, tt.class, tt.want)
			}
			if n := s.Count("/x"); n != tt.requests {
				t.Errorf("%d requests, expected %d", n, tt.requests)
			}
			for _, r := range s.Requests("") {
				if r.Header.Get("Authorization") != "Bearer canary" || r.Header.Get("Accept-Encoding") != "identity" {
					t.Errorf("header %v", r.Header)
				}
			}
			for _, r := range other.Requests("") {
				if r.Header.Get("Authorization") != "" {
					t.Errorf("another origin got %v", r.Header)
				}
			}
		})
	}
}
