package change

import (
	"cmp"
	"context"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/naming"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// The arguments of add are names of plugins, or sources:
//
//	npm:NAME   pip:NAME[EXTRA,…]   cargo:NAME[FEATURE,…]   go:PACKAGE   github:OWNER/REPO   oci://HOST/REPO:TAG
//	maven:GROUP:ARTIFACT[:CLASSIFIER]   buf.build/OWNER/NAME[:VERSION], of the catalogue
//	@SCOPE/NAME is short for npm, HOST.TLD/PATH for a Go package
//	https://… is the file for one platform, or a template for those of all
//
// Each may end with @VERSION.

// goPath matches the start of a Go package, which is a host.
var goPath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+/`) })

// splitSpec splits an argument of add into its parts; the version may be "".
// place is true if the rest is a source and not a name.
func splitSpec(spec string) (name, version string, place bool) {
	kind, _, colon := strings.Cut(spec, ":")
	switch {
	case strings.HasPrefix(spec, "@") && strings.Contains(spec, "/"):
		spec, place = lock.NPM+":"+spec, true
	case goPath().MatchString(spec):
		spec, place = lock.Go+":"+spec, true
	case colon && !strings.Contains(kind, "@"):
		place = true
	}
	if !place {
		name, version, _ = strings.Cut(spec, "@")
		return name, version, false
	}
	at := strings.LastIndexByte(spec, '@')
	if at <= strings.LastIndexByte(spec, ':')+1 || at < strings.LastIndexByte(spec, '/') {
		return spec, "", true
	}
	name, version = spec[:at], spec[at+1:]
	if isURL(name) && naming.IsFile(version) { // the name of the file has an @
		return spec, "", true
	}
	if strings.HasPrefix(name, lock.Go+":") || strings.HasPrefix(name, "github:") {
		if v, ok := strings.CutPrefix(version, "v"); ok && manifest.CheckExact(v) == nil {
			version = v
		}
	}
	return name, version, true
}

// versioned matches a name and a version as other package managers join them.
var versioned = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([a-z][a-z0-9_.-]*?)(?:==?|:|[ \t]+)v?([0-9][0-9A-Za-z.+_-]*)$`)
})

// otherVersion returns NAME@VERSION for a plugin of the catalogue with a version behind
// another sign, such as ts-proto==2.7.2, and "" for anything else.
func otherVersion(spec string) string {
	m := versioned().FindStringSubmatch(spec)
	if m == nil {
		return ""
	}
	if _, known := catalog.Builtin().Lookup(m[1]); !known {
		return ""
	}
	return m[1] + "@" + m[2]
}

// ofBuf turns a plugin of Buf's registry, as buf.gen.yaml and Buf's pages name it, such as
// buf.build/bufbuild/es:v2.2.0, into NAME or NAME@VERSION of the plugin that the catalogue
// has for it. It returns anything else as it is.
func (a *adding) ofBuf(spec string) (string, error) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(spec, "https://"), catalog.BufRegistry+"/")
	if !ok {
		return spec, nil
	}
	remote, version, _ := strings.Cut(strings.Replace(rest, "@", ":", 1), ":")
	c := catalog.Builtin()
	if err := c.Refused(remote); err != nil {
		return "", err
	}
	name := c.Remote(remote)
	if name == "" {
		return spec, nil
	}
	a.UI.Say("%s/%s is the plugin %s of the catalogue", catalog.BufRegistry, remote, name)
	if version = catalog.RemoteVersion(version); version != "" {
		name += "@" + version
	}
	return name, nil
}

