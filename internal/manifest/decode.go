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

// A decoder converts decoded TOML to a Manifest.
type decoder struct{ m *Manifest }

func (d *decoder) errorf(path []string, hint, format string, args ...any) error {
	return fault.Errorf(fault.Usage, hint, "%s: "+format, append([]any{d.m.At(path...)}, args...)...)
}

// wrap adds the position of a key to an error and keeps its class.
func (d *decoder) wrap(path []string, err error) error {
	if fault.Of(err) == fault.Internal {
		return d.errorf(path, "", "%s: %w", strings.Join(path, "."), err)
	}
	return fmt.Errorf("%s: %s: %w", d.m.At(path...), strings.Join(path, "."), err)
}

// known refuses a key of a table that is not in keys, and suggests the nearest
// one.
func (d *decoder) known(path []string, table map[string]any, keys ...string) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if slices.Contains(keys, key) {
			continue
		}
		hint := fault.DidYouMean(key, keys, "use one of "+strings.Join(keys, ", "))
		where := ""
		if len(path) > 0 {
			where = " in [" + strings.Join(path, ".") + "]"
		}
		return d.errorf(append(slices.Clone(path), key), hint, "unknown key %q%s", key, where)
	}
	return nil
}

func (d *decoder) str(path []string, v any) (string, error) {
	switch v := v.(type) {
	case string:
		if v == "" {
			return "", d.errorf(path, "", "%s is empty", strings.Join(path, "."))
		}
		return v, nil
	case int64, float64, bool:
		return "", d.errorf(path, fmt.Sprintf("quote it: %q", fmt.Sprint(v)), "%s is not a string", strings.Join(path, "."))
	}
	return "", d.errorf(path, "write a string in quotes", "%s is not a string", strings.Join(path, "."))
}

func (d *decoder) strs(path []string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, d.errorf(path, `write a list: ["…", "…"]`, "%s is not a list of strings", strings.Join(path, "."))
	}
	var out []string
	for _, e := range list {
		s, err := d.str(path, e)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, s) {
			return nil, d.errorf(path, "keep one of the two", "%s has %q twice", strings.Join(path, "."), s)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, d.errorf(path, "", "%s is empty", strings.Join(path, "."))
	}
	return out, nil
}

func (d *decoder) table(path []string, v any) (map[string]any, error) {
	t, ok := v.(map[string]any)
	if !ok {
		return nil, d.errorf(path, "write a table: ["+strings.Join(path, ".")+"]", "%s is not a table", strings.Join(path, "."))
	}
	return t, nil
}

var topKeys = []string{"platforms", "python", "plugins", "bundles", "registries", "policy", "mirror", "node-manager", "buckify", "tool", "protos", "runtimes"}

func (d *decoder) manifest(tree map[string]any) error {
	if err := d.known(nil, tree, topKeys...); err != nil {
		return err
	}
	m := d.m
	if _, ok := tree["platforms"]; !ok {
		return fault.Errorf(fault.Usage, `add: platforms = ["linux-x86_64"]; use some of `+strings.Join(lock.PlatformNames(), ", "), "%s has no platforms", m.Name)
	}
	var err error
	if m.Platforms, err = d.strs([]string{"platforms"}, tree["platforms"]); err != nil {
		return err
	}
	slices.Sort(m.Platforms)
	for _, p := range m.Platforms {
		if err := d.platform([]string{"platforms"}, p); err != nil {
			return err
		}
	}
	if v, ok := tree["python"]; ok {
		if m.Python, err = d.strs([]string{"python"}, v); err != nil {
			return err
		}
		for _, p := range m.Python {
			if !lock.PythonForm().MatchString(p) {
				return d.errorf([]string{"python"}, `write the interpreters as "3.11"`, "python %q is not of the form 3.N", p)
			}
		}
		slices.SortFunc(m.Python, lock.CompareVersions)
	}
	if v, ok := tree["node-manager"]; ok {
		path := []string{"node-manager"}
		if m.NodeManager, err = d.str(path, v); err != nil {
			return err
		}
		if !slices.Contains(NodeManagers, m.NodeManager) {
			return d.errorf(path, "use one of "+strings.Join(NodeManagers, ", "), "unknown node-manager %q", m.NodeManager)
		}
	}
	if err := d.plugins(tree["plugins"]); err != nil {
		return err
	}
	if err := d.tool(tree["tool"]); err != nil {
		return err
	}
	if err := d.protos(tree["protos"]); err != nil {
		return err
	}
	if err := d.runtimes(tree["runtimes"]); err != nil {
		return err
	}
	if err := d.bundles(tree["bundles"]); err != nil {
		return err
	}
	if err := d.policy(tree["policy"]); err != nil {
		return err
	}
	if err := d.mirrors(tree["mirror"]); err != nil {
		return err
	}
	if err := d.buckify(tree["buckify"]); err != nil {
		return err
	}
	return d.registries(tree["registries"])
}

