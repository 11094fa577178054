package manifest

// The decoder of plugins.toml converts TOML values to a Manifest. All its
// errors have a file and line.

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A decoder converts decoded TOML to a Manifest. Its methods panic with a failure, which
// decode returns as an error.
type decoder struct{ m *Manifest }

type failure struct{ error }

func (d *decoder) decode(tree map[string]any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(failure)
			if !ok {
				panic(p)
			}
			err = f.error
		}
	}()
	d.manifest(tree)
	return nil
}

func (d *decoder) errorf(path []string, hint, format string, args ...any) failure {
	return failure{fault.Errorf(fault.Usage, hint, "%s: "+format, append([]any{d.at(path)}, args...)...)}
}

// check fails if err is not nil. It adds the position of a key and keeps the class.
func (d *decoder) check(path []string, err error) {
	switch {
	case err == nil:
	case fault.Of(err) == fault.Internal:
		panic(d.errorf(path, "", "%s: %w", dotted(path), err))
	default:
		panic(failure{fmt.Errorf("%s: %s: %w", d.at(path), dotted(path), err)})
	}
}

// hinted is check for an error without a class; the hint may be "".
func (d *decoder) hinted(path []string, hint string, err error) {
	if err != nil {
		panic(d.errorf(path, hint, "%w", err))
	}
}

// in returns the path of a key.
func in(path []string, key string) []string { return append(slices.Clone(path), key) }

// element returns the path of an element of a list, which is known by its number.
func element(path []string, i int) []string { return in(path, fmt.Sprint("#", i+1)) }

// dotted formats a path for people, without the numbers of elements.
func dotted(path []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(path), func(key string) bool { return strings.HasPrefix(key, "#") }), ".")
}

// at returns FILE:LINE of a key, or of what contains it.
func (d *decoder) at(path []string) string {
	path = slices.Clone(path)
	for i, key := range path {
		path[i] = strings.TrimPrefix(key, "#")
	}
	for len(path) > 1 && d.m.lines.Of(path...) == 0 {
		path = path[:len(path)-1]
	}
	return d.m.At(path...)
}

// A text is a key of a table that may be missing, and where its value goes.
type text struct {
	key string
	to  *string
}

func (d *decoder) texts(path []string, t map[string]any, texts ...text) {
	for _, f := range texts {
		if v, ok := t[f.key]; ok {
			*f.to = d.str(in(path, f.key), v)
		}
	}
}

// known refuses a key of a table that is not in keys, and suggests the nearest
// one.
func (d *decoder) known(path []string, table map[string]any, keys ...string) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if slices.Contains(keys, key) {
			continue
		}
		hint := fault.DidYouMean(key, keys, "use one of "+strings.Join(keys, ", "))
		where := ""
		if len(path) > 0 {
			where = " in [" + dotted(path) + "]"
		}
		panic(d.errorf(in(path, key), hint, "unknown key %q%s", key, where))
	}
}

func (d *decoder) str(path []string, v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			panic(d.errorf(path, "", "%s is empty", dotted(path)))
		}
		return v
	case int64, float64, bool:
		panic(d.errorf(path, fmt.Sprintf("quote it: %q", fmt.Sprint(v)), "%s is not a string", dotted(path)))
	}
	panic(d.errorf(path, "write a string in quotes", "%s is not a string", dotted(path)))
}

