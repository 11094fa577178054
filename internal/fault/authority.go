package fault

import "runtime"

// authorities has the environment variable that names a PEM file of trusted
// certificate authorities, for each client: node and its package managers
// (https://nodejs.org/api/cli.html), pip (--cert), cargo (http.cainfo) and git
// (http.sslCAInfo). Our own programs, Go and uv read SSL_CERT_FILE.
var authorities = map[string]string{
	"npm": "NODE_EXTRA_CA_CERTS", "node": "NODE_EXTRA_CA_CERTS", "pnpm": "NODE_EXTRA_CA_CERTS", "yarn": "NODE_EXTRA_CA_CERTS", "bun": "NODE_EXTRA_CA_CERTS",
	"pip": "PIP_CERT", "python": "PIP_CERT", "python3": "PIP_CERT", "cargo": "CARGO_HTTP_CAINFO", "git": "GIT_SSL_CAINFO",
}

// Authority returns the hint for a certificate that a client does not trust, such
// as that of a proxy that intercepts TLS: how to make the client trust it. For ""
// and unknown clients, the hint is the one for our own programs and Go.
func Authority(client string) string {
	const get = "a proxy that intercepts TLS, or a private server, uses a certificate authority that this machine does not trust: get it from whoever runs the server, as a PEM file; then "
	variable, ok := authorities[client]
	if !ok {
		variable = "SSL_CERT_FILE"
		if runtime.GOOS == "darwin" || runtime.GOOS == "windows" { // crypto/x509 asks the system there
			return get + "add it to the certificates that this system trusts"
		}
	}
	return get + "export " + variable + "=FILE"
}
