package pip

import (
	"cmp"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"net/url"
	"os"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// A Config has the settings of the user's own pip for reaching an index, as pip
// uses them where the manifest is: address, credential, certificates and proxy.
// All other settings are ignored: other indexes, links, constraints, folders,
// and options for installing and building. So is trusted-host, because
// certificates are always verified.
type Config struct {
	// Index is the URL of the index. It may contain a credential: redact it
	// before printing it.
	Index string

	o options
}

//go:embed keyring.py
var pipKeyring string

// Config reads the configuration. Ours is the index of the manifest, which
// replaces pip's; "" for none.
func (p *Client) Config(ctx context.Context, dir, ours string) (*Config, error) {
	o, err := p.options(ctx, dir)
	if err != nil {
		return nil, err
	}
	c := &Config{Index: ours, o: o}
	if ours == "" {
		if c.Index, err = p.index(o); err != nil {
			return nil, err
		}
	}
	// By default, pip asks a keyring only if a person can answer.
	if o.Keyring != "import" && o.Keyring != "subprocess" {
		return c, nil
	}
	u, err := url.Parse(c.Index)
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "use a URL of the form https://HOST/PATH", "%s is not a URL", redact.URL(c.Index))
	}
	if _, known := u.User.Password(); known {
		return c, nil
	}
	ask := p.command("asking the keyring of pip", dir, fault.Machine, []string{"-c", pipKeyring})
	ask.Hint = "test the keyring: keyring get " + u.Hostname() + " USER; or remove keyring-provider from pip's configuration"
	if ask.Stdin, err = json.Marshal(map[string]string{"provider": o.Keyring, "url": c.Index, "host": u.Host, "user": u.User.Username()}); err != nil {
		return nil, err
	}
	out, err := ask.Run(ctx)
	if err != nil {
		return nil, err
	}
	var said *struct{ User, Password string }
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, fault.Errorf(fault.Machine, ask.Hint, "the keyring of pip gave no usable answer") // the output may be a secret
	}
	if said != nil {
		u.User = url.UserPassword(said.User, said.Password)
		c.Index = u.String()
	}
	return c, nil
}

// Client returns a client for the index with the configured certificates and
// proxy. The client certificate is only sent to the origin of the index.
func (c *Config) Client(o remote.Options) (*remote.Client, error) {
	const hint = "correct client-cert in pip's configuration; to find it, run: pip config debug"
	if file := c.o.Client; file != "" {
		pair, err := remote.KeyPair(file, file)
		if err != nil {
			return nil, fault.Errorf(fault.Machine, hint, "the client certificate in pip's configuration (client-cert): %s: %w", file, err)
		}
		index, err := url.Parse(c.Index)
		if err != nil {
			return nil, fault.Errorf(fault.Usage, hint, "%s is not a URL", redact.URL(c.Index))
		}
		o.Certificate = func(u *url.URL) *tls.Certificate {
			if u.Scheme == index.Scheme && strings.EqualFold(u.Host, index.Host) {
				return &pair
			}
			return nil
		}
	}
	// pip's HTTP library reads these two variables; pip's documentation
	// mentions them too.
	return remote.New(o).By(remote.Way{Client: "pip", Proxy: c.o.Proxy, CAFile: cmp.Or(c.o.Cert, os.Getenv("REQUESTS_CA_BUNDLE"), os.Getenv("CURL_CA_BUNDLE"))})
}
