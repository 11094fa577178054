package cargo

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// Cargo applies the settings of the folder that it runs in, and of all above, to
// what it makes there: sources that replace those of the registry, patches, flags,
// programs to run. They are for the code of that project, and a plugin is none
// of it. So cargo never runs there. What counts of the user's settings is read
// here and written for cargo anew: which registry stands for the default one,
// and how it is reached
// (https://doc.rust-lang.org/cargo/reference/config.html).

// cargoReach is what the user's settings say of one registry.
type cargoReach struct {
	index string // "sparse+https://…/", "" for cargo's own default
	from  string // where it was found, for messages
	name  string // in [registries], "" for none
	token string // for it alone
	// provider is what the user's cargo gets the token from where it is not in
	// the settings: a program, which is not run.
	provider string
	http     map[string]any // of [http]
	retry    any            // [net] retry
}

// cargoHTTP are the settings of [http] that count, by name, with a value of
// their type.
var cargoHTTP = map[string]any{
	"proxy": "", "cainfo": "", "proxy-cainfo": "", "ssl-version": "", "user-agent": "",
	"timeout": int64(0), "low-speed-limit": int64(0), "check-revoke": false, "multiplexing": false,
}

// reach reads how the user's cargo, run in dir, reaches the registry that it
// takes crates from, or the given one. A file that cargo cannot read either, and
// a registry that is no sparse index, are of class Machine.
func reach(dir, registry string) (*cargoReach, error) {
	settings, err := readCargoSettings(dir)
	if err != nil {
		return nil, err
	}
	r := &cargoReach{http: map[string]any{}, retry: settings.get("net", "retry")}
	if text := os.Getenv("CARGO_NET_RETRY"); text != "" {
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			r.retry = n
		}
	}
	for name, zero := range cargoHTTP {
		value, from := settings.get("http", name), "the settings of cargo"
		env := "CARGO_HTTP_" + envName(name)
		if text := os.Getenv(env); text != "" {
			from, value = env, text
			switch zero.(type) {
			case bool:
				value = text == "true"
			case int64:
				value, _ = strconv.ParseInt(text, 10, 64)
			case string:
				if strings.HasSuffix(name, "cainfo") {
					value, err = filepath.Abs(text)
				}
			}
		}
		if value == nil || err != nil {
			continue
		}
		if fmt.Sprintf("%T", value) != fmt.Sprintf("%T", zero) {
			if name == "ssl-version" {
				continue // a table of two: cargo's default is TLS 1.2 as well
			}
			return nil, fault.Errorf(fault.Machine, "correct the setting", "http.%s of %s is no %T", name, from, zero)
		}
		r.http[name] = value
	}
	if err != nil {
		return nil, err
	}
	switch {
	case registry != "":
		r.index, r.from = "sparse+"+strings.TrimSuffix(strings.TrimPrefix(registry, "sparse+"), "/")+"/", "[registries] of plugins.toml"
	default:
		if r.index, r.from, err = settings.replacement(); err != nil {
			return nil, err
		}
	}
	if r.index == "" {
		return r, nil
	}
	if !strings.HasPrefix(r.index, "sparse+") {
		return nil, fault.Errorf(fault.Machine, "set [registries] cargo in plugins.toml to the URL of a sparse index of the same registry",
			"cargo is told by %s to take crates from %s, which is no sparse index", r.from, redact.Line(r.index))
	}
	// Cargo finds the name of a registry by the URL of its index, and so its token.
	for _, name := range settings.registryNames() {
		if !sameIndex(settings.registry(name, "index"), r.index) {
			continue
		}
		r.name = name
		r.token = settings.registry(name, "token")
		r.provider = settings.provider(name)
		break
	}
	return r, nil
}

// Way is how the user's cargo, run in dir, reaches the registry that it takes
// crates from, or the given one: the URL of its index, "" for cargo's own
// default, and by which proxy and authorities. Its errors are those of settings.
func Way(dir, registry string) (index string, w remote.Way, err error) {
	r, err := reach(dir, registry)
	if err != nil {
		return "", w, err
	}
	return strings.TrimPrefix(r.index, "sparse+"), r.way(), nil
}

// way is the part of the settings that is not in the environment.
func (r *cargoReach) way() remote.Way {
	w := remote.Way{Client: "cargo"}
	w.Proxy, _ = r.http["proxy"].(string)
	w.CAFile, _ = r.http["cainfo"].(string)
	return w
}