func (d *decoder) platform(path []string, name string) error {
	if _, ok := lock.LookupPlatform(name); ok {
		return nil
	}
	hint := fault.DidYouMean(name, lock.PlatformNames(), "use one of "+strings.Join(lock.PlatformNames(), ", "))
	return d.errorf(path, hint, "unknown platform %q", name)
}

func (d *decoder) plugins(v any) error {
	if v == nil {
		return fault.Errorf(fault.Usage, "run: lockgen add protoc@30.2, or write protoc = \"30.2\" below [plugins]", "%s has no [plugins]", d.m.Name)
	}
	path := []string{"plugins"}
	table, err := d.table(path, v)
	if err != nil {
		return err
	}
	d.m.Plugins = map[string]*Plugin{}
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		if other, ok := folded[strings.ToLower(name)]; ok {
			return d.errorf(at, "keep one of the two", "plugins %q and %q only differ in upper and lower case", other, name)
		}
		folded[strings.ToLower(name)] = name
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		if err := syntax.CheckName(name); err != nil {
			return d.errorf(at, "", "%w", err)
		}
		if name == Tool {
			return d.errorf(at, "write it below [tool]; give your own plugin another name", "%s is a program of this project, not a plugin", name)
		}
		if d.m.Plugins[name], err = d.plugin(at, table[name]); err != nil {
			return err
		}
	}
	return nil
}

// toolKeys are those of pluginKeys that apply to an executable with a URL.
var toolKeys = []string{"version", "source", "optional", "tag", "asset", "checksums", "os", "arch"}

// tool decodes [tool]. Its only entry is like one of [plugins], except for what
// Buck2 itself cannot download and run.
func (d *decoder) tool(v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table([]string{"tool"}, v)
	if err != nil {
		return err
	}
	if err := d.known([]string{"tool"}, table, Tool); err != nil {
		return err
	}
	entry, ok := table[Tool]
	if !ok {
		return nil
	}
	at := []string{"tool", Tool}
	if t, ok := entry.(map[string]any); ok {
		if err := d.known(at, t, toolKeys...); err != nil {
			return err
		}
	}
	p, err := d.plugin(at, entry)
	if err != nil {
		return err
	}
	if len(p.Versions) > 1 {
		return d.errorf(at, "keep one of them", "Buck2 needs one %s, but the entry has versions %s", Tool, strings.Join(p.Versions, " and "))
	}
	if p.Source != nil {
		name := p.Source.Name
		_, _, byURL := p.Source.GitHub()
		if byURL {
			name = p.Naming.Asset
		}
		byURL = byURL || strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
		if form, err := Archive(name); !byURL || form != "" || err != nil {
			return d.errorf(at, `set the URL of the executable itself: source = "https://…/fetch-{version}-{os}-{arch}{exe}"`, "Buck2 downloads %s and runs it directly, which is not possible with %s", Tool, p.Source)
		}
		p.Binary = Tool
	}
	d.m.Plugins[Tool] = p
	return nil
}

var pluginKeys = []string{"version", "versions", "source", "sources", "package", "binary", "entry", "generator", "main", "include", "runtime", "args", "options", "smoke", "optional", "tag", "asset", "checksums", "os", "arch", "platforms"}

func (d *decoder) plugin(path []string, v any) (*Plugin, error) {
	p := &Plugin{}
	var err error
	switch v := v.(type) {
	case map[string]any:
		return d.pluginTable(path, v)
	case []any:
		p.Versions, err = d.strs(path, v)
	default:
		var s string
		s, err = d.str(path, v)
		p.Versions = []string{s}
	}
	if err != nil {
		return nil, err
	}
	return p, d.versions(path, p.Versions)
}

