// Package maven reads Maven repositories: metadata, POMs and the closure of an
// artifact as Maven itself resolves it. It also reads the settings of the
// user's mvn that say where repositories are. It runs nothing: a POM may name
// extensions and plugins, which mvn would load.
//
// Formats: https://maven.apache.org/repository/layout.html, and pom.html and
// settings.html on the same site.
package maven

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Coordinate identifies one file of a repository.
type Coordinate struct {
	Group, Artifact, Version string
	Classifier               string // "" for none
	Ext                      string // extension of the file, such as jar
}

// Package returns GROUP:ARTIFACT, the name of the package in a lock.
func (c Coordinate) Package() string { return c.Group + ":" + c.Artifact }

// String returns GROUP:ARTIFACT:VERSION, with the classifier if there is one.
func (c Coordinate) String() string {
	s := c.Package() + ":" + c.Version
	if c.Classifier != "" {
		s += ":" + c.Classifier
	}
	return s
}

// File returns the name of the file.
func (c Coordinate) File() string {
	s := c.Artifact + "-" + c.Version
	if c.Classifier != "" {
		s += "-" + c.Classifier
	}
	return s + "." + c.Ext
}

// Path returns the path of the file in a repository.
func (c Coordinate) Path() string { return c.folder() + c.File() }

func (c Coordinate) folder() string {
	return strings.ReplaceAll(c.Group, ".", "/") + "/" + c.Artifact + "/" + c.Version + "/"
}

// Key returns the key of the file in a lock: GROUP/FILE, since two groups may
// have files with the same name.
func (c Coordinate) Key() string { return c.Group + "/" + c.File() }

// POM returns the coordinate of the artifact's POM.
func (c Coordinate) POM() Coordinate {
	c.Classifier, c.Ext = "", "pom"
	return c
}

// check refuses a malformed coordinate, since it becomes part of a URL.
func (c Coordinate) check() error {
	if err := lock.KindOf(lock.Maven).CheckPackage(c.Package()); err != nil {
		return err
	}
	for _, s := range []string{c.Version, c.Classifier, c.Ext} {
		if s != "" && (!syntax.IsWord(strings.ReplaceAll(s, "+", "-")) || strings.Contains(s, "..")) {
			return fmt.Errorf("%s: %q is not a valid name", c.Package(), s)
		}
	}
	if c.Version == "" {
		return fmt.Errorf("%s has no version", c.Package())
	}
	return nil
}

// MetadataPath returns the path of the list of versions of a package
// GROUP:ARTIFACT.
func MetadataPath(pkg string) string {
	group, artifact, _ := strings.Cut(pkg, ":")
	return strings.ReplaceAll(group, ".", "/") + "/" + artifact + "/maven-metadata.xml"
}

// MaxDocument limits metadata and POMs, in bytes.
const MaxDocument = 16 << 20

// maxVersions limits the versions of an artifact.
const maxVersions = 50_000

// Metadata is the maven-metadata.xml of an artifact.
type Metadata struct {
	Versions []string  // in the order of the file, without snapshots
	Updated  time.Time // when the last version was added; zero if unknown
}

// ParseMetadata parses the list of versions of a package. Errors are of class
// [fault.Upstream].
func ParseMetadata(pkg string, data []byte) (*Metadata, error) {
	var doc struct {
		XMLName    xml.Name `xml:"metadata"`
		Group      string   `xml:"groupId"`
		Artifact   string   `xml:"artifactId"`
		Versioning struct {
			Versions []string `xml:"versions>version"`
			Updated  string   `xml:"lastUpdated"`
		} `xml:"versioning"`
	}
	if err := decode(data, &doc); err != nil {
		return nil, fault.Errorf(fault.Upstream, "check that it is a Maven repository: [registries] in plugins.toml, and settings.xml of mvn", "the metadata of %s: %w", pkg, err)
	}
	if group, artifact := text(doc.Group), text(doc.Artifact); group+":"+artifact != pkg && (group != "" || artifact != "") {
		return nil, fault.Errorf(fault.Upstream, "ask the operator of the repository", "the metadata of %s is that of %s:%s", pkg, group, artifact)
	}
	if n := len(doc.Versioning.Versions); n > maxVersions {
		return nil, fault.Errorf(fault.Upstream, "ask the operator of the repository", "the metadata of %s has %d versions, more than the limit of %d", pkg, n, maxVersions)
	}
	m := &Metadata{}
	for _, v := range doc.Versioning.Versions {
		if v = text(v); v != "" && len(v) <= maxVersion && !Snapshot(v) {
			m.Versions = append(m.Versions, v)
		}
	}
	if t, err := time.Parse("20060102150405", text(doc.Versioning.Updated)); err == nil {
		m.Updated = t
	}
	return m, nil
}

// decode strictly parses an XML document: one element, and no entities of its
// own.
func decode(data []byte, into any) error {
	if len(data) > MaxDocument {
		return fmt.Errorf("it has %d bytes, more than the limit of %d", len(data), MaxDocument)
	}
	if head := strings.ToLower(string(bytes.TrimLeft(data[:min(len(data), 512)], " \t\r\n\xef\xbb\xbf"))); strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html") {
		return fmt.Errorf("it is HTML of a proxy or login page")
	}
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "iso-8859-1", "latin1", "us-ascii", "ascii", "windows-1252":
			return latin1{r}, nil
		}
		return nil, fmt.Errorf("it has the unsupported encoding %q", charset)
	}
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("malformed document: %w", err)
	}
	for { // only comments may follow
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("malformed document: %w", err)
		}
		if _, is := t.(xml.StartElement); is {
			return fmt.Errorf("malformed document: a second element")
		}
	}
}

// latin1 converts ISO 8859-1 to UTF-8.
type latin1 struct{ r io.Reader }

func (l latin1) Read(p []byte) (int, error) {
	raw := make([]byte, len(p)/2)
	if len(raw) == 0 {
		raw = make([]byte, 1)
	}
	n, err := l.r.Read(raw)
	at := 0
	for _, b := range raw[:n] {
		at += copy(p[at:], string(rune(b)))
	}
	return at, err
}

func text(s string) string { return strings.TrimSpace(s) }

// ParseKey returns the coordinate of a file with this key in a lock, for a
// version of the package GROUP:ARTIFACT; ok is false if the key does not belong
// to it.
func ParseKey(pkg, version, key string) (c Coordinate, ok bool) {
	c.Group, c.Artifact, _ = strings.Cut(pkg, ":")
	c.Version = version
	rest, ok := strings.CutPrefix(key, c.Group+"/"+c.Artifact+"-"+version)
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 0 {
		return c, false
	}
	c.Classifier, c.Ext = strings.TrimPrefix(rest[:dot], "-"), rest[dot+1:]
	return c, c.Key() == key && c.check() == nil
}