func (d *decoder) strs(path []string, v any) []string {
	list, ok := v.([]any)
	if !ok {
		panic(d.errorf(path, `write a list: ["…", "…"]`, "%s is not a list of strings", dotted(path)))
	}
	var out []string
	for i, e := range list {
		s := d.str(element(path, i), e)
		if slices.Contains(out, s) {
			panic(d.errorf(element(path, i), "keep one of the two", "%s has %q twice", dotted(path), s))
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		panic(d.errorf(path, "", "%s is empty", dotted(path)))
	}
	return out
}

func (d *decoder) table(path []string, v any) map[string]any {
	t, ok := v.(map[string]any)
	if !ok {
		panic(d.errorf(path, "write a table: ["+dotted(path)+"]", "%s is not a table", dotted(path)))
	}
	return t
}

var topKeys = []string{"platforms", "python", "plugins", "bundles", "registries", "policy", "mirror", "node-manager", "buckify", "tool", "protos", "runtimes"}

func (d *decoder) manifest(tree map[string]any) {
	d.known(nil, tree, topKeys...)
	m := d.m
	if _, ok := tree["platforms"]; !ok {
		panic(failure{fault.Errorf(fault.Usage, `add: platforms = ["linux-x86_64"]; use some of `+strings.Join(lock.PlatformNames(), ", "), "%s has no platforms", m.Name)})
	}
	m.Platforms = d.strs([]string{"platforms"}, tree["platforms"])
	slices.Sort(m.Platforms)
	for _, p := range m.Platforms {
		d.platform([]string{"platforms"}, p)
	}
	if v, ok := tree["python"]; ok {
		m.Python = d.strs([]string{"python"}, v)
		for _, p := range m.Python {
			if !syntax.PythonForm().MatchString(p) {
				panic(d.errorf([]string{"python"}, `write the interpreters as "3.11"`, "python %q is not of the form 3.N", p))
			}
		}
		slices.SortFunc(m.Python, lock.CompareVersions)
	}
	if v, ok := tree["node-manager"]; ok {
		path := []string{"node-manager"}
		m.NodeManager = d.str(path, v)
		if !slices.Contains(NodeManagers, m.NodeManager) {
			panic(d.errorf(path, "use one of "+strings.Join(NodeManagers, ", "), "unknown node-manager %q", m.NodeManager))
		}
	}
	d.plugins(tree["plugins"])
	d.tool(tree["tool"])
	d.protos(tree["protos"])
	d.runtimes(tree["runtimes"])
	d.bundles(tree["bundles"])
	d.policy(tree["policy"])
	d.mirrors(tree["mirror"])
	d.buckify(tree["buckify"])
	d.registries(tree["registries"])
}

func (d *decoder) platform(path []string, name string) {
	if _, ok := lock.LookupPlatform(name); ok {
		return
	}
	hint := fault.DidYouMean(name, lock.PlatformNames(), "use one of "+strings.Join(lock.PlatformNames(), ", "))
	panic(d.errorf(path, hint, "unknown platform %q", name))
}

func (d *decoder) plugins(v any) {
	if v == nil {
		panic(failure{fault.Errorf(fault.Usage, "run: lockgen add protoc@30.2, or write protoc = \"30.2\" below [plugins]", "%s has no [plugins]", d.m.Name)})
	}
	path := []string{"plugins"}
	table := d.table(path, v)
	d.m.Plugins = map[string]*Plugin{}
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := in(path, name)
		if other, ok := folded[strings.ToLower(name)]; ok {
			panic(d.errorf(at, "keep one of the two", "plugins %q and %q only differ in upper and lower case", other, name))
		}
		folded[strings.ToLower(name)] = name
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := in(path, name)
		d.hinted(at, "", syntax.CheckName(name))
		if name == Tool {
			panic(d.errorf(at, "write it below [tool]; give your own plugin another name", "%s is a program of this project, not a plugin", name))
		}
		d.m.Plugins[name] = d.plugin(at, table[name])
	}
}

// toolKeys are those of pluginKeys that apply to an executable with a URL.
var toolKeys = []string{"version", "source", "optional", "tag", "asset", "checksums", "os", "arch"}

// tool decodes [tool]. Its only entry is like one of [plugins], except for what
// Buck2 itself cannot download and run.
func (d *decoder) tool(v any) {
	if v == nil {
		return
	}
	table := d.table([]string{"tool"}, v)
	d.known([]string{"tool"}, table, Tool)
	entry, ok := table[Tool]
	if !ok {
		return
	}
	at := []string{"tool", Tool}
	if t, ok := entry.(map[string]any); ok {
		d.known(at, t, toolKeys...)
	}
	p := d.plugin(at, entry)
	if len(p.Versions) > 1 {
		panic(d.errorf(at, "keep one of them", "Buck2 needs one %s, but the entry has versions %s", Tool, strings.Join(p.Versions, " and ")))
	}
	if p.Source != nil {
		name := p.Source.Name
		_, _, byURL := p.Source.GitHub()
		if byURL {
			name = p.Naming.Asset
		}
		byURL = byURL || strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
		if form, err := Archive(name); !byURL || form != "" || err != nil {
			panic(d.errorf(at, `set the URL of the executable itself: source = "https://…/fetch-{version}-{os}-{arch}{exe}"`, "Buck2 downloads %s and runs it directly, which is not possible with %s", Tool, p.Source))
		}
		p.Binary = Tool
	}
	d.m.Plugins[Tool] = p
}