func (d *decoder) pluginTable(path []string, t map[string]any) (*Plugin, error) {
	if err := d.known(path, t, pluginKeys...); err != nil {
		return nil, err
	}
	p := &Plugin{}
	key := func(k string) []string { return append(slices.Clone(path), k) }
	var err error
	_, one := t["version"]
	_, many := t["versions"]
	switch {
	case one == many:
		return nil, d.errorf(path, `write: version = "1.2.3"`, "%s needs either version or versions", strings.Join(path, "."))
	case one:
		var s string
		if s, err = d.str(key("version"), t["version"]); err == nil {
			p.Versions, err = []string{s}, d.versions(key("version"), []string{s})
		}
	default:
		if p.Versions, err = d.strs(key("versions"), t["versions"]); err == nil {
			err = d.versions(key("versions"), p.Versions)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		key string
		to  *string
	}{{"package", &p.Package}, {"binary", &p.Binary}, {"entry", &p.Entry}, {"generator", &p.Generator}, {"main", &p.MainClass}, {"include", &p.Include}, {"runtime", &p.Runtime}} {
		if v, ok := t[f.key]; ok {
			if *f.to, err = d.str(key(f.key), v); err != nil {
				return nil, err
			}
		}
	}
	smoke := true
	for _, f := range []struct {
		key string
		to  *bool
	}{{"optional", &p.Optional}, {"smoke", &smoke}} {
		if v, ok := t[f.key]; ok {
			if *f.to, ok = v.(bool); !ok {
				return nil, d.errorf(key(f.key), "write true or false, without quotes", "%s.%s is not a boolean", strings.Join(path, "."), f.key)
			}
		}
	}
	p.Untried = !smoke
	if v, ok := t["options"]; ok {
		if p.Options, err = d.strs(key("options"), v); err != nil {
			return nil, err
		}
	}
	if v, ok := t["source"]; ok {
		if p.Source, err = d.source(key("source"), v); err != nil {
			return nil, err
		}
	}
	if v, ok := t["args"]; ok {
		if p.Args, err = d.args(key("args"), p, v); err != nil {
			return nil, err
		}
	}
	if v, ok := t["sources"]; ok {
		if err := d.alternatives(key("sources"), p, v); err != nil {
			return nil, err
		}
	}
	if err := d.paths(path, p); err != nil {
		return nil, err
	}
	if err := d.overrides(key("platforms"), p, t["platforms"]); err != nil {
		return nil, err
	}
	return p, d.naming(path, p, t)
}

// paths checks the keys about the tree of an entry.
func (d *decoder) paths(path []string, p *Plugin) error {
	if p.Binary != "" {
		if err := checkBinary(p.Binary); err != nil {
			return d.wrap(append(slices.Clone(path), "binary"), err)
		}
	}
	if p.Entry != "" {
		if err := lock.CheckEntry(p.Entry); err != nil {
			return d.errorf(append(slices.Clone(path), "entry"), `write: entry = "package.module:function"`, "%w", err)
		}
	}
	if p.Generator != "" {
		if err := lock.CheckProgram("generator", p.Generator); err != nil {
			return d.errorf(append(slices.Clone(path), "generator"), `write the NAME of --NAME_out`, "%w", err)
		}
	}
	if p.Include != "" {
		if err := syntax.CheckShown(p.Include); err != nil {
			return d.wrap(append(slices.Clone(path), "include"), err)
		}
	}
	if p.Runtime != "" {
		if err := syntax.CheckName(p.Runtime); err != nil {
			return d.wrap(append(slices.Clone(path), "runtime"), err)
		}
	}
	if p.MainClass != "" {
		if err := lock.CheckClass(p.MainClass); err != nil {
			return d.errorf(append(slices.Clone(path), "main"), `write: main = "com.example.Main"`, "%w", err)
		}
	}
	if p.Package != "" {
		at := append(slices.Clone(path), "package")
		switch {
		case p.Source != nil && !p.Source.Ecosystem():
			return d.errorf(at, "remove it", "a plugin with a URL has no package")
		case p.Source != nil && lock.KindOf(p.Source.Kind).Mains:
			if err := lock.CheckMain(p.Package); err != nil {
				return d.wrap(at, err)
			}
			return nil
		case p.Source != nil:
			return d.errorf(at, "keep source and remove package", "source already has the package %s", p.Source.Name)
		}
		if err := lock.KindOf(lock.NPM).CheckPackage(p.Package); err != nil {
			return d.wrap(at, err)
		}
	}
	return nil
}

// args decodes arguments for a compiler. Without a source, the catalogue
// decides whether there is a compiler.
func (d *decoder) args(path []string, p *Plugin, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, d.errorf(path, `write a list: ["--features", "…"]`, "%s is not a list of strings", strings.Join(path, "."))
	}
	var args []string
	for _, e := range list {
		s, err := d.str(path, e)
		if err != nil {
			return nil, err
		}
		args = append(args, s)
	}
	kind := lock.Cargo
	if p.Source != nil {
		kind = p.Source.Kind
	}
	if err := lock.KindOf(kind).CheckArgs(args); err != nil {
		return nil, d.wrap(path, err)
	}
	return args, nil
}

