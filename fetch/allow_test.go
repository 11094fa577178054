package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
)

// TestAllow: where a manifest is beside the lock, nothing is asked of a host,
// and nothing downloaded of a package, that its allow does not name.
func TestAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evil := fake.New(t)
	host := strings.TrimPrefix(w.registry.URL, "http://")
	allow := func(entries ...string) {
		w.registries = "\n[policy]\nallow = [\"" + strings.Join(entries, `", "`) + "\"]\n"
		w.write()
	}
	allow("npm:script", "pip:shell-wheel", "host:other.invalid")
	for _, tt := range []struct{ plugin, path, says string }{
		{"bare", "/files/bare-linux", "the host " + host + " is not in allow"},
		{"tool", w.wheel.Path, "the pip package tool-wheel is not in allow"},
		{"script", w.tarballs["node_modules/@acme/lib"].Path, "the npm package @acme/lib is not in allow"},
	} {
		w.fails(6, []string{tt.plugin, tt.says, "add to allow"}, "get", tt.plugin)
		if n := w.registry.Count(tt.path); n != 0 {
			t.Errorf("%d requests for %s", n, tt.path)
		}
	}
	allow("npm:script", "npm:@acme/*", "pip:shell-wheel", "pip:tool-wheel", "host:"+host)
	w.registry.Fault("/files/bare-linux", fake.Redirect(http.StatusFound, evil.File("/x", []byte("#!/bin/sh\necho bare\n"))))
	w.fails(6, []string{"bare", strings.TrimPrefix(evil.URL, "http://") + " is not in allow"}, "get", "bare")
	if n := evil.Count(""); n != 0 {
		t.Errorf("%d requests to a host that is not allowed", n)
	}
	w.registry.Fault("/files/bare-linux")
	for _, plugin := range []string{"bare", "tool", "script"} {
		w.must("get", plugin)
	}
}
