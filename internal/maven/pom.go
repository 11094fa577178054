package maven

import (
	"encoding/xml"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A project is a POM, at first as written, later with what it inherits.
type project struct {
	XMLName    xml.Name   `xml:"project"`
	Parent     *parent    `xml:"parent"`
	Group      string     `xml:"groupId"`
	Artifact   string     `xml:"artifactId"`
	Version    string     `xml:"version"`
	Properties properties `xml:"properties"`
	section
	Relocation *relocation `xml:"distributionManagement>relocation"`
	Profiles   []profile   `xml:"profiles>profile"`

	replaced int // bytes that its properties were replaced by, see interpolate
}

// A section is what a project and a profile have in common.
type section struct {
	Managed      []dependency `xml:"dependencyManagement>dependencies>dependency"`
	Dependencies []dependency `xml:"dependencies>dependency"`
}

type parent struct {
	Group    string `xml:"groupId"`
	Artifact string `xml:"artifactId"`
	Version  string `xml:"version"`
}

type relocation struct {
	Group    string `xml:"groupId"`
	Artifact string `xml:"artifactId"`
	Version  string `xml:"version"`
	Message  string `xml:"message"`
}

type profile struct {
	ID         string     `xml:"id"`
	Activation activation `xml:"activation"`
	Properties properties `xml:"properties"`
	section
}

type activation struct {
	Default  string    `xml:"activeByDefault"`
	JDK      string    `xml:"jdk"`
	OS       *struct{} `xml:"os"`
	File     *struct{} `xml:"file"`
	Property *struct {
		Name  string `xml:"name"`
		Value string `xml:"value"`
	} `xml:"property"`
}

type dependency struct {
	Group      string      `xml:"groupId"`
	Artifact   string      `xml:"artifactId"`
	Version    string      `xml:"version"`
	Type       string      `xml:"type"`
	Classifier string      `xml:"classifier"`
	Scope      string      `xml:"scope"`
	Optional   string      `xml:"optional"`
	Exclusions []exclusion `xml:"exclusions>exclusion"`
}

type exclusion struct {
	Group    string `xml:"groupId"`
	Artifact string `xml:"artifactId"`
}

// check refuses a POM that would take long to resolve.
func (p *project) check() error {
	n := 0
	for _, s := range append([]profile{{section: p.section}}, p.Profiles...) {
		for _, list := range [][]dependency{s.Managed, s.Dependencies} {
			n += len(list)
			for _, d := range list {
				n += len(d.Exclusions)
			}
		}
	}
	if n > maxDependencies {
		return fmt.Errorf("it has %d dependencies and exclusions, more than the limit of %d", n, maxDependencies)
	}
	return nil
}

// fields returns the texts of a dependency that may contain properties.
func (d *dependency) fields() []*string {
	list := []*string{&d.Group, &d.Artifact, &d.Version, &d.Type, &d.Classifier, &d.Scope, &d.Optional}
	for i := range d.Exclusions {
		list = append(list, &d.Exclusions[i].Group, &d.Exclusions[i].Artifact)
	}
	return list
}

// key identifies an artifact: two dependencies with one key are versions of the
// same file.
func (d *dependency) key() string {
	return d.Group + ":" + d.Artifact + ":" + d.Type + ":" + d.Classifier
}

func (d *dependency) String() string { return d.Group + ":" + d.Artifact }

// properties has values by name.
type properties map[string]string

// UnmarshalXML implements [xml.Unmarshaler]: the names are those of the
// elements.
func (p *properties) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	*p = properties{}
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			var value string
			if err := d.DecodeElement(&value, &t); err != nil {
				return err
			}
			(*p)[t.Name.Local] = text(value)
		case xml.EndElement:
			return nil
		}
	}
}

// parsePOM parses a POM.
func parsePOM(data []byte) (*project, error) {
	p := &project{}
	if err := decode(data, p); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, s := range []*string{&p.Group, &p.Artifact, &p.Version} {
		*s = text(*s)
	}
	if p.Parent != nil {
		for _, s := range []*string{&p.Parent.Group, &p.Parent.Artifact, &p.Parent.Version} {
			*s = text(*s)
		}
	}
	if p.Relocation != nil {
		for _, s := range []*string{&p.Relocation.Group, &p.Relocation.Artifact, &p.Relocation.Version, &p.Relocation.Message} {
			*s = text(*s)
		}
	}
	return p, nil
}

// CheckPOM verifies that data is the POM of an artifact. Otherwise the error is
// of class [fault.Upstream], or [fault.Integrity] if it is that of another
// artifact. It does not look at parents.
func CheckPOM(c Coordinate, data []byte) error {
	p, err := parsePOM(data)
	if err != nil {
		return fault.Errorf(fault.Upstream, "ask the operator of the repository", "the POM of %s: %w", c, err)
	}
	for _, f := range []struct{ said, is string }{{p.Group, c.Group}, {p.Artifact, c.Artifact}, {p.Version, c.Version}} {
		if said := p.interpolate(f.said); said != f.is && said != "" && !strings.Contains(said, "${") || f.is == c.Artifact && said == "" {
			return fault.Errorf(fault.Integrity, "do not use it: ask the operator of the repository", "the POM of %s says that it is %s:%s:%s", c, p.Group, p.Artifact, p.Version)
		}
	}
	return nil
}

