package proc

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// distrust matches what programs print about a certificate that they do not trust:
// node (its codes are those of X509_verify_cert_error_string(3)), Python, curl and
// its users (cargo, git), rustls, and Go.
var distrust = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(?:SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_UNTRUSTED|CERT_HAS_EXPIRED|ERR_TLS_CERT_ALTNAME_INVALID)\b|` +
		`\bCERTIFICATE_VERIFY_FAILED\b|\bSSL certificate problem\b|\bSSL peer certificate\b|\bcertificate verif(?:y|ication) failed\b|\binvalid peer certificate\b|` +
		`\btls: failed to verify certificate\b|\bx509: certificate\b`)
})

// distrusts reports whether a program failed because of a certificate, by its
// output, and returns the hint that makes the program trust it.
func distrusts(c Command, said string) (hint string, ok bool) {
	if !distrust().MatchString(said) {
		return "", false
	}
	client := strings.TrimSuffix(strings.ToLower(filepath.Base(c.Path)), ".exe")
	for _, word := range strings.Fields(c.Name) { // node runs npm, python runs pip
		if slices.Contains([]string{"npm", "pnpm", "yarn", "bun", "pip", "uv", "cargo", "go", "git"}, word) {
			client = word
			break
		}
	}
	return fault.Authority(client), true
}
