package remote

import (
	"crypto/x509"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Way is how the user of a package manager has it reach its registries, as far
// as that is not in the environment.
type Way struct {
	// Proxy for all servers but those of NO_PROXY, as curl writes it:
	// [SCHEME://][USER:PASSWORD@]HOST[:PORT]; "" for those of the environment.
	Proxy string
	// CAFile is a file in PEM with authorities that are believed besides those
	// of the machine; "" for none.
	CAFile string
}

// By returns a client that is like c and reaches servers by w, which goes before
// [Options.Proxy]. A file that holds
// no certificate and a proxy that is none are of class Machine.
func (c *Client) By(w Way) (*Client, error) {
	if w == (Way{}) {
		return c, nil
	}
	o := c.o
	if w.CAFile != "" {
		pem, err := os.ReadFile(w.CAFile)
		if err != nil {
			return nil, fault.Errorf(fault.Machine, "correct the setting of the package manager that names it", "the file of certificate authorities: %w", err)
		}
		if o.RootCAs != nil {
			o.RootCAs = o.RootCAs.Clone()
		} else if o.RootCAs, err = x509.SystemCertPool(); err != nil {
			o.RootCAs = x509.NewCertPool()
		}
		if !o.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.Errorf(fault.Machine, "give a file in PEM", "the file of certificate authorities %s holds no certificate", w.CAFile)
		}
	}
	if w.Proxy == "" {
		return New(o), nil
	}
	address := w.Proxy
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	if u, err := url.Parse(address); err != nil || u.Hostname() == "" {
		return nil, fault.Errorf(fault.Machine, "correct the setting of the package manager that names it", "%s is no address of a proxy", redact.URL(w.Proxy))
	}
	env := httpproxy.FromEnvironment()
	env.HTTPProxy, env.HTTPSProxy = address, address
	o.Proxy = env.ProxyFunc()
	return New(o), nil
}
