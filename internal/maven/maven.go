// Package maven reads what repositories of Maven hold: metadata, POMs and the
// closure of an artifact, as Maven itself would resolve it, and the settings of
// the user's mvn that say where repositories are. It runs nothing: a POM may name
// extensions and plugins, and mvn would load those of a project.
//
// Formats: https://maven.apache.org/repository/layout.html, pom.html,
// settings.html of the same place.
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
)

// A Coordinate names one file of a repository.
type Coordinate struct {
	Group, Artifact, Version string
	Classifier               string // "" for none
	Ext                      string // of the file, such as jar
}

// Package is GROUP:ARTIFACT, what a lock calls the name of a package.
func (c Coordinate) Package() string { return c.Group + ":" + c.Artifact }

// String is GROUP:ARTIFACT:VERSION, with the classifier where there is one.
func (c Coordinate) String() string {
	s := c.Package() + ":" + c.Version
	if c.Classifier != "" {
		s += ":" + c.Classifier
	}
	return s
}

// File is the name of the file.
func (c Coordinate) File() string {
	s := c.Artifact + "-" + c.Version
	if c.Classifier != "" {
		s += "-" + c.Classifier
	}
	return s + "." + c.Ext
}

// Path is where the file lies in a repository.
func (c Coordinate) Path() string { return c.folder() + c.File() }

func (c Coordinate) folder() string {
	return strings.ReplaceAll(c.Group, ".", "/") + "/" + c.Artifact + "/" + c.Version + "/"
}

// Key is what a lock calls the file: GROUP/FILE, for two groups may have files of
// one name.
func (c Coordinate) Key() string { return c.Group + "/" + c.File() }

// POM names the POM of the same artifact.
func (c Coordinate) POM() Coordinate {
	c.Classifier, c.Ext = "", "pom"
	return c
}

// check refuses what is no coordinate: it becomes a part of an address.
func (c Coordinate) check() error {
	if err := lock.KindOf(lock.Maven).CheckPackage(c.Package()); err != nil {
		return err
	}
	for _, s := range []string{c.Version, c.Classifier, c.Ext} {
		if s != "" && (!lock.IsWord(strings.ReplaceAll(s, "+", "-")) || strings.Contains(s, "..")) {
			return fmt.Errorf("%s: %q is no word", c.Package(), s)
		}
	}
	if c.Version == "" {
		return fmt.Errorf("%s has no version", c.Package())
	}
	return nil
}

// MetadataPath is where a repository lists the versions of a package
// GROUP:ARTIFACT.
func MetadataPath(pkg string) string {
	group, artifact, _ := strings.Cut(pkg, ":")
	return strings.ReplaceAll(group, ".", "/") + "/" + artifact + "/maven-metadata.xml"
}

// MaxDocument bounds metadata and POMs, in bytes.
const MaxDocument = 16 << 20

// Metadata is a maven-metadata.xml of an artifact.
type Metadata struct {
	Versions []string  // in the order of the file, without snapshots
	Updated  time.Time // when the last of them came, zero where it does not say
}

// ParseMetadata reads the list of the versions of a package. The errors are of
// class [fault.Upstream].
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
		return nil, fault.Errorf(fault.Upstream, "is it a repository of Maven? see [registries] in plugins.toml, and settings.xml of mvn", "the metadata of %s: %w", pkg, err)
	}
	if group, artifact := text(doc.Group), text(doc.Artifact); group+":"+artifact != pkg && (group != "" || artifact != "") {
		return nil, fault.Errorf(fault.Upstream, "ask the operator of the repository", "the metadata of %s is that of %s:%s", pkg, group, artifact)
	}
	m := &Metadata{}
	for _, v := range doc.Versioning.Versions {
		if v = text(v); v != "" && !Snapshot(v) {
			m.Versions = append(m.Versions, v)
		}
	}
	if t, err := time.Parse("20060102150405", text(doc.Versioning.Updated)); err == nil {
		m.Updated = t
	}
	return m, nil
}

// decode reads an XML document strictly: one element, no entities of its own.
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
		return nil, fmt.Errorf("it is written in %q", charset)
	}
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("malformed document: %w", err)
	}
	for { // nothing but comments may follow
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

// latin1 reads ISO 8859-1 as UTF-8.
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

// ParseKey is the coordinate of a file that a lock calls so, of a package
// GROUP:ARTIFACT in a version; ok is false where it is no such file.
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
