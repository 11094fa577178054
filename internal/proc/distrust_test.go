package proc

import (
	"strings"
	"testing"
)

// TestDistrusts: what programs say of a certificate that they do not believe, word
// for word, and what they say of other things.
func TestDistrusts(t *testing.T) {
	for said, c := range map[string]Command{
		"npm error code SELF_SIGNED_CERT_IN_CHAIN\nnpm error errno SELF_SIGNED_CERT_IN_CHAIN":                                                   {Name: "npm view", Path: "/usr/bin/node"},
		"npm error code DEPTH_ZERO_SELF_SIGNED_CERT":                                                                                            {Name: "npm ci", Path: "/usr/bin/node"},
		"npm ERR! code UNABLE_TO_GET_ISSUER_CERT_LOCALLY":                                                                                       {Name: "npm install", Path: "/usr/bin/node"},
		"SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c)'))": {Name: "pip download", Path: "/usr/bin/python3"},
		"  [60] SSL peer certificate or SSH remote key was not OK (SSL certificate problem: self-signed certificate in certificate chain)":      {Name: "cargo fetch for x", Path: "/usr/bin/cargo"},
		"fatal: unable to access 'https://example.com/': server certificate verification failed. CAfile: none CRLfile: none":                    {Name: "git fetch", Path: "/usr/bin/git"},
		"Get \"https://example.com/@v/list\": tls: failed to verify certificate: x509: certificate signed by unknown authority":                 {Name: "go mod download", Path: `C:\go\bin\go.exe`},
		"invalid peer certificate: UnknownIssuer":                                                                                               {Name: "uv pip install", Path: "/usr/bin/uv"},
	} {
		hint, ok := distrusts(c, said)
		want := map[string]string{"npm": "NODE_EXTRA_CA_CERTS", "pip": "PIP_CERT", "cargo": "CARGO_HTTP_CAINFO", "git": "GIT_SSL_CAINFO", "go": "", "uv": ""}[c.program()]
		if !ok || !strings.Contains(hint, want) || !strings.Contains(hint, "a proxy that intercepts TLS") {
			t.Errorf("%s: %q %t", said, hint, ok)
		}
	}
	for _, said := range []string{"npm error code E404", "error: package `certificate v1.0.0` cannot be built", "connection reset by peer", "x509 is a crate"} {
		if hint, ok := distrusts(Command{Name: "npm view"}, said); ok {
			t.Errorf("%s: %q", said, hint)
		}
	}
}