var pluginKeys = []string{"version", "versions", "source", "sources", "package", "binary", "entry", "generator", "main", "include", "runtime", "args", "options", "smoke", "optional", "tag", "asset", "checksums", "os", "arch", "platforms"}

func (d *decoder) plugin(path []string, v any) *Plugin {
	p := &Plugin{}
	switch v := v.(type) {
	case map[string]any:
		return d.pluginTable(path, v)
	case []any:
		p.Versions = d.strs(path, v)
	default:
		p.Versions = []string{d.str(path, v)}
	}
	d.versions(path, p.Versions)
	return p
}

func (d *decoder) pluginTable(path []string, t map[string]any) *Plugin {
	d.known(path, t, pluginKeys...)
	p := &Plugin{}
	key := func(k string) []string { return in(path, k) }
	_, one := t["version"]
	_, many := t["versions"]
	switch {
	case one == many:
		panic(d.errorf(path, `write: version = "1.2.3"`, "%s needs either version or versions", dotted(path)))
	case one:
		p.Versions = []string{d.str(key("version"), t["version"])}
		d.versions(key("version"), p.Versions)
	default:
		p.Versions = d.strs(key("versions"), t["versions"])
		d.versions(key("versions"), p.Versions)
	}
	d.texts(path, t, text{"package", &p.Package}, text{"binary", &p.Binary}, text{"entry", &p.Entry}, text{"generator", &p.Generator},
		text{"main", &p.MainClass}, text{"include", &p.Include}, text{"runtime", &p.Runtime})
	smoke := true
	for _, f := range []struct {
		key string
		to  *bool
	}{{"optional", &p.Optional}, {"smoke", &smoke}} {
		if v, ok := t[f.key]; ok {
			if *f.to, ok = v.(bool); !ok {
				panic(d.errorf(key(f.key), "write true or false, without quotes", "%s.%s is not a boolean", dotted(path), f.key))
			}
		}
	}
	p.Untried = !smoke
	if v, ok := t["options"]; ok {
		p.Options = d.strs(key("options"), v)
		for _, o := range p.Options {
			if err := syntax.CheckSeen(o); err != nil {
				panic(d.errorf(key("options"), "remove it: options become part of a command line", "%s.options: %q %w", dotted(path), o, err))
			}
		}
	}
	if v, ok := t["source"]; ok {
		p.Source = d.source(key("source"), v)
	}
	if v, ok := t["args"]; ok {
		p.Args = d.args(key("args"), p, v)
	}
	if v, ok := t["sources"]; ok {
		d.alternatives(key("sources"), p, v)
	}
	d.paths(path, p)
	d.overrides(key("platforms"), p, t["platforms"])
	d.naming(path, p, t)
	return p
}

// paths checks the keys about the tree of an entry.
func (d *decoder) paths(path []string, p *Plugin) {
	if p.Binary != "" {
		d.check(in(path, "binary"), checkBinary(p.Binary))
	}
	if p.Entry != "" {
		d.hinted(in(path, "entry"), `write: entry = "package.module:function"`, syntax.CheckEntry(p.Entry))
	}
	if p.Generator != "" {
		d.hinted(in(path, "generator"), `write the NAME of --NAME_out`, syntax.CheckProgram("generator", p.Generator))
	}
	if p.Include != "" {
		d.check(in(path, "include"), syntax.CheckShown(p.Include))
	}
	if p.Runtime != "" {
		d.check(in(path, "runtime"), syntax.CheckName(p.Runtime))
	}
	if p.MainClass != "" {
		d.hinted(in(path, "main"), `write: main = "com.example.Main"`, syntax.CheckClass(p.MainClass))
	}
	if p.Package != "" {
		at := in(path, "package")
		switch {
		case p.Source != nil && !p.Source.Ecosystem():
			panic(d.errorf(at, "remove it", "a plugin with a URL has no package"))
		case p.Source != nil && lock.KindOf(p.Source.Kind).Mains:
			d.check(at, syntax.CheckMain(p.Package))
			return
		case p.Source != nil:
			panic(d.errorf(at, "keep source and remove package", "source already has the package %s", p.Source.Name))
		}
		d.check(at, lock.KindOf(lock.NPM).CheckPackage(p.Package))
	}
}

