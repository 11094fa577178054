package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Metadata has the parts of a METADATA file that matter for resolving, see
// https://packaging.python.org/en/latest/specifications/core-metadata/.
type Metadata struct {
	Name, Version string
	Python        string // Requires-Python; "" for any
	Requires      []Requirement
	Extras        []string // Provides-Extra
}

// A Requirement is one Requires-Dist, see
// https://packaging.python.org/en/latest/specifications/dependency-specifiers/.
type Requirement struct {
	Text   string // the whole requirement on one line
	Name   string
	Direct string // URL of a direct reference; "" for a requirement from an index
	Marker string // the text after the ;
}

// ParseMetadata parses a METADATA file. A malformed requirement is an error.
func ParseMetadata(text []byte) (*Metadata, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("its METADATA is not UTF-8")
	}
	fields := headers(text)
	m := &Metadata{Extras: fields["provides-extra"]}
	for _, f := range []struct {
		name string
		to   *string
		must bool
	}{{"Name", &m.Name, true}, {"Version", &m.Version, true}, {"Requires-Python", &m.Python, false}} {
		values := fields[strings.ToLower(f.name)]
		if len(values) > 1 || f.must && len(values) == 0 {
			return nil, fmt.Errorf("its METADATA has %d lines of %s", len(values), f.name)
		}
		if len(values) == 1 {
			*f.to = values[0]
		}
	}
	for _, line := range fields["requires-dist"] {
		r, err := ParseRequirement(line)
		if err != nil {
			return nil, fmt.Errorf("its METADATA has Requires-Dist: %w", err)
		}
		m.Requires = append(m.Requires, r)
	}
	return m, nil
}

// Print returns a METADATA file with only what is in m.
func (m *Metadata) Print() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", m.Name, m.Version)
	if m.Python != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", m.Python)
	}
	for _, extra := range m.Extras {
		fmt.Fprintf(&b, "Provides-Extra: %s\n", extra)
	}
	for _, r := range m.Requires {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r.Text)
	}
	return b.Bytes()
}

var (
	requirement = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?) *(?:\[[A-Za-z0-9._, -]*\])? *(.*)$`)
	})
	// Versions as in PEP 440, optionally in parentheses as in PEP 345.
	specifiers = sync.OnceValue(func() *regexp.Regexp {
		const one = `(?:===|==|~=|!=|<=|>=|<|>) *[A-Za-z0-9.*+!_-]+`
		return regexp.MustCompile(`^\(? *(?:` + one + ` *(?:, *` + one + ` *)*,? *)?\)?$`)
	})
)

// ParseRequirement parses one requirement.
func ParseRequirement(line string) (Requirement, error) {
	text := strings.Join(strings.Fields(line), " ")
	r := Requirement{Text: text}
	m := requirement().FindStringSubmatch(text)
	if m == nil || strings.ContainsFunc(text, unicode.IsControl) {
		return r, fmt.Errorf("%q is not a requirement", text)
	}
	r.Name = m[1]
	if address, ok := strings.CutPrefix(m[2], "@"); ok {
		// There is a space before the ; of a marker, since a URL may contain
		// one.
		r.Direct, r.Marker, _ = strings.Cut(strings.TrimSpace(address), " ;")
		r.Direct, r.Marker = strings.TrimSpace(r.Direct), strings.TrimSpace(r.Marker)
		if r.Direct == "" {
			return r, fmt.Errorf("%q is not a requirement", text)
		}
		return r, nil
	}
	versions, marker, _ := strings.Cut(m[2], ";")
	r.Marker = strings.TrimSpace(marker)
	if !specifiers().MatchString(strings.TrimSpace(versions)) || strings.ContainsAny(r.Marker, "@") {
		return r, fmt.Errorf("%q is not a requirement", text)
	}
	return r, nil
}

// headers parses the header of an RFC 822 message, as in METADATA and WHEEL, by
// names in lower case. Lines that begin with a space continue the previous one.
func headers(text []byte) map[string][]string {
	fields := map[string][]string{}
	last := ""
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break // the description
		}
		if line[0] == ' ' || line[0] == '\t' {
			if values := fields[last]; len(values) > 0 {
				values[len(values)-1] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			last = ""
			continue
		}
		last = strings.ToLower(strings.TrimSpace(name))
		fields[last] = append(fields[last], strings.TrimSpace(value))
	}
	return fields
}