// normalize trims the texts, fills in defaults, and of two dependencies with
// one key keeps the later one, in the place of the first.
func normalize(list []dependency) []dependency {
	var out []dependency
	at := map[string]int{}
	for _, d := range list {
		d.Exclusions = slices.Clone(d.Exclusions)
		for _, f := range d.fields() {
			*f = text(*f)
		}
		if d.Type == "" {
			d.Type = "jar"
		}
		if i, ok := at[d.key()]; ok {
			out[i] = d
			continue
		}
		at[d.key()] = len(out)
		out = append(out, d)
	}
	return out
}

// inherit appends what a parent or a profile has with other keys.
func inherit(own, more []dependency) []dependency {
	have := map[string]bool{}
	for _, d := range own {
		have[d.key()] = true
	}
	for _, d := range more {
		if !have[d.key()] {
			own = append(own, d)
		}
	}
	return own
}

// override replaces dependencies of a project by those of a profile.
func override(own, profile []dependency) []dependency {
	own = slices.Clone(own)
	at := map[string]int{}
	for i, d := range own {
		at[d.key()] = i
	}
	for _, d := range profile {
		if i, ok := at[d.key()]; ok {
			own[i] = d
			continue
		}
		own = append(own, d)
	}
	return own
}

// activate merges the profiles that are active on every machine. The resolving
// machine must not matter, so a profile that has dependencies and depends on an
// operating system or a file is an error. Java is the major version that will
// run the plugin.
func (p *project) activate(java int) error {
	var active, byDefault []profile
	for _, x := range p.Profiles {
		a := x.Activation
		needs := len(x.Dependencies) > 0 || len(x.Managed) > 0
		switch {
		case a.OS != nil || a.File != nil:
			if needs {
				return fmt.Errorf("its profile %s depends on the machine that resolves it", text(x.ID))
			}
		case a.JDK != "":
			on, err := jdk(text(a.JDK), java)
			if err != nil && needs {
				return fmt.Errorf("its profile %s: %w", text(x.ID), err)
			}
			if on {
				active = append(active, x)
			}
		case a.Property != nil:
			// No property is set, so only conditions on a missing one hold.
			name, value := text(a.Property.Name), text(a.Property.Value)
			if strings.HasPrefix(name, "!") && value == "" || !strings.HasPrefix(name, "!") && strings.HasPrefix(value, "!") {
				active = append(active, x)
			}
		case text(a.Default) == "true":
			byDefault = append(byDefault, x)
		}
	}
	if len(active) == 0 {
		active = byDefault
	}
	for _, x := range active {
		if p.Properties == nil {
			p.Properties = properties{}
		}
		maps.Copy(p.Properties, x.Properties)
		p.Managed = override(p.Managed, normalize(x.Managed))
		p.Dependencies = override(p.Dependencies, normalize(x.Dependencies))
	}
	return nil
}

// jdk reports whether a major version of Java satisfies an activation: "1.8",
// "!1.8", "[11,)".
func jdk(want string, java int) (bool, error) {
	spell := func(s string) string { return strings.TrimPrefix(text(s), "1.") } // 1.8 means 8
	if strings.ContainsAny(want, "[(") {
		c, err := parseConstraint(strings.ReplaceAll(want, "1.", ""))
		return err == nil && c.allows(fmt.Sprint(java)), err
	}
	not := strings.HasPrefix(want, "!")
	is := spell(strings.TrimPrefix(want, "!")) == fmt.Sprint(java)
	return is != not, nil
}

// expression matches a property in a text.
var expression = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$\{([^${}]+)\}`) })

// interpolate replaces the properties in a text; undefined ones stay, and all of
// them once the POM has had [maxReplaced].
func (p *project) interpolate(s string) string {
	for range 20 { // values may contain properties, even themselves
		changed := false
		s = expression().ReplaceAllStringFunc(s, func(x string) string {
			if p.replaced > maxReplaced {
				return x
			}
			v, ok := p.property(x[2 : len(x)-1])
			if !ok || len(v) > 1000 {
				return x
			}
			p.replaced += len(x) + len(v)
			changed = true
			return v
		})
		if !changed || len(s) > 10_000 {
			break
		}
	}
	return s
}

func (p *project) property(name string) (string, bool) {
	bare := name
	for _, prefix := range []string{"project.", "pom."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			bare = rest
		}
	}
	known := map[string]string{"groupId": p.Group, "artifactId": p.Artifact, "version": p.Version}
	if p.Parent != nil {
		maps.Copy(known, map[string]string{"parent.groupId": p.Parent.Group, "parent.artifactId": p.Parent.Artifact, "parent.version": p.Parent.Version})
	}
	if bare != name || strings.HasPrefix(name, "parent.") {
		if v, ok := known[bare]; ok {
			return v, true
		}
	}
	if v, ok := p.Properties[name]; ok {
		return v, true
	}
	v, ok := known[name] // the old form, ${version}
	return v, ok
}