// args decodes arguments for a compiler. Without a source, the catalogue
// decides whether there is a compiler.
func (d *decoder) args(path []string, p *Plugin, v any) []string {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		panic(d.errorf(path, `write a list: ["--features", "…"]`, "%s is not a list of strings", dotted(path)))
	}
	var args []string
	for _, e := range list {
		s := d.str(path, e)
		args = append(args, s)
	}
	kind := lock.Cargo
	if p.Source != nil {
		kind = p.Source.Kind
	}
	d.check(path, lock.KindOf(kind).CheckArgs(args))
	return args
}

// checkBinary checks the path of a binary, which may be a template.
func checkBinary(s string) error {
	if err := checkTemplate(s, templateVariables...); err != nil {
		return err
	}
	return syntax.CheckShown(Expand(s, "1", lock.Platforms[0]))
}

func (d *decoder) source(path []string, v any) *Source {
	src, err := ParseSource(d.str(path, v))
	d.check(path, err)
	return &src
}

// alternatives decodes the sources of an entry: strings, or tables with source
// and the keys that differ for it.
func (d *decoder) alternatives(path []string, p *Plugin, v any) {
	list, ok := v.([]any)
	if tables, is := v.([]map[string]any); is {
		ok = true
		for _, t := range tables {
			list = append(list, t)
		}
	}
	name := dotted(path)
	switch {
	case !ok || len(list) == 0:
		panic(d.errorf(path, `write a list: ["npm:NAME", "https://…"]`, "%s is not a list of sources", name))
	case p.Source != nil:
		panic(d.errorf(path, "keep one of the two", "an entry must not have both source and sources"))
	}
	for i, e := range list {
		var a Alternative
		path := element(path, i)
		t, isTable := e.(map[string]any)
		if !isTable {
			t = map[string]any{"source": e}
		}
		d.known(path, t, "source", "binary", "include")
		at := path
		if isTable {
			at = in(path, "source")
		}
		source := d.source(at, t["source"])
		a.Source = *source
		if slices.ContainsFunc(p.Sources, func(b Alternative) bool { return a.Source == b.Source }) {
			panic(d.errorf(path, "keep one of the two", "%s has %q twice", name, a.Source))
		}
		if v, ok := t["binary"]; ok {
			a.Binary = d.str(in(path, "binary"), v)
			d.check(in(path, "binary"), checkBinary(a.Binary))
		}
		if v, ok := t["include"]; ok {
			a.Include = d.str(in(path, "include"), v)
			d.check(in(path, "include"), syntax.CheckShown(a.Include))
		}
		p.Sources = append(p.Sources, a)
	}
	p.Source = &p.Sources[0].Source
}

func (d *decoder) overrides(path []string, p *Plugin, v any) {
	if v == nil {
		return
	}
	table := d.table(path, v)
	p.Platforms = map[string]Override{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := in(path, name)
		d.platform(at, name)
		p.Platforms[name] = d.override(at, p, name, table[name])
	}
}

// override decodes the keys of an entry for one platform.
func (d *decoder) override(path []string, p *Plugin, name string, v any) (o Override) {
	at := func(key string) []string { return in(path, key) }
	t := d.table(path, v)
	d.known(path, t, "source", "asset", "binary", "emulate")
	if v, ok := t["emulate"]; ok {
		o.Emulate = d.emulate(at("emulate"), name, t, v)
		return o
	}
	if len(p.Sources) > 1 {
		panic(d.errorf(path, "give the entry one source; with several, only emulate is allowed", "an entry with several sources cannot have files for one platform"))
	}
	if v, ok := t["source"]; ok {
		o.Source = d.source(at("source"), v)
		d.checkOverride(path, p, name, o.Source)
	}
	if v, ok := t["asset"]; ok {
		o.Asset = d.str(at("asset"), v)
		isGitHub := false
		if p.Source != nil {
			_, _, isGitHub = p.Source.GitHub()
		}
		if !isGitHub {
			panic(d.errorf(at("asset"), "write the source as github:OWNER/REPO", "only a plugin from github: has assets"))
		}
		d.check(at("asset"), checkAsset(o.Asset))
		_, err := Archive(o.Asset)
		d.check(at("asset"), err)
	}
	if v, ok := t["binary"]; ok {
		o.Binary = d.str(at("binary"), v)
		d.check(at("binary"), checkBinary(o.Binary))
	}
	return o
}