// named turns an argument of add into NAME or NAME@VERSION. If the catalogue
// has the source, it returns the plugin of that name. Otherwise it asks the
// source for its programs, and keeps an entry for [adding.write].
func (a *adding) named(ctx context.Context, spec string) (string, error) {
	place, version, ok := splitSpec(spec)
	if !ok {
		return spec, nil
	}
	if rest, ok := strings.CutPrefix(place, lock.OCI+"://"); ok {
		var err error
		if place, version, err = image(rest); err != nil {
			return "", err
		}
	}
	var asset string
	if isURL(place) {
		if place, asset, version = address(place, version); version == "" && isURL(place) {
			return "", fault.Errorf(fault.Usage, "write the version behind it, in quotes: lockgen add '"+place+"@1.2.3'", "%s does not say of which version it is", redact.URL(place))
		}
	}
	from, err := manifest.ParseSource(place)
	if err != nil {
		return "", err
	}
	with := func(name string) string {
		if version == "" {
			return name
		}
		return name + "@" + version
	}
	m, err := manifest.Parse(a.Manifest, a.data)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(m.Plugins)) { // the manifest may have it already
		if p := m.Plugins[name]; p.Source != nil && (*p.Source == from || fetches(p, from, version)) {
			return with(name), nil
		}
	}
	c := catalog.Builtin()
	bare, _ := from.Bare()
	if err := c.Refused(bare.String()); err != nil {
		return "", err
	}
	switch names := c.At(from); len(names) {
	case 0:
	case 1:
		a.UI.Say("%s is the plugin %s of the catalogue", from, names[0])
		return with(names[0]), nil
	default:
		return "", fault.Errorf(fault.Usage, "write one of them, such as: lockgen add "+with(names[0]), "%s has several plugins: %s", from, strings.Join(names, ", "))
	}
	if err := manifest.CheckWanted(version); version != "" && err != nil {
		return "", err
	}
	return a.discover(ctx, m, from, asset, version)
}

func isURL(place string) bool {
	return strings.HasPrefix(place, "https://") || strings.HasPrefix(place, "http://")
}

// address turns a URL into the place to ask: a template with {version}, and the version
// in the URL unless another one is asked for; a release of GitHub is a place of its own,
// of which asset is the file that is meant.
func address(rawURL, version string) (place, asset, asked string) {
	if rest, ok := strings.CutPrefix(rawURL, manifest.GitHubHost+"/"); ok {
		part := strings.Split(strings.TrimSuffix(rest, "/"), "/")
		release := len(part) >= 5 && part[2] == "releases" && (part[3] == "download" || part[3] == "tag")
		if len(part) == 2 || release || len(part) == 3 && part[2] == "releases" {
			place = "github:" + part[0] + "/" + strings.TrimSuffix(part[1], ".git")
		}
		if release {
			if part[3] == "download" && len(part) > 5 {
				asset = part[len(part)-1]
				part = part[:len(part)-1]
			}
			tag := strings.ReplaceAll(strings.Join(part[4:], "/"), "%2F", "/")
			if form, ok := naming.TagTemplate(tag); ok && version == "" {
				before, after, _ := strings.Cut(form, "{version}")
				version = strings.TrimSuffix(strings.TrimPrefix(tag, before), after)
			}
		}
		if place != "" {
			return place, asset, version
		}
	}
	if strings.Contains(rawURL, "{version}") {
		return rawURL, "", version
	}
	template, found, _ := naming.URLTemplate(rawURL)
	return template, "", cmp.Or(version, found)
}

// fetches reports whether an entry has the file of a URL, in whichever version.
func fetches(p *manifest.Plugin, from manifest.Source, version string) bool {
	if !lock.KindOf(from.Kind).URLs || !lock.KindOf(p.Source.Kind).URLs {
		return false
	}
	want := strings.ReplaceAll(from.Name, "{version}", version)
	return slices.ContainsFunc(lock.Platforms, func(on lock.Platform) bool {
		of := cmp.Or(p.Platforms[on.Name].Source, p.Source)
		return p.Naming.URL(*of, p.Platforms[on.Name].Asset, version, on) == want
	})
}