// checkBinary checks the path of a binary, which may be a template.
func checkBinary(s string) error {
	if err := checkTemplate(s, templateVariables...); err != nil {
		return err
	}
	return syntax.CheckShown(Expand(s, "1", lock.Platforms[0]))
}

func (d *decoder) source(path []string, v any) (*Source, error) {
	s, err := d.str(path, v)
	if err != nil {
		return nil, err
	}
	src, err := ParseSource(s)
	if err != nil {
		return nil, d.wrap(path, err)
	}
	return &src, nil
}

// alternatives decodes the sources of an entry: strings, or tables with source
// and the keys that differ for it.
func (d *decoder) alternatives(path []string, p *Plugin, v any) error {
	list, ok := v.([]any)
	if tables, is := v.([]map[string]any); is {
		ok = true
		for _, t := range tables {
			list = append(list, t)
		}
	}
	name := strings.Join(path, ".")
	switch {
	case !ok || len(list) == 0:
		return d.errorf(path, `write a list: ["npm:NAME", "https://…"]`, "%s is not a list of sources", name)
	case p.Source != nil:
		return d.errorf(path, "keep one of the two", "an entry must not have both source and sources")
	}
	for _, e := range list {
		var a Alternative
		t, isTable := e.(map[string]any)
		if !isTable {
			t = map[string]any{"source": e}
		}
		if err := d.known(path, t, "source", "binary", "include"); err != nil {
			return err
		}
		source, err := d.source(path, t["source"])
		if err != nil {
			return err
		}
		a.Source = *source
		if slices.ContainsFunc(p.Sources, func(b Alternative) bool { return a.Source == b.Source }) {
			return d.errorf(path, "keep one of the two", "%s has %q twice", name, a.Source)
		}
		if v, ok := t["binary"]; ok {
			if a.Binary, err = d.str(path, v); err != nil {
				return err
			}
			if err := checkBinary(a.Binary); err != nil {
				return d.wrap(path, err)
			}
		}
		if v, ok := t["include"]; ok {
			if a.Include, err = d.str(path, v); err != nil {
				return err
			}
			if err := syntax.CheckShown(a.Include); err != nil {
				return d.wrap(path, err)
			}
		}
		p.Sources = append(p.Sources, a)
	}
	p.Source = &p.Sources[0].Source
	return nil
}

func (d *decoder) overrides(path []string, p *Plugin, v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table(path, v)
	if err != nil {
		return err
	}
	p.Platforms = map[string]Override{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		if err := d.platform(at, name); err != nil {
			return err
		}
		if p.Platforms[name], err = d.override(at, p, name, table[name]); err != nil {
			return err
		}
	}
	return nil
}

// override decodes the keys of an entry for one platform.
func (d *decoder) override(path []string, p *Plugin, name string, v any) (o Override, err error) {
	at := func(key string) []string { return append(slices.Clone(path), key) }
	t, err := d.table(path, v)
	if err != nil {
		return o, err
	}
	if err := d.known(path, t, "source", "asset", "binary", "emulate"); err != nil {
		return o, err
	}
	if v, ok := t["emulate"]; ok {
		o.Emulate, err = d.emulate(at("emulate"), name, t, v)
		return o, err
	}
	if len(p.Sources) > 1 {
		return o, d.errorf(path, "give the entry one source; with several, only emulate is allowed", "an entry with several sources cannot have files for one platform")
	}
	if v, ok := t["source"]; ok {
		if o.Source, err = d.source(at("source"), v); err == nil {
			err = d.checkOverride(path, p, name, o.Source)
		}
		if err != nil {
			return o, err
		}
	}
	if v, ok := t["asset"]; ok {
		if o.Asset, err = d.str(at("asset"), v); err != nil {
			return o, err
		}
		isGitHub := false
		if p.Source != nil {
			_, _, isGitHub = p.Source.GitHub()
		}
		if !isGitHub {
			return o, d.errorf(at("asset"), "write the source as github:OWNER/REPO", "only a plugin from github: has assets")
		}
		if err = checkAsset(o.Asset); err == nil {
			_, err = Archive(o.Asset)
		}
		if err != nil {
			return o, d.wrap(at("asset"), err)
		}
	}
	if v, ok := t["binary"]; ok {
		if o.Binary, err = d.str(at("binary"), v); err != nil {
			return o, err
		}
		if err := checkBinary(o.Binary); err != nil {
			return o, d.wrap(at("binary"), err)
		}
	}
	return o, nil
}

