package fault

import "runtime"

// authorities are the variables that name a file in PEM of certificate authorities
// that a client believes: of node and its package managers
// (https://nodejs.org/api/cli.html), of pip (--cert), of cargo (http.cainfo) and of
// git (http.sslCAInfo). Our own programs, Go and uv read SSL_CERT_FILE.
var authorities = map[string]string{
	"npm": "NODE_EXTRA_CA_CERTS", "node": "NODE_EXTRA_CA_CERTS", "pnpm": "NODE_EXTRA_CA_CERTS", "yarn": "NODE_EXTRA_CA_CERTS", "bun": "NODE_EXTRA_CA_CERTS",
	"pip": "PIP_CERT", "python": "PIP_CERT", "python3": "PIP_CERT", "cargo": "CARGO_HTTP_CAINFO", "git": "GIT_SSL_CAINFO",
}

// Authority is the hint of an error about a certificate that a client does not
// believe, such as that of a proxy that opens TLS: what makes this client believe
// it. For "" and clients that it does not know, it is what our own programs and Go
// read.
func Authority(client string) string {
	const get = "a proxy that opens TLS, or a server of your own, is signed by an authority that is not known here: get that from who runs it, as a file in PEM; then "
	variable, ok := authorities[client]
	if !ok {
		variable = "SSL_CERT_FILE"
		if runtime.GOOS == "darwin" || runtime.GOOS == "windows" { // crypto/x509 asks the system there
			return get + "add it to the certificates that this system trusts"
		}
	}
	return get + "export " + variable + "=FILE"
}