// image takes the version from the tag of HOST/REPO:TAG or HOST/REPO:TAG#FILE.
func image(reference string) (template, version string, err error) {
	if !strings.Contains(reference, "/") {
		return "", "", fault.Errorf(fault.Usage, "write oci://HOST/REPO:TAG, such as oci://"+cmp.Or(reference, "registry.example.com")+"/acme/tool:v1.2.3", "oci://%s has no repository", reference)
	}
	at := strings.LastIndexByte(reference, ':')
	if at < strings.LastIndexByte(reference, '/') {
		return "", "", fault.Errorf(fault.Usage, "write its tag as well: oci://"+reference+":v1.2.3", "oci://%s has no tag", reference)
	}
	tag, file, hasFile := strings.Cut(reference[at+1:], "#")
	form, ok := naming.TagTemplate(tag)
	if strings.Contains(tag, "{version}") {
		form, ok = tag, true
	}
	if !ok {
		return "", "", fault.Errorf(fault.Usage, "write a tag that has a version in it: oci://"+reference[:at]+":v1.2.3", "the tag %s of oci://%s is not a version: it may change", tag, reference[:at])
	}
	before, after, _ := strings.Cut(form, "{version}")
	version = strings.TrimSuffix(strings.TrimPrefix(tag, before), after)
	if version == "{version}" {
		version = ""
	}
	template = lock.OCI + "://" + reference[:at+1] + form
	if hasFile {
		template += "#" + file
	}
	return template, version, nil
}

// discover asks a source for its programs, and keeps an entry for the plugin.
func (a *adding) discover(ctx context.Context, m *manifest.Manifest, from manifest.Source, asset, version string) (string, error) {
	asked := version
	if asked == "" {
		asked = manifest.Latest
	}
	var found *resolve.Discovery
	err := a.believing(m, from.String(), func() (string, []plan.Held, error) {
		var err error
		if found, err = resolve.Discover(ctx, m, from, asset, asked, a.o); err != nil {
			return "", nil, err
		}
		return found.Version, nil, nil // only this source
	})
	if err != nil {
		return "", err
	}
	program, err := source.Choose(from, found.Programs, a.Binary, func(p source.Program) string { return "lockgen add " + from.String() + " --binary " + p.Name })
	if err != nil {
		return "", err
	}
	// The plugin is named after its executable, unless that name is taken.
	names := []string{program.Name, strings.ToLower(base(found.Source)), strings.ToLower(strings.NewReplacer("@", "", "/", "-").Replace(found.Source.Name))}
	if lock.KindOf(found.Source.Kind).Ecosystem {
		names = append(names, found.Source.Kind+"-"+strings.ToLower(program.Name))
	}
	i := slices.IndexFunc(names, func(name string) bool {
		_, known := catalog.Builtin().Lookup(name)
		return !known && m.Plugins[name] == nil && a.entries[name] == nil && syntax.CheckName(name) == nil
	})
	if i < 0 {
		return "", fault.Errorf(fault.Usage, "write an entry [plugins.NAME] by hand, with a name of your own", "%s has %s, but that name is taken or not valid", from, program.Name)
	}
	name := names[i]
	if version == "" || manifest.IsRange(version) && version != manifest.Latest {
		a.UI.Say("the newest allowed version of %s is %s", from, found.Version)
		if len(found.Held) > 0 {
			a.UI.Say("skipped %s: %s", found.Held[0].Version, found.Held[0].Why)
		}
	}
	if version == "" {
		version = found.Version
	}
	p := &manifest.Plugin{Versions: []string{version}, Source: cmp.Or(program.Source, &found.Source), Package: program.Main}
	p.Binary, p.Runtime, p.Naming, p.Platforms, p.Options = program.Binary, program.Runtime, program.Naming, program.Platforms, a.Trial
	if a.entries == nil {
		a.entries = map[string]*manifest.Plugin{}
	}
	a.entries[name] = p
	a.UI.Say("%s has %s: adding it as plugin %s", p.Source, program.Name, name)
	return name + "@" + version, nil
}

// base returns the short name of a package.
func base(s manifest.Source) string {
	s, _ = s.Bare()
	if part := strings.Split(s.Name, ":"); lock.KindOf(s.Kind).OneEach && len(part) > 1 { // GROUP:ARTIFACT
		return part[1]
	}
	name, _, _ := strings.Cut(path.Base(s.Name), ":")
	return name
}