// config is the text of the only settings that cargo reads.
func (r *cargoReach) config(through *gate) ([]byte, error) {
	http := r.http
	if through != nil {
		http = maps.Clone(http)
		http["proxy"] = through.url
	}
	file := map[string]any{
		"http": http,
		// Others are programs, or what keeps secrets for the user's desktop.
		"registry": map[string]any{"global-credential-providers": []string{"cargo:token"}},
	}
	if r.retry != nil {
		file["net"] = map[string]any{"retry": r.retry}
	}
	if r.index != "" {
		file["source"] = map[string]any{
			"crates-io":      map[string]any{"replace-with": "buck2-protobuf"},
			"buck2-protobuf": map[string]any{"registry": r.index},
		}
	}
	if r.name != "" {
		registry := map[string]any{"index": r.index}
		if r.token != "" {
			registry["token"] = r.token
		}
		file["registries"] = map[string]any{r.name: registry}
	}
	return toml.Marshal(file)
}

// cargoSettings are the settings of all files, those of nearer ones first.
type cargoSettings struct {
	tree    map[string]any
	from    map[string]string // which file names the replacement of a source
	foreign map[string]bool   // sources that are no registry: folders and repositories
	replace map[string][]string
}

// readCargoSettings reads the files that cargo would in dir. The nearer a file,
// the more it counts, and credentials count most.
func readCargoSettings(dir string) (*cargoSettings, error) {
	s := &cargoSettings{tree: map[string]any{}, from: map[string]string{}, foreign: map[string]bool{}, replace: map[string][]string{}}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	home := cargoHome()
	var folders []string // the nearest first
	for {
		folders = append(folders, filepath.Join(dir, ".cargo"))
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	if home != "" && !slices.Contains(folders, filepath.Clean(home)) {
		folders = append(folders, home)
	}
	var files []string
	for _, folder := range folders {
		for _, name := range []string{"config", "config.toml"} { // where both are, the first counts
			if file := filepath.Join(folder, name); proc.IsFile(file) {
				files = append(files, file)
				break
			}
		}
	}
	slices.Reverse(files)
	if home != "" {
		for _, name := range []string{"credentials", "credentials.toml"} {
			if file := filepath.Join(home, name); proc.IsFile(file) {
				files = append(files, file)
				break
			}
		}
	}
	for _, file := range files {
		if err := s.read(file, 0); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read takes up one file and what it includes, which counts less than the file
// itself.
func (s *cargoSettings) read(file string, depth int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fault.Errorf(fault.Machine, "correct the permissions of the file", "the settings of cargo: %w", err)
	}
	var tree map[string]any
	if _, err := tomlscan.Decode(string(data), &tree); err != nil {
		line, text := 0, err.Error()
		var parse toml.ParseError
		if errors.As(err, &parse) {
			line, text = parse.Position.Line, parse.Message
		}
		return fault.Errorf(fault.Machine, "correct the line", "%s:%d: the settings of cargo: %s", file, line, redact.Line(text))
	}
	for _, include := range includes(tree["include"]) {
		path := include.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		if include.optional && !proc.IsFile(path) {
			continue
		}
		if depth == 8 {
			return fault.Errorf(fault.Machine, "correct the settings", "%s: the settings of cargo include too many files, one in the other", file)
		}
		if err := s.read(path, depth+1); err != nil {
			return err
		}
	}
	// A relative path is one of the folder in which .cargo is.
	if http, ok := tree["http"].(map[string]any); ok {
		for _, name := range []string{"cainfo", "proxy-cainfo"} {
			if path, ok := http[name].(string); ok && !filepath.IsAbs(path) {
				http[name] = filepath.Join(filepath.Dir(filepath.Dir(file)), path)
			}
		}
	}
	sources, _ := tree["source"].(map[string]any)
	for name, source := range sources {
		source, _ := source.(map[string]any)
		if with, ok := source["replace-with"].(string); ok {
			s.replace[name] = append(s.replace[name], with)
			s.from[name+"\x00"+with] = file
		}
		for _, kind := range []string{"directory", "local-registry", "git"} {
			if _, ok := source[kind]; ok {
				s.foreign[name] = true
			}
		}
	}
	overlay(s.tree, tree)
	return nil
}

type cargoInclude struct {
	path     string
	optional bool
}

// includes reads the value of include: a path, a list of them, or of tables.
func includes(value any) []cargoInclude {
	switch v := value.(type) {
	case string:
		return []cargoInclude{{path: v}}
	case map[string]any:
		path, _ := v["path"].(string)
		optional, _ := v["optional"].(bool)
		return []cargoInclude{{path, optional}}
	case []any:
		var list []cargoInclude
		for _, one := range v {
			list = append(list, includes(one)...)
		}
		return list
	case []map[string]any:
		var list []cargoInclude
		for _, one := range v {
			list = append(list, includes(one)...)
		}
		return list
	}
	return nil
}

// overlay writes one tree over another.
func overlay(to, from map[string]any) {
	for key, value := range from {
		table, ok := value.(map[string]any)
		below, there := to[key].(map[string]any)
		switch {
		case ok && there:
			overlay(below, table)
		case ok:
			below = map[string]any{}
			overlay(below, table)
			to[key] = below
		default:
			to[key] = value
		}
	}
}

// get returns a value, nil for none.
func (s *cargoSettings) get(path ...string) any {
	var at any = s.tree
	for _, key := range path {
		table, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = table[key]
	}
	return at
}

func (s *cargoSettings) text(path ...string) string {
	text, _ := s.get(path...).(string)
	return text
}

// envName is how a variable of cargo spells a key.
func envName(key string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(key))
}

// registryNames are the names of all registries, sorted.
func (s *cargoSettings) registryNames() []string {
	tables, _ := s.get("registries").(map[string]any)
	names := slices.Sorted(maps.Keys(tables))
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		rest, isRegistry := strings.CutPrefix(key, "CARGO_REGISTRIES_")
		name, isIndex := strings.CutSuffix(rest, "_INDEX")
		if isRegistry && isIndex && !slices.ContainsFunc(names, func(n string) bool { return envName(n) == name }) {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	return names
}

// registry returns a setting of a registry; a variable counts more than a file.
func (s *cargoSettings) registry(name, key string) string {
	return cmp.Or(os.Getenv("CARGO_REGISTRIES_"+envName(name)+"_"+envName(key)), s.text("registries", name, key))
}

// provider is where the token of a registry comes from that is not in the
// settings, "" for nowhere.
func (s *cargoSettings) provider(name string) string {
	word := func(value any) string {
		switch v := value.(type) {
		case string:
			return v
		case []any:
			if len(v) > 0 {
				text, _ := v[0].(string)
				return text
			}
		}
		return ""
	}
	if p := cmp.Or(s.registry(name, "credential-provider"), word(s.get("registries", name, "credential-provider"))); p != "" {
		return p
	}
	if list, ok := s.get("registry", "global-credential-providers").([]any); ok {
		for _, one := range list {
			if p := word(one); p != "" && p != "cargo:token" {
				return p
			}
		}
	}
	for p := range strings.FieldsSeq(os.Getenv("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS")) {
		if p != "cargo:token" {
			return p
		}
	}
	return ""
}

// replacement follows what stands for the default registry to the URL of an
// index, "" where nothing does. A folder or a repository of vendored crates has
// those of the project and none of a plugin's, so it stands for nothing.
func (s *cargoSettings) replacement() (index, from string, err error) {
	name := "crates-io"
	for range 16 {
		with := ""
		for _, one := range s.replace[name] { // the last counts
			if !s.foreign[one] {
				with = one
			}
		}
		if with == "" {
			break
		}
		from = s.from[name+"\x00"+with]
		name = with
		if len(s.replace[name]) == 0 {
			break
		}
	}
	if name == "crates-io" {
		index = s.text("source", name, "registry")
		if len(s.replace[name]) > 0 && !strings.HasPrefix(index, "sparse+") {
			index = "" // what is said of it so that vendored crates may stand for it
		}
		return index, "[source.crates-io] of its settings", nil
	}
	index = cmp.Or(s.text("source", name, "registry"), s.registry(name, "index"))
	if index == "" {
		return "", "", fault.Errorf(fault.Machine, "correct the settings of cargo, or set [registries] cargo in plugins.toml",
			"%s replaces the registry of crates with %q, which no settings say the index of", from, redact.Line(name))
	}
	return index, from, nil
}

// sameIndex compares the URLs of two indexes.
func sameIndex(a, b string) bool {
	return a != "" && strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/"))
}

// noToken says why the token of a registry is not known.
func (r *cargoReach) noToken() error {
	name := cmp.Or(r.name, "NAME")
	hint := fmt.Sprintf("put the token into the variable CARGO_REGISTRIES_%s_TOKEN", envName(name))
	if r.name == "" {
		hint = fmt.Sprintf("name the registry in the settings of cargo, [registries.NAME] index = %q, and run: cargo login --registry NAME", r.index)
	}
	if r.provider != "" && r.provider != "cargo:token" {
		return fault.About(fault.AboutSettings, fault.Errorf(fault.Machine, hint,
			"registry %s demands a token, which cargo would get from %s, a program that is not run here", name, redact.Line(r.provider)))
	}
	return fault.About(fault.AboutSettings, fault.Errorf(fault.Machine, hint,
		"the registry %s demands a token, and the settings of cargo have none for it", redact.Line(r.index)))
}
