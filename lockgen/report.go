package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"html/template"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
	"github.com/birbparty/buck2-protobuf/lockgen/diff"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var reportVerb = &cli.Verb[program]{
	Name: "report", Short: "write a page about what is locked",
	Long: `One HTML file that needs nothing else and reaches nothing: the plugins by
platforms, on what evidence they are locked, sizes, bundles, and the closures as
trees; to be searched, also by keyboard, in dark and in light. With --outdated
the sources are asked how old the locked versions are and which newer ones there
are. With --since it has the difference to a git revision or another lock. The
same files and answers make the same bytes.`,
	Example: `lockgen report --html report.html
lockgen report --html report.html --outdated --since main`,
	Run: runReport,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.Var((*filePath)(&p.output), "html", "write `FILE`")
		dryOutputFlag(f, p)
		f.BoolVar(&p.outdated, "outdated", false, "ask the sources for ages and newer versions")
		f.StringVar(&p.since, "since", "", "show what changed since `REV`, or against another lock")
	},
}

func runReport(ctx context.Context, p *program, _ []string) error {
	if p.output == "" {
		return fault.Errorf(fault.Usage, "write: lockgen report --html FILE", "lockgen report does not know where to write")
	}
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	l, data, err := p.readLock()
	if err != nil {
		return err
	}
	r, err := newReport(m, l, data)
	if err != nil {
		return err
	}
	if p.since != "" {
		old, err := p.oldVersion(ctx, p.since)
		if err != nil {
			return err
		}
		r.Since, r.Changes = p.since, diff.Locks(old, l)
	}
	var late error
	if p.outdated {
		o, err := p.options(l)
		if err != nil {
			return err
		}
		ages, err := resolve.Outdated(ctx, m, o)
		if ages == nil && err != nil {
			return err
		}
		r.aged(ages)
		late = err
	}
	text, err := r.html()
	if err != nil {
		return err
	}
	if err := p.deliver(text); err != nil {
		return err
	}
	if late != nil {
		return fault.Errorf(fault.Of(late), fault.Hint(late), "not every source could be asked, as the page says: %w", late)
	}
	return nil
}

//go:embed report.html
var reportHTML string

//go:embed report.css
var reportCSS string

//go:embed report.js
var reportJS string

// reportPage is the page. All that comes from a lock or a source goes through
// html/template, which escapes it for where it stands.
var reportPage = sync.OnceValues(func() (*template.Template, error) {
	return template.New("report").Funcs(template.FuncMap{
		"plain": plain.Row, "count": plain.Count, "join": strings.Join, "bytes": plain.Bytes,
	}).Parse(reportHTML)
})

// A report is what the page shows.
type report struct {
	Lock, Digest string
	Platforms    []lock.Platform
	Rows         []*reportRow
	Packages     int // of all closures, each name and version once
	Files        int // each SHA-256 once
	Size         int64
	Trusts       []reportCount
	Bundles      []reportBundle
	Asked        bool // for newer versions
	Ages         []resolve.Age
	Current      int // entries at the newest version
	Since        string
	Changes      []diff.Change
	Policy       string // Content-Security-Policy
	Style        template.CSS
	Script       template.JS
}

type reportCount struct {
	Name, Means string
	N           int
}

type reportBundle struct {
	Name    string
	Plugins []string
}

// A reportRow is one locked version.
type reportRow struct {
	ID                   string // of its closure in the page
	Name, Version, About string
	From, Trust, Means   string
	Spec                 string // what the manifest says, "" where it does not ask for it
	Bundles              []string
	Cells                []reportCell
	Packages, Files      int
	Size                 int64
	Released, Newer      string // the date of the version, and the newest where that is another
	Tree                 *closure.Branch
}

// A reportCell is one platform of a version.
type reportCell struct {
	Platform, OS, Arch string
	State              string // locked, emulated or unavailable
	Note               string
}

func newReport(m *manifest.Manifest, l *lock.Lock, data []byte) (*report, error) {
	digest := sha256.Sum256(data)
	r := &report{Lock: lock.FileName, Digest: hex.EncodeToString(digest[:]), Platforms: lock.Platforms}
	wants, err := plan.Wants(m, l)
	if err != nil {
		return nil, err
	}
	packages, files, trusts := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, top := range closure.All(l) {
		v := l.Plugins[top.Name][top.Version]
		row := &reportRow{ID: "plugin-" + top.Name + "-" + top.Version, Name: top.Name, Version: top.Version, From: closure.Source(v), Trust: v.Trust, Means: evidence[v.Trust], Tree: top}
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
			c := reportCell{Platform: platform.Name, OS: platform.OS, Arch: platform.Arch, State: "locked", Note: v.Platforms[platform.Name].Binary}
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
			r.Trusts = append(r.Trusts, reportCount{trust, evidence[trust], trusts[trust]})
		}
	}
	for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
		r.Bundles = append(r.Bundles, reportBundle{bundle, m.Bundles[bundle]})
	}
	return r, nil
}

// aged adds what the sources said.
func (r *report) aged(ages []resolve.Age) {
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

// html is the page. Its policy lets no script run and no style count but those
// of this program, and nothing be loaded from anywhere.
func (r *report) html() ([]byte, error) {
	r.Style, r.Script = template.CSS(reportCSS), template.JS(reportJS)
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	r.Policy = "default-src 'none'; style-src " + hash(reportCSS) + "; script-src " + hash(reportJS) + "; base-uri 'none'; form-action 'none'"
	page, err := reportPage()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, r)
	return b.Bytes(), err
}

// Why says what holds newer versions back, for the page.
func (r *report) Why(a resolve.Age) string { return why(a) }
