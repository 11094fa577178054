// Package report makes an HTML page about the lock. The page is one file and
// loads nothing.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"html/template"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

//go:embed report.html
var pageHTML string

//go:embed report.css
var pageCSS string

//go:embed report.js
var pageJS string

// page is the template. html/template escapes everything that comes from a lock
// or a source.
var page = sync.OnceValues(func() (*template.Template, error) {
	return template.New("report").Funcs(template.FuncMap{
		"plain": plain.Row, "count": plain.Count, "join": strings.Join, "bytes": plain.Bytes,
	}).Parse(pageHTML)
})

// A Report has the content of the page.
type Report struct {
	Lock, Digest string
	Platforms    []lock.Platform
	Rows         []*Row
	Packages     int // in all closures, each name and version once
	Files        int // each SHA-256 once
	Size         int64
	Trusts       []Count
	Bundles      []Bundle
	Asked        bool // whether sources were asked for newer versions
	Ages         []resolve.Age
	Current      int // number of entries at the newest version
	Since        string
	Changes      []diff.Change
	Policy       string // Content-Security-Policy
	Style        template.CSS
	Script       template.JS
}

// A Count is the number of versions locked with some evidence.
type Count struct {
	Name, Means string
	N           int
}

// A Bundle is a bundle of the manifest, with its plugins.
type Bundle struct {
	Name    string
	Plugins []string
}

// A Row is one locked version.
type Row struct {
	ID                   string // of its closure in the page
	Name, Version, About string
	From, Trust, Means   string
	Spec                 string // version in the manifest, "" if it does not ask for the plugin
	Bundles              []string
	Cells                []Cell
	Packages, Files      int
	Size                 int64
	Released, Newer      string // the dates of the version, and of the newest if that is another one
	Tree                 *closure.Branch
}

// A Cell is one platform of a version.
type Cell struct {
	Platform, OS, Arch string
	State              string // locked, emulated or unavailable
	Note               string
}

// New makes the report for a manifest and its lock, whose text is data.
func New(m *manifest.Manifest, l *lock.Lock, data []byte) (*Report, error) {
	digest := sha256.Sum256(data)
	r := &Report{Lock: lock.FileName, Digest: hex.EncodeToString(digest[:]), Platforms: lock.Platforms}
	wants, err := plan.Wants(m, l)
	if err != nil {
		return nil, err
	}
	packages, files, trusts := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, top := range closure.All(l) {
		v := l.Plugins[top.Name][top.Version]
		row := &Row{ID: "plugin-" + top.Name + "-" + top.Version, Name: top.Name, Version: top.Version, From: closure.Source(v), Trust: v.Trust, Means: closure.Evidence[v.Trust], Tree: top}
		row.Packages, row.Files, row.Size = top.Sum()
		if recipe, ok := catalog.Builtin().Lookup(top.Name); ok {
			row.About = recipe.About
		}
		for _, w := range wants {
			if w.Name == top.Name && w.Version == top.Version {
				row.Spec = w.Asked
			}
		}
		for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
			if slices.Contains(m.Bundles[bundle], top.Name) {
				row.Bundles = append(row.Bundles, bundle)
			}
		}
		for _, platform := range lock.Platforms {
			c := Cell{Platform: platform.Name, OS: platform.OS, Arch: platform.Arch, State: "locked", Note: v.Platforms[platform.Name].Binary}
			switch cell := v.Platforms[platform.Name]; {
			case cell.Emulate != "":
				c.State, c.Note = "emulated", "runs what "+cell.Emulate+" has"
			case cell.Unavailable != "":
				c.State, c.Note = "unavailable", cell.Unavailable
			}
			row.Cells = append(row.Cells, c)
		}
		for key, f := range v.Files {
			if name, version := v.PackageOf(key); name != "" {
				packages[v.Source+":"+name+"@"+version] = true
			}
			if !files[f.SHA256] {
				files[f.SHA256] = true
				r.Size += f.Size
			}
		}
		trusts[v.Trust]++
		r.Rows = append(r.Rows, row)
	}
	r.Packages, r.Files = len(packages), len(files)
	for _, trust := range lock.Trusts {
		if trusts[trust] > 0 {
			r.Trusts = append(r.Trusts, Count{trust, closure.Evidence[trust], trusts[trust]})
		}
	}
	for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
		r.Bundles = append(r.Bundles, Bundle{bundle, m.Bundles[bundle]})
	}
	return r, nil
}

// Aged adds the answers of the sources.
func (r *Report) Aged(ages []resolve.Age) {
	r.Asked = true
	for _, a := range ages {
		if a.Behind() {
			r.Ages = append(r.Ages, a)
		} else {
			r.Current++
		}
		for _, row := range r.Rows {
			if row.Name == a.Name && row.Version == a.Locked {
				row.Released = a.Released
				if a.Latest != a.Locked {
					row.Newer = a.Latest
				}
			}
		}
	}
}

// HTML returns the page. Its policy allows no script, no other styles, and
// loading nothing.
func (r *Report) HTML() ([]byte, error) {
	r.Style, r.Script = template.CSS(pageCSS), template.JS(pageJS)
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	r.Policy = "default-src 'none'; style-src " + hash(pageCSS) + "; script-src " + hash(pageJS) + "; base-uri 'none'; form-action 'none'"
	t, err := page()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, r)
	return b.Bytes(), err
}

// Why explains what holds back newer versions.
func (r *Report) Why(a resolve.Age) string { return a.Why() }
