package manifest

import (
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Mirror is a place to download from before the origin. It does not affect
// the bytes, so it is not in the lock.
//
// From says what the mirror has: the prefix of a coordinate (see [Coordinate]),
// or "*" for everything. To is one of
//   - oci://HOST/REPO or oci-layout:DIR, filled by `lockgen mirror`, which has
//     files by their digest, whatever their names are;
//   - if From is the prefix of a URL, the prefix of another URL, which replaces
//     it; likewise oci://HOST/… for oci://HOST/…, both with a slash at the end;
//   - if From begins with npm:, pip:, cargo:, go: or maven:, the URL of a registry
//     with the protocol of that kind (cargo: of a sparse index).
type Mirror struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Everything is the From of a mirror that may have everything.
const Everything = "*"

// layoutPrefix is the prefix of To for a folder in the OCI image layout.
const layoutPrefix = "oci-layout:"

// Fits reports whether the mirror may have the file with a coordinate.
func (m Mirror) Fits(coordinate string) bool {
	from := m.From
	if kind := m.kind(); kind != "" {
		from = kind + ":" + lock.KindOf(kind).Spelled(from[len(kind)+1:])
	}
	return from == Everything || strings.HasPrefix(coordinate, from)
}

// Holds reports whether the mirror has files by digest: To is an OCI repository
// or a folder.
func (m Mirror) Holds() bool {
	return strings.HasPrefix(m.To, layoutPrefix) || strings.HasPrefix(m.To, "oci://") && !strings.HasSuffix(m.To, "/")
}

// Registry reports whether the mirror is a registry of an ecosystem.
func (m Mirror) Registry() bool { return !m.Holds() && m.kind() != "" }

// kind returns the ecosystem in From; "" for none.
func (m Mirror) kind() string {
	if kind, _, ok := strings.Cut(m.From, ":"); ok && lock.KindOf(kind).Ecosystem {
		return kind
	}
	return ""
}

// Rewrite returns the mirror's URL for another URL. Ok is false if the mirror
// does not rewrite that URL.
func (m Mirror) Rewrite(address string) (string, bool) {
	rest, ok := strings.CutPrefix(address, m.From)
	if !ok || m.Holds() || m.Registry() {
		return "", false
	}
	return m.To + rest, true
}

// addressesOf returns the URLs to try for a URL, in order: at the mirrors that
// rewrite it, then the URL itself.
func addressesOf(mirrors []Mirror, address string) []string {
	var all []string
	for _, m := range mirrors {
		if a, ok := m.Rewrite(address); ok {
			all = append(all, a)
		}
	}
	return append(all, address)
}

// Rewrite returns the first of addressesOf.
func Rewrite(mirrors []Mirror, address string) string { return addressesOf(mirrors, address)[0] }

// A Place is the To of a mirror that has files by digest.
type Place struct {
	Host, Repo string // of an OCI repository
	Dir        string // of a folder; then Host and Repo are empty
}

// String returns the form that [ParsePlace] parses.
func (p Place) String() string {
	if p.Dir != "" {
		return layoutPrefix + p.Dir
	}
	return "oci://" + p.Host + "/" + p.Repo
}

// ParsePlace parses "oci://HOST/REPO" or "oci-layout:DIR". Errors are of class
// [fault.Usage] and do not repeat credentials.
func ParsePlace(s string) (Place, error) {
	const form = "write oci://HOST/REPO, or oci-layout:DIR for a folder"
	if dir, ok := strings.CutPrefix(s, layoutPrefix); ok {
		if dir == "" || strings.ContainsRune(dir, 0) {
			return Place{}, fault.Errorf(fault.Usage, form, "%q has no folder", s)
		}
		return Place{Dir: dir}, syntax.Expanded("the folder of a layout", layoutPrefix, dir)
	}
	if !strings.HasPrefix(s, "oci://") {
		return Place{}, fault.Errorf(fault.Usage, form, "%q is neither a repository nor a folder", redact.URL(s))
	}
	r, err := ParseOCI(s + ":x") // with a tag it is a complete reference
	if err != nil || r.Tag != "x" || r.File != "" {
		return Place{}, fault.Errorf(fault.Usage, form, "%q is not of the form oci://HOST/REPO", redact.URL(s))
	}
	return Place{Host: r.Host, Repo: r.Repo}, nil
}

// Check refuses an invalid mirror, or one that could match more than it seems
// to. Errors are of class [fault.Usage], or [fault.Policy] for http.
func (m Mirror) Check() error {
	const hint = `write from = "*" or the beginning of https://…, oci://…, npm:…, pip:…, cargo:… or go:…`
	kind := m.kind()
	fromOCI, isURL := strings.HasPrefix(m.From, "oci://"), strings.Contains(m.From, "://")
	switch {
	case m.From == "":
		return fault.Errorf(fault.Usage, hint, "mirror from is empty")
	case m.From == Everything:
		if !m.Holds() {
			return fault.Errorf(fault.Usage, "set to = \"oci://HOST/REPO\" or \"oci-layout:DIR\", or say in from what the mirror has",
				"mirror from %q to %q: a server that is not an OCI registry does not have files by digest", m.From, redact.URL(m.To))
		}
	case kind != "":
		for _, r := range m.From {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(":@/._~+-", r)) {
				return fault.Errorf(fault.Usage, hint, "mirror from %q: no coordinate contains %q", m.From, r)
			}
		}
	case isURL:
		if err := checkPrefix("from", m.From); err != nil {
			return err
		}
	default:
		return fault.Errorf(fault.Usage, hint, "mirror from %q is not the prefix of a coordinate", redact.URL(m.From))
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
		return fault.Errorf(fault.Usage, "map URLs to URLs, oci:// to oci://, or anything to a repository, without a slash at its end",
			"mirror from %q to %q changes the kind of server", m.From, m.To)
	case kind == "" && strings.HasSuffix(m.From, "/") != strings.HasSuffix(m.To, "/"):
		return fault.Errorf(fault.Usage, "end both with a slash, or neither", "mirror from %q to %q would join parts of a URL", m.From, m.To)
	}
	return nil
}

// checkPrefix checks a prefix of a URL, which must have a complete host.
func checkPrefix(what, s string) error {
	_, rest, _ := strings.Cut(s, "://")
	address := s
	if strings.HasPrefix(s, "oci://") {
		address = "https://" + rest
		if what == "to" {
			host, _, _ := strings.Cut(rest, "/")
			if _, err := ParseOCI("oci://" + host + "/x:1"); err != nil {
				return err
			}
		}
	}
	if err := syntax.CheckURL(address); err != nil {
		return err
	}
	if !strings.Contains(rest, "/") {
		return fault.Errorf(fault.Usage, fmt.Sprintf("write: %s = %q", what, s+"/"), "mirror %s = %q does not end the host with a slash", what, s)
	}
	if strings.ContainsAny(rest, "{}?#") {
		return fault.Errorf(fault.Usage, "write the prefix of a URL", "mirror %s = %q is not the prefix of a URL", what, s)
	}
	return nil
}
