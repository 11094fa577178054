package gotool

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestExplain: what Go says of a zip that is damaged is told as wrong bytes, and what
// may only have been cut as a fault of the server.
func TestExplain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fault.Class{
		"zip: not a valid zip file":                        fault.Integrity,
		"zip: checksum error":                              fault.Integrity,
		"zip: unsupported compression algorithm":           fault.Integrity,
		"flate: corrupt input before offset 5":             fault.Integrity,
		"readat mod/v1.2.0.zip1.tmp: negative offset":      fault.Integrity, // in its directory
		"verifying module: checksum mismatch":              fault.Integrity,
		"unexpected EOF":                                   fault.Upstream,
		"reading proxy/x.zip: 500 Internal Server Error":   fault.Upstream,
		"module m: invalid version: should be v0 or v1":    fault.Usage,
		"checksum database disabled by GOSUMDB=off":        fault.Policy,
		"GOVCS disallows using git for public m":           fault.Policy,
		"tls: failed to verify certificate: x509: expired": fault.Upstream,
	} {
		if err := (Config{}).explain(nil, "m@v1.0.0", text, ""); fault.Of(err) != want {
			t.Errorf("%q is of class %v, want %v: %v", text, fault.Of(err), want, err)
		}
	}
	// Where a proxy leads is not the proxy.
	const place = "https://proxy.example.com/go/m/@v/v1.0.0.zip"
	err := Config{Proxy: "https://proxy.example.com/go"}.explain(nil, "m@v1.0.0", `Get "http://elsewhere.invalid/x": no such host`, place)
	if !strings.Contains(err.Error(), place) {
		t.Errorf("the proxy is not named: %v", err)
	}
}
