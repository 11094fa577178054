package manifest

import (
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Mirror is a place where bytes may be had before their origin is asked. It
// never changes which bytes, so it is in no lock.
//
// From says of what: the beginning of a coordinate (see [Coordinate]), or "*"
// for everything. To is one of
//   - oci://HOST/REPO or oci-layout:DIR: what `lockgen mirror` filled, which has
//     files by their digest, whatever they are called;
//   - where From is the beginning of a URL, that of another URL, which takes its
//     place; likewise oci://HOST/… by oci://HOST/…, both with a slash at the end;
//   - where From begins with npm:, pip:, cargo:, go: or maven:, the URL of a registry
//     that speaks the protocol of that kind (cargo: of a sparse index).
type Mirror struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Everything is the From of a mirror that has all there is.
const Everything = "*"

// layoutPrefix begins the To of a folder in the OCI image layout.
const layoutPrefix = "oci-layout:"

// Fits reports whether the mirror may have what a coordinate names.
func (m Mirror) Fits(coordinate string) bool {
	from := m.From
	if kind := m.kind(); kind != "" {
		from = kind + ":" + lock.KindOf(kind).Spelled(from[len(kind)+1:])
	}
	return from == Everything || strings.HasPrefix(coordinate, from)
}

// Holds reports whether the mirror has files by their digest: To is a
// repository of OCI, or a folder.
func (m Mirror) Holds() bool {
	return strings.HasPrefix(m.To, layoutPrefix) || strings.HasPrefix(m.To, "oci://") && !strings.HasSuffix(m.To, "/")
}

// Registry reports whether the mirror is a registry of an ecosystem.
func (m Mirror) Registry() bool { return !m.Holds() && m.kind() != "" }

// kind is the ecosystem that From begins with, "" for none.
func (m Mirror) kind() string {
	if kind, _, ok := strings.Cut(m.From, ":"); ok && lock.KindOf(kind).Ecosystem {
		return kind
	}
	return ""
}

// Rewrite returns the address at which a mirror has what is at an address, if
// it is one that rewrites addresses and this one fits.
func (m Mirror) Rewrite(address string) (string, bool) {
	rest, ok := strings.CutPrefix(address, m.From)
	if !ok || m.Holds() || m.Registry() {
		return "", false
	}
	return m.To + rest, true
}

// addressesOf returns where to ask for what is at an address, in order: at the
// mirrors that rewrite it, then at the address itself.
func addressesOf(mirrors []Mirror, address string) []string {
	var all []string
	for _, m := range mirrors {
		if a, ok := m.Rewrite(address); ok {
			all = append(all, a)
		}
	}
	return append(all, address)
}

// Rewrite is the first of addressesOf.
func Rewrite(mirrors []Mirror, address string) string { return addressesOf(mirrors, address)[0] }

// A Place is the To of a mirror that holds files by their digest.
type Place struct {
	Host, Repo string // of a repository of OCI
	Dir        string // of a folder; exclusive with those
}

// String is the form that [ParsePlace] reads.
func (p Place) String() string {
	if p.Dir != "" {
		return layoutPrefix + p.Dir
	}
	return "oci://" + p.Host + "/" + p.Repo
}

// ParsePlace reads "oci://HOST/REPO" or "oci-layout:DIR". Its errors are of
// class [fault.Usage]; they never repeat credentials.
func ParsePlace(s string) (Place, error) {
	const form = "write oci://HOST/REPO, or oci-layout:DIR for a folder"
	if dir, ok := strings.CutPrefix(s, layoutPrefix); ok {
		if dir == "" || strings.ContainsRune(dir, 0) {
			return Place{}, fault.Errorf(fault.Usage, form, "%q names no folder", s)
		}
		return Place{Dir: dir}, nil
	}
	if !strings.HasPrefix(s, "oci://") {
		return Place{}, fault.Errorf(fault.Usage, form, "%q is neither a repository nor a folder", redact.URL(s))
	}
	r, err := ParseOCI(s + ":x") // with a tag it is a whole reference
	if err != nil || r.Tag != "x" || r.File != "" {
		return Place{}, fault.Errorf(fault.Usage, form, "%q is not of the form oci://HOST/REPO", redact.URL(s))
	}
	return Place{Host: r.Host, Repo: r.Repo}, nil
}

// Check refuses a mirror that is none, or that could match more than it says.
// Its errors are of class [fault.Usage], or [fault.Policy] for a URL in clear
// text.
func (m Mirror) Check() error {
	const hint = `write from = "*" or the beginning of https://…, oci://…, npm:…, pip:…, cargo:… or go:…`
	kind := m.kind()
	fromOCI, isURL := strings.HasPrefix(m.From, "oci://"), strings.Contains(m.From, "://")
	switch {
	case m.From == "":
		return fault.Errorf(fault.Usage, hint, "mirror from is empty")
	case m.From == Everything:
		if !m.Holds() {
			return fault.Errorf(fault.Usage, "write to = \"oci://HOST/REPO\" or \"oci-layout:DIR\", or name what the mirror has in from",
				"mirror from %q to %q: a server that is no registry of OCI has no files by their digest", m.From, redact.URL(m.To))
		}
	case kind != "":
		for _, r := range m.From {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(":@/._~+-", r)) {
				return fault.Errorf(fault.Usage, hint, "mirror from %q: %q is in no coordinate", m.From, r)
			}
		}
	case isURL:
		if err := checkPrefix("from", m.From); err != nil {
			return err
		}
	default:
		return fault.Errorf(fault.Usage, hint, "mirror from %q is the beginning of no coordinate", redact.URL(m.From))
	}
	if m.Holds() {
		_, err := ParsePlace(m.To)
		return err
	}
	if err := checkPrefix("to", m.To); err != nil {
		return err
	}
	toOCI := strings.HasPrefix(m.To, "oci://")
	switch {
	case toOCI != fromOCI:
		return fault.Errorf(fault.Usage, "mirror URLs by URLs, oci:// by oci://, and anything by a repository, without a slash at its end",
			"mirror from %q to %q changes the kind of server", m.From, m.To)
	case kind == "" && strings.HasSuffix(m.From, "/") != strings.HasSuffix(m.To, "/"):
		return fault.Errorf(fault.Usage, "end both with a slash, or none", "mirror from %q to %q joins words that belong apart", m.From, m.To)
	}
	return nil
}

// checkPrefix accepts the beginning of an address, its host complete.
func checkPrefix(what, s string) error {
	scheme, rest, _ := strings.Cut(s, "://")
	address := s
	if scheme == lock.OCI {
		address = "https://" + rest
		if what == "to" {
			host, _, _ := strings.Cut(rest, "/")
			if _, err := ParseOCI("oci://" + host + "/x:1"); err != nil {
				return err
			}
		}
	}
	if err := lock.CheckURL(address); err != nil {
		return err
	}
	if !strings.Contains(rest, "/") {
		return fault.Errorf(fault.Usage, fmt.Sprintf("write: %s = %q", what, s+"/"), "mirror %s = %q does not end the host with a slash", what, s)
	}
	if strings.ContainsAny(rest, "{}?#") {
		return fault.Errorf(fault.Usage, "write the beginning of an address", "mirror %s = %q is no prefix of an address", what, s)
	}
	return nil
}
