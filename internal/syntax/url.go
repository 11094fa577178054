package syntax

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"golang.org/x/net/idna"
)

// CheckURL accepts the URL of a server for artifacts: https, or http on a
// loopback host. It refuses credentials and does not repeat them in the error.
func CheckURL(s string) error {
	u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(s))
	if err == nil {
		err = CheckSeen(s)
	}
	if err != nil {
		return fault.Errorf(fault.Usage, "use an https:// URL", "%q is not a URL", redact.URL(s))
	}
	if u.User != nil {
		return fault.Errorf(fault.Usage, "remove USER:PASSWORD@; put credentials into ~/.netrc or the client's own configuration",
			"the URL for host %s has credentials", u.Hostname())
	}
	switch {
	case strings.Trim(u.Hostname(), ".") == "": // a resolver may take a dot, or a port alone, for this machine
		return fault.Errorf(fault.Usage, "use an https:// URL", "%q has no host", s)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return fault.Errorf(fault.Policy, "use https://", "%q is not encrypted: http:// is only allowed for loopback hosts", s)
	}
	return fault.Errorf(fault.Usage, "use an https:// URL", "%q: scheme %q is not allowed", s, u.Scheme)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckFeatures checks arguments for cargo. They become part of a command line,
// so only those that select features are allowed: --features LIST (or -F),
// --all-features and --no-default-features. Errors are of class [fault.Usage].
func CheckFeatures(args []string) error {
	const hint = "use only --features LIST, --all-features and --no-default-features"
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--all-features" || arg == "--no-default-features":
		case (arg == "--features" || arg == "-F") && i+1 < len(args) && Features(args[i+1]):
			i++
		case strings.HasPrefix(arg, "--features=") && Features(strings.TrimPrefix(arg, "--features=")):
		default:
			return fault.Errorf(fault.Usage, hint, "argument %q is not allowed", arg)
		}
	}
	return nil
}

// Features accepts names of features, separated by commas or spaces.
func Features(list string) bool {
	for _, r := range list {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-+./, ", r)) {
			return false
		}
	}
	return list != "" && list[0] != '-'
}

// IsWord reports whether s has only ASCII letters, digits, and ., _ and - behind the
// first of them.
func IsWord(s string) bool {
	for i, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || i > 0 && strings.ContainsRune("._-", r)) {
			return false
		}
	}
	return s != "" && s != ".."
}

// Extras splits NAME[EXTRA,…], the form in which pip (PEP 508) requires
// optional dependencies of a package. Without brackets, there are no extras.
func Extras(name string) (bare string, extras []string) {
	bare, list, ok := strings.Cut(name, "[")
	if list, closed := strings.CutSuffix(list, "]"); ok && closed {
		return bare, strings.Split(list, ",")
	}
	return name, nil
}

// NormalProject returns the name of a Python project as indexes write it (PEP
// 503), without extras.
func NormalProject(name string) string {
	name, _ = Extras(name)
	var b strings.Builder
	for i := range len(name) {
		if !strings.ContainsRune("-_.", rune(name[i])) {
			b.WriteByte(name[i])
		} else if i == 0 || !strings.ContainsRune("-_.", rune(name[i-1])) {
			b.WriteByte('-')
		}
	}
	return strings.ToLower(b.String())
}

// NormalHost returns a host in lower-case ASCII, without a dot at the end; an
// IPv6 address is in brackets.
func NormalHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		return "[" + strings.ToLower(host) + "]", nil
	}
	host = strings.TrimSuffix(host, ".")
	host, err := idna.Lookup.ToASCII(strings.ToLower(host))
	if err != nil {
		return "", err
	}
	if host == "" || strings.Trim(host, ".") != host || strings.Contains(host, "..") {
		return "", fmt.Errorf("%q is not a host", host)
	}
	return host, nil
}