// checkOverride checks the source of an entry for one platform.
func (d *decoder) checkOverride(path []string, p *Plugin, name string, source *Source) {
	if !lock.KindOf(source.Kind).URLs || p.Source == nil || !lock.KindOf(p.Source.Kind).URLs {
		hint := "give the entry a URL as source"
		if of, _ := lock.LookupPlatform(name); of.Rosetta != "" {
			hint += fmt.Sprintf("; to run the program of %s, write: platforms.%s = { emulate = %q }", of.Rosetta, name, of.Rosetta)
		}
		panic(d.errorf(path, hint, "only a plugin with a URL can have another source on one platform"))
	}
	_, _, gitHub := source.GitHub()
	if gitHub {
		panic(d.errorf(path, "write its URL", "another source on one platform must be a URL"))
	}
}

// emulate decodes the permission to run programs of another platform. No other
// keys are allowed with it.
func (d *decoder) emulate(path []string, name string, t map[string]any, v any) string {
	other := d.str(path, v)
	d.platform(path, other)
	p, _ := lock.LookupPlatform(name)
	switch {
	case len(t) > 1:
		panic(d.errorf(path, "keep only emulate, or remove it", "a platform that emulates another one has no files"))
	case !p.Runs(other):
		var can []string
		for _, p := range lock.Platforms {
			for _, o := range []string{p.Emulates, p.Rosetta} {
				if o != "" {
					can = append(can, o+" on "+p.Name)
				}
			}
		}
		panic(d.errorf(path, "remove it; these can be emulated: "+strings.Join(can, ", "), "%s cannot run programs of %s", name, other))
	case !slices.Contains(d.m.Platforms, other):
		panic(d.errorf(path, "add "+other+" to platforms", "%s emulates %s, which is not among the platforms", name, other))
	}
	return other
}

// versions checks exact versions and ranges.
func (d *decoder) versions(path []string, versions []string) {
	for _, v := range versions {
		d.check(path, CheckWanted(v))
	}
}

func (d *decoder) bundles(v any) {
	if v == nil {
		return
	}
	table := d.table([]string{"bundles"}, v)
	d.m.Bundles = map[string][]string{}
	names := slices.Sorted(maps.Keys(d.m.Plugins))
	for _, bundle := range slices.Sorted(maps.Keys(table)) {
		at := []string{"bundles", bundle}
		if err := syntax.CheckName(bundle); err != nil {
			panic(d.errorf(at, "", "bundle %w", err))
		}
		list := d.strs(at, table[bundle])
		for _, name := range list {
			if !slices.Contains(names, name) {
				hint := fault.DidYouMean(name, names, "run: lockgen add "+name)
				panic(d.errorf(at, hint, "bundle %s has %q, which is not in [plugins]", bundle, name))
			}
		}
		d.m.Bundles[bundle] = list
	}
}

func (d *decoder) registries(v any) {
	if v == nil {
		return
	}
	table := d.table([]string{"registries"}, v)
	d.known([]string{"registries"}, table, lock.Ecosystems()...)
	for _, kind := range slices.Sorted(maps.Keys(table)) {
		at := []string{"registries", kind}
		address := d.str(at, table[kind])
		address = strings.TrimPrefix(address, lock.KindOf(kind).RegistryPrefix)
		d.check(at, syntax.CheckURL(address))
		if strings.ContainsAny(address, "?#") {
			panic(d.errorf(at, "end the address with its path", "registries.%s: %q has a query or a fragment, to which no path can be added", kind, address))
		}
		if d.m.Registries == nil {
			d.m.Registries = Registries{}
		}
		d.m.Registries[kind] = address
	}
}
