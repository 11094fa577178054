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
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// cargo applies the settings of its working directory and all folders above:
// source replacement, patches, flags, programs to run. They are meant for the
// code of that project, not for plugins, so we never run cargo there. We read
// the relevant settings here and write them to a new file for cargo: which
// registry replaces the default one, and how to reach it
// (https://doc.rust-lang.org/cargo/reference/config.html).

// A cargoReach has the user's settings for one registry.
type cargoReach struct {
	index string // "sparse+https://…/"; "" for cargo's default
	from  string // where index was found, for messages
	name  string // in [registries]; "" for none
	token string // only sent to this registry
	// provider is where the user's cargo gets a token that is not in the
	// settings: a program, which we do not run.
	provider string
	http     map[string]any // of [http]
	retry    any            // [net] retry
}

// cargoHTTP has the settings of [http] that count, by name, with a value of
// their type.
var cargoHTTP = map[string]any{
	"proxy": "", "cainfo": "", "proxy-cainfo": "", "ssl-version": "", "user-agent": "",
	"timeout": int64(0), "low-speed-limit": int64(0), "check-revoke": false, "multiplexing": false,
}

// reach reads how the user's cargo, run in dir, reaches the registry that it
// uses, or the given one. A file that cargo cannot read either, or a registry
// that is not a sparse index, is an error of class [fault.Machine].
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
				continue // a table with min and max: cargo's default is TLS 1.2 too
			}
			return nil, fault.Errorf(fault.Machine, "correct the setting", "http.%s of %s is not a %T", name, from, zero)
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
			"%s configures cargo to use %s, which is not a sparse index", r.from, redact.Line(r.index))
	}
	// cargo finds the name of a registry, and so its token, by the URL of its
	// index.
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

// Way returns the URL of the index that the user's cargo uses in dir, or of the
// given registry, "" for cargo's default, and the proxy and authorities for it.
// Errors are about the settings.
func Way(dir, registry string) (index string, w remote.Way, err error) {
	r, err := reach(dir, registry)
	if err != nil {
		return "", w, err
	}
	return strings.TrimPrefix(r.index, "sparse+"), r.way(), nil
}

// way returns the settings that are not in the environment.
func (r *cargoReach) way() remote.Way {
	w := remote.Way{Client: "cargo"}
	w.Proxy, _ = r.http["proxy"].(string)
	w.CAFile, _ = r.http["cainfo"].(string)
	return w
}

// config returns the only settings that cargo reads.
func (r *cargoReach) config(through *guard) ([]byte, error) {
	http := r.http
	if through != nil {
		http = maps.Clone(http)
		http["proxy"] = through.url
	}
	file := map[string]any{
		"http": http,
		// Other providers are programs, or the user's keychain.
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

// cargoSettings has the settings of all files, the nearest first.
type cargoSettings struct {
	tree    map[string]any
	from    map[string]string // the file that replaces a source, by source
	foreign map[string]bool   // sources that are not registries: folders and repositories
	replace map[string][]string
}

// readCargoSettings reads the files that cargo would read in dir. Nearer files
// take precedence, and credentials take precedence over all.
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
		for _, name := range []string{"config", "config.toml"} { // if both exist, the first one counts
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

// read adds a file and its includes, over which the file takes precedence.
func (s *cargoSettings) read(file string, depth int) error {
	data, err := input.File(file)
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
			return fault.Errorf(fault.Machine, "correct the settings", "%s: the settings of cargo include each other too deeply", file)
		}
		if err := s.read(path, depth+1); err != nil {
			return err
		}
	}
	// A relative path starts at the folder that .cargo is in.
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

// includes parses the value of include: a path, or a list of paths or tables.
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

// overlay merges one tree into another.
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

// get returns a value, or nil.
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

// envName returns a key as written in a variable of cargo.
func envName(key string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(key))
}

// registryNames returns the names of all registries, sorted.
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

// registry returns a setting of a registry; a variable takes precedence.
func (s *cargoSettings) registry(name, key string) string {
	return cmp.Or(os.Getenv("CARGO_REGISTRIES_"+envName(name)+"_"+envName(key)), s.text("registries", name, key))
}

// provider returns the credential provider of a registry without a token in the
// settings, or "".
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

// replacement follows source replacements of the default registry and returns
// the URL of an index, or "" if there is none. A folder or repository of
// vendored crates has those of the project, not those of a plugin, so it does
// not count.
func (s *cargoSettings) replacement() (index, from string, err error) {
	name := "crates-io"
	for range 16 {
		with := ""
		for _, one := range s.replace[name] { // the last one wins
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
			index = "" // the replacement only exists for vendored crates
		}
		return index, "[source.crates-io] of its settings", nil
	}
	index = cmp.Or(s.text("source", name, "registry"), s.registry(name, "index"))
	if index == "" {
		return "", "", fault.Errorf(fault.Machine, "correct the settings of cargo, or set [registries] cargo in plugins.toml",
			"%s replaces the crate registry with %q, but no settings have its index", from, redact.Line(name))
	}
	return index, from, nil
}

// sameIndex compares the URLs of two indexes.
func sameIndex(a, b string) bool {
	return a != "" && strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/"))
}

// noToken returns the error for a registry without a known token.
func (r *cargoReach) noToken() error {
	name := cmp.Or(r.name, "NAME")
	hint := fmt.Sprintf("set the variable CARGO_REGISTRIES_%s_TOKEN to the token", envName(name))
	if r.name == "" {
		hint = fmt.Sprintf("add the registry to the settings of cargo, [registries.NAME] index = %q, and run: cargo login --registry NAME", r.index)
	}
	if r.provider != "" && r.provider != "cargo:token" {
		return fault.About(fault.AboutSettings, fault.Errorf(fault.Machine, hint,
			"registry %s requires a token, which cargo would get from the program %s, which lockgen does not run", name, redact.Line(r.provider)))
	}
	return fault.About(fault.AboutSettings, fault.Errorf(fault.Machine, hint,
		"the registry %s requires a token, but the settings of cargo have none for it", redact.Line(r.index)))
}
