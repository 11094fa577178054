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

// A Config is what the user's own pip is configured with, run where the
// manifest lies, of reaching an index: its address, credential, certificates and
// proxy. Nothing else of that configuration counts: no other index, no links, no
// constraint, no folder, no option of installing or building; and trusted-host
// does not, for what comes unproved is not taken.
type Config struct {
	// Index is the URL of the index. It may hold a credential: redact it before
	// it is printed.
	Index string

	o options
}

//go:embed keyring.py
var pipKeyring string

// Config reads the configuration. Ours is the index of the manifest, which
// replaces pip's, "" for none.
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
	// pip asks a keyring by itself only where a person can answer.
	if o.Keyring != "import" && o.Keyring != "subprocess" {
		return c, nil
	}
	u, err := url.Parse(c.Index)
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "give an address of the form https://HOST/PATH", "%s is not a URL", redact.URL(c.Index))
	}
	if _, known := u.User.Password(); known {
		return c, nil
	}
	ask := p.command("asking the keyring of pip", dir, fault.Machine, []string{"-c", pipKeyring})
	ask.Hint = "look what is wrong with it: keyring get " + u.Hostname() + " USER; or take keyring-provider out of pip's configuration"
	if ask.Stdin, err = json.Marshal(map[string]string{"provider": o.Keyring, "url": c.Index, "host": u.Host, "user": u.User.Username()}); err != nil {
		return nil, err
	}
	out, err := ask.Run(ctx)
	if err != nil {
		return nil, err
	}
	var said *struct{ User, Password string }
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, fault.Errorf(fault.Machine, ask.Hint, "the keyring of pip does not say what it has") // which may be a secret
	}
	if said != nil {
		u.User = url.UserPassword(said.User, said.Password)
		c.Index = u.String()
	}
	return c, nil
}

// Client returns a client for the index, with the certificates and the proxy of
// the configuration. A certificate of the client is shown to the origin of the
// index alone.
func (c *Config) Client(o remote.Options) (*remote.Client, error) {
	const hint = "correct client-cert in pip's configuration; this shows where it is: pip config debug"
	if file := c.o.Client; file != "" {
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, fault.Errorf(fault.Machine, hint, "the client's certificate that pip is configured with (client-cert): %s: %w", file, err)
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
	// The two variables are those of the library that pip is made with, which its
	// documentation names too.
	return remote.New(o).By(remote.Way{Client: "pip", Proxy: c.o.Proxy, CAFile: cmp.Or(c.o.Cert, os.Getenv("REQUESTS_CA_BUNDLE"), os.Getenv("CURL_CA_BUNDLE"))})
}