// checkOverride checks the source of an entry for one platform.
func (d *decoder) checkOverride(path []string, p *Plugin, name string, source *Source) error {
	if !lock.KindOf(source.Kind).URLs || p.Source == nil || !lock.KindOf(p.Source.Kind).URLs {
		hint := "give the entry a URL as source"
		if of, _ := lock.LookupPlatform(name); of.Rosetta != "" {
			hint += fmt.Sprintf("; to run the program of %s, write: platforms.%s = { emulate = %q }", of.Rosetta, name, of.Rosetta)
		}
		return d.errorf(path, hint, "only a plugin with a URL can have another source on one platform")
	}
	_, _, gitHub := source.GitHub()
	if gitHub {
		return d.errorf(path, "write its URL", "another source on one platform must be a URL")
	}
	return nil
}

// emulate decodes the permission to run programs of another platform. No other
// keys are allowed with it.
func (d *decoder) emulate(path []string, name string, t map[string]any, v any) (string, error) {
	other, err := d.str(path, v)
	if err != nil {
		return "", err
	}
	if err := d.platform(path, other); err != nil {
		return "", err
	}
	p, _ := lock.LookupPlatform(name)
	switch {
	case len(t) > 1:
		return "", d.errorf(path, "keep only emulate, or remove it", "a platform that emulates another one has no files")
	case !p.Runs(other):
		var can []string
		for _, p := range lock.Platforms {
			for _, o := range []string{p.Emulates, p.Rosetta} {
				if o != "" {
					can = append(can, o+" on "+p.Name)
				}
			}
		}
		return "", d.errorf(path, "remove it; these can be emulated: "+strings.Join(can, ", "), "%s cannot run programs of %s", name, other)
	case !slices.Contains(d.m.Platforms, other):
		return "", d.errorf(path, "add "+other+" to platforms", "%s emulates %s, which is not among the platforms", name, other)
	}
	return other, nil
}

// versions checks exact versions and ranges.
func (d *decoder) versions(path []string, versions []string) error {
	for _, v := range versions {
		if err := CheckWanted(v); err != nil {
			return d.wrap(path, err)
		}
	}
	return nil
}

func (d *decoder) bundles(v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table([]string{"bundles"}, v)
	if err != nil {
		return err
	}
	d.m.Bundles = map[string][]string{}
	names := slices.Sorted(maps.Keys(d.m.Plugins))
	for _, bundle := range slices.Sorted(maps.Keys(table)) {
		at := []string{"bundles", bundle}
		if err := syntax.CheckName(bundle); err != nil {
			return d.errorf(at, "", "bundle %w", err)
		}
		list, err := d.strs(at, table[bundle])
		if err != nil {
			return err
		}
		for _, name := range list {
			if !slices.Contains(names, name) {
				hint := fault.DidYouMean(name, names, "run: lockgen add "+name)
				return d.errorf(at, hint, "bundle %s has %q, which is not in [plugins]", bundle, name)
			}
		}
		d.m.Bundles[bundle] = list
	}
	return nil
}

func (d *decoder) buildScripts(at []string, v any) error {
	list, err := d.strs(at, v)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(d.m.Plugins))
	for _, name := range list {
		if !slices.Contains(names, name) {
			hint := fault.DidYouMean(name, names, "use the name of a plugin in [plugins]")
			return d.errorf(at, hint, "build-scripts has %q, which is not in [plugins]", name)
		}
	}
	d.m.Policy.BuildScripts = slices.Sorted(slices.Values(list))
	return nil
}

func (d *decoder) registries(v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table([]string{"registries"}, v)
	if err != nil {
		return err
	}
	if err := d.known([]string{"registries"}, table, lock.Ecosystems()...); err != nil {
		return err
	}
	d.m.Registries = Registries{}
	for _, kind := range slices.Sorted(maps.Keys(table)) {
		at := []string{"registries", kind}
		address, err := d.str(at, table[kind])
		if err != nil {
			return err
		}
		address = strings.TrimPrefix(address, lock.KindOf(kind).RegistryPrefix)
		if err := syntax.CheckURL(address); err != nil {
			return d.wrap(at, err)
		}
		d.m.Registries[kind] = address
	}
	return nil
}
