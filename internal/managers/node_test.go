package managers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// testCache is a folder for what comes from the registry; it outlives the test.
func testCache(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no cache folder for the packages of the registry: %v", err)
	}
	return filepath.Join(cache, "buck2-protobuf-test", name)
}

// tools are the managers that the tests install. Program is a pattern of the
// file that people have on their PATH once the package's install script has
// run, which it does not here.
var tools = []struct{ name, spec, program string }{
	{"npm", "", ""},
	{"pnpm", "pnpm@9.15.9", "pnpm/bin/pnpm.cjs"},
	{"pnpm", "pnpm@12.21.0", "@pnpm/exe.*/pnpm*"},
	{"yarn", "yarn@1.22.22", "yarn/bin/yarn.js"},
	{"yarn", "@yarnpkg/cli-dist@4.18.0", "@yarnpkg/cli-dist/bin/yarn.js"},
	{"bun", "bun@1.4.5", "@oven/bun-*/bin/bun*"},
}

// machineNPM is the npm of this machine; tests of ours need it unless there is
// none.
func machineNPM(t *testing.T) *npm.Client {
	t.Helper()
	testenv.Real(t, "it starts npm")
	n, err := npm.Find(t.Context())
	if err != nil {
		t.Skipf("no npm to try with: %v", err)
	}
	return n
}

// eachManager runs a test with npm, and in the full suite with every manager, found
// as FindNode finds them. The registry is asked for them once.
func eachManager(t *testing.T, test func(t *testing.T, m *NodeManager)) {
	npm := machineNPM(t)
	for _, tool := range tools {
		name := tool.name
		if tool.spec != "" {
			name = path.Base(tool.spec)
		}
		t.Run(name, func(t *testing.T) {
			if tool.spec == "" {
				m, err := OfNPM(npm)
				if err != nil {
					t.Fatal(err)
				}
				test(t, m)
				return
			}
			testenv.OnlyFull(t, "npm does the same")
			dir := testCache(t, "managers")
			dir = filepath.Join(dir, strings.ReplaceAll(tool.spec, "/", "+"))
			find := func() string {
				found, err := filepath.Glob(filepath.Join(dir, "node_modules", filepath.FromSlash(tool.program)))
				if err != nil || len(found) == 0 {
					return ""
				}
				return found[0]
			}
			if find() == "" {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(npm.Node(), npm.Program()[1], "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", tool.spec).CombinedOutput()
				if err != nil {
					t.Skipf("%s cannot be had from the registry: %v: %s", tool.spec, err, out)
				}
			}
			program := find()
			if program == "" {
				t.Fatalf("%s has no %s", tool.spec, tool.program)
			}
			on := t.TempDir()
			link := filepath.Join(on, tool.name)
			if runtime.GOOS == "windows" {
				link += filepath.Ext(program)
			}
			if err := proc.Place(program, link); err != nil {
				t.Fatal(err)
			}
			old := os.Getenv("PATH")
			t.Setenv("PATH", on+string(os.PathListSeparator)+filepath.Dir(npm.Node())+string(os.PathListSeparator)+old)
			m, err := FindNode(t.Context(), tool.name, func() (string, error) { return npm.Node(), nil })
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", old)
			if want := tool.spec[strings.LastIndexByte(tool.spec, '@')+1:]; m.Version != want {
				t.Fatalf("found version %s, want %s", m.Version, want)
			}
			test(t, m)
		})
	}
}

// unpack returns what the tarballs hold, read by internal/archive: what Install
// has to make. It sets their Files.
func unpack(t *testing.T, pkgs []Tarball) []archive.File {
	t.Helper()
	var all []archive.File
	for i, p := range pkgs {
		f, err := os.Open(p.File)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, err := kind.Unpack(t.Context(), f, "", &lock.Version{Source: lock.NPM, Files: map[string]lock.File{p.Path: {Integrity: p.Integrity}}}, p.Path, "")
		if err != nil {
			t.Fatal(err)
		}
		pkgs[i].Files = files
		all = append(all, files...)
	}
	slices.SortFunc(all, func(a, b archive.File) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// installs compares what a manager makes of the tarballs, whose plain unpacking
// is want.
func installs(t *testing.T, m *NodeManager, dir string, pkgs []Tarball, want []archive.File) {
	t.Helper()
	start := time.Now()
	if err := m.Install(t.Context(), dir, pkgs); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s installed %d packages in %s", m.Name, m.Version, len(pkgs), time.Since(start).Round(10*time.Millisecond))
	got, err := archive.HashDir(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		t.Fatal("the tarballs are empty")
	}
	if diff := archive.Diff(want, got); diff != "" {
		t.Errorf("%s made another folder: %s", m.Name, diff)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("besides node_modules there are %v, %v", entries, err)
	}
}

// pack writes a tarball and describes it; path is where it belongs.
func pack(t *testing.T, path, name, version string, body []byte) Tarball {
	t.Helper()
	file := filepath.Join(t.TempDir(), "blob") // as the store has it, without a suffix
	if err := os.WriteFile(file, body, 0o400); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(body)
	return Tarball{Path: path, Name: name, Version: version, File: file, Integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
}

// inOrder makes a tarball whose entries have the given order: "NAME" or
// "NAME*" for an executable one, with its own name as content.
func inOrder(t *testing.T, manifest string, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	add := func(name, body string, mode int64) {
		if err := tw.WriteHeader(&tar.Header{Name: "package/" + name, Mode: mode, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(tw, body)
	}
	add("package.json", manifest, 0o644)
	for _, name := range names {
		mode := int64(0o644)
		name, exec := strings.CutSuffix(name, "*")
		if exec {
			mode = 0o755
		}
		add(name, "this is "+name, mode)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// oddPackages are packages on which npm has ideas of its own. Canary is a file
// that their install scripts would write.
func oddPackages(t *testing.T, canary string) []Tarball {
	manifest := func(fields map[string]any) string {
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	type m = map[string]any
	touch := "echo ran >> '" + canary + "'"
	scripts := m{}
	for _, name := range []string{"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare", "dependencies"} {
		scripts[name] = touch
	}
	return []Tarball{
		pack(t, "node_modules/scripts", "scripts", "1.0.0", inOrder(t, manifest(m{"name": "scripts", "version": "1.0.0", "scripts": scripts, "gypfile": true}),
			"binding.gyp", ".npmrc", "server.js")),
		pack(t, "node_modules/ignores", "ignores", "1.0.0", inOrder(t, manifest(m{"name": "ignores", "version": "1.0.0"}),
			".gitignore", "one/.gitignore*", "two/.npmignore", "two/.gitignore", "three/.gitignore", "three/.npmignore", "four/.npmignore")),
		pack(t, "node_modules/ignores/node_modules/@in/ner", "@in/ner", "2.0.0", inOrder(t, manifest(m{"name": "@in/ner", "version": "2.0.0"}),
			".npmignore", "x/.gitignore")),
		pack(t, "node_modules/@in/ner", "@in/ner", "1.0.0", inOrder(t, manifest(m{"name": "@in/ner", "version": "1.0.0"}), "index.js")),
		pack(t, "node_modules/bins", "bins", "1.0.0", inOrder(t, manifest(m{"name": "bins", "version": "1.0.0", "bin": m{"a": "./a.js", "b": "../../b.js", "c": "missing.js"}}),
			"a.js", "b.js", "c.js", "tool*")),
		pack(t, "node_modules/bin-dir", "bin-dir", "1.0.0", inOrder(t, manifest(m{"name": "bin-dir", "version": "1.0.0", "directories": m{"bin": "cmds"}}), "cmds/x", "cmds/y*", "cmds/d/x")),
		pack(t, "node_modules/crlf", "crlf", "1.0.0", fake.Tarball("package", map[string]string{
			"package.json": manifest(m{"name": "crlf", "version": "1.0.0", "bin": "x.js"}), "x.js": "#!/usr/bin/env node\r\n1\r\n"})),
		pack(t, "node_modules/alias", "@real/name", "3.0.0", inOrder(t, manifest(m{"name": "@real/name", "version": "3.0.0"}), "index.js")),
		pack(t, "node_modules/elsewhere", "elsewhere", "1.0.0", inOrder(t, manifest(m{"name": "elsewhere", "version": "1.0.0",
			"os": []string{"aix"}, "cpu": []string{"s390x"}, "libc": []string{"musl"}, "engines": m{"node": ">=999", "npm": "<1"}, "engineStrict": true}), "index.node")),
		pack(t, "node_modules/wants", "wants", "1.0.0", inOrder(t, manifest(m{"name": "wants", "version": "1.0.0",
			"dependencies": m{"nowhere": "^1", "git": "git+https://127.0.0.1:9/x.git"}, "optionalDependencies": m{"none": "1"},
			"peerDependencies": m{"alias": "^99"}, "devDependencies": m{"dev": "1"}}), "index.js")),
		pack(t, "node_modules/bundles", "bundles", "1.0.0", inOrder(t, manifest(m{"name": "bundles", "version": "1.0.0",
			"dependencies": m{"inside": "1.0.0"}, "bundleDependencies": []string{"inside"}}),
			"index.js", "node_modules/inside/index.js", "node_modules/inside/.gitignore")),
		pack(t, "node_modules/shrinks", "shrinks", "1.0.0", fake.Tarball("package", map[string]string{
			"package.json":        manifest(m{"name": "shrinks", "version": "1.0.0", "dependencies": m{"more": "1"}}),
			"npm-shrinkwrap.json": `{"name":"shrinks","version":"1.0.0","lockfileVersion":3,"packages":{"":{"dependencies":{"more":"1"}},"node_modules/more":{"version":"1.0.0"}}}`})),
		// Neither the folder in the tarball nor the name in its package.json is
		// the locked one; npm does not mind, the lock's tree decides.
		pack(t, "node_modules/lies", "lies", "1.0.0", fake.Tarball("other-top", map[string]string{"package.json": `{"name":"truth","version":"6.6.6"}`})),
	}
}

// TestNodeManagersAreOne: every manager makes the same folder of packages on
// which they have ideas of their own, and runs nothing of them.
func TestNodeManagersAreOne(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	pkgs := oddPackages(t, canary)
	want := unpack(t, pkgs)
	eachManager(t, func(t *testing.T, m *NodeManager) {
		installs(t, m, t.TempDir(), pkgs, want)
		if _, err := os.Stat(canary); err == nil {
			t.Error("an install script ran")
		}
	})
}

// TestNodeManagersIgnoreTheUser installs with everything of the user's set
// against us: the folder stays the same, and nothing of theirs runs.
func TestNodeManagersIgnoreTheUser(t *testing.T) {
	eachManager(t, func(t *testing.T, m *NodeManager) {
		node := machineNPM(t).Node()
		home := t.TempDir()
		canary := filepath.Join(home, "canary")
		hook := filepath.Join(home, "hook.js")
		fake.Write(t, hook, "require('fs').appendFileSync("+fmt.Sprintf("%q", canary)+", process.argv.join(' ') + '\\n')\n")
		rc := "registry=http://127.0.0.1:9/user/\nignore-scripts=false\nbin-links=true\ndry-run=true\nomit=optional\ninstall-strategy=linked\n" +
			"node-options=--require " + hook + "\nscript-shell=" + hook + "\ngit=" + hook + "\nforce=true\nos=plan9\nglobal=true\nprefix=" + home + "\n" +
			"engine-strict=true\nallow-git=all\nallow-file=none\noffline=false\nfund=true\naudit=true\numask=0777\nonload-script=" + hook + "\n"
		fake.Write(t, filepath.Join(home, "etc", "npmrc"), rc)
		parent := t.TempDir() // of the folder to install in
		for _, dir := range []string{home, parent, filepath.Join(home, "pnpm"), filepath.Join(home, ".config", "pnpm")} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{
				".npmrc":              rc + "node-linker=isolated\nhoist=false\nstore-dir=" + home + "\n",
				"rc":                  rc,
				"config.yaml":         "registry: http://127.0.0.1:9/pnpm/\nnodeLinker: isolated\npnpmfile: " + hook + "\n",
				"pnpm-workspace.yaml": "packages: ['**']\nregistry: http://127.0.0.1:9/pnpm/\nnodeLinker: isolated\noverrides: {bins: 9.9.9}\nonlyBuiltDependencies: [scripts]\ndangerouslyAllowAllBuilds: true\n",
				".pnpmfile.cjs":       "require(" + fmt.Sprintf("%q", hook) + ")\n",
				".yarnrc":             "registry \"http://127.0.0.1:9/yarn/\"\nyarn-path \"" + hook + "\"\n--ignore-scripts false\n--install.production true\n",
				".yarnrc.yml":         "yarnPath: " + hook + "\nnodeLinker: pnp\nenableScripts: true\nnpmRegistryServer: http://127.0.0.1:9/yarn/\nplugins: [{path: " + hook + ", spec: x}]\n",
				"bunfig.toml":         "preload = [" + fmt.Sprintf("%q", hook) + "]\n[install]\nregistry = \"http://127.0.0.1:9/bun/\"\nlinker = \"isolated\"\nproduction = true\nminimumReleaseAge = 99999999\nglobalDir = \"" + home + "\"\n",
				".bunfig.toml":        "[install]\nregistry = \"http://127.0.0.1:9/bun/\"\nlinker = \"isolated\"\nminimumReleaseAge = 99999999\n",
			} {
				fake.Write(t, filepath.Join(dir, name), text)
			}
		}
		fake.Write(t, filepath.Join(parent, "package.json"), `{"name":"above","workspaces":["*"],"packageManager":"deno@1.0.0","engines":{"node":"99","npm":"99","pnpm":"99","yarn":"99","bun":"99"},`+
			`"devEngines":{"packageManager":{"name":"deno","version":"1.x","onFail":"error"},"runtime":{"name":"deno","onFail":"error"}},"scripts":{"preinstall":"node `+hook+`"},"overrides":{"bins":"9.9.9"}}`)
		dir := filepath.Join(parent, "here")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		git := fake.Programs(t, map[string]string{"git": "hang", "sh": "hang", "node-gyp": "hang"})
		for key, value := range map[string]string{
			"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": home, "PREFIX": home, "NODE_ENV": "production",
			"NODE_OPTIONS": "--require " + hook, "NODE_PATH": home, "NODE_EXTRA_CA_CERTS": hook, "NODE_REPL_EXTERNAL_MODULE": hook,
			"npm_config_userconfig": filepath.Join(home, ".npmrc"), "npm_config_globalconfig": filepath.Join(home, "etc", "npmrc"),
			"npm_config_ignore_scripts": "false", "NPM_CONFIG_DRY_RUN": "true", "npm_config_global": "true", "npm_config_prefix": home,
			"npm_config_omit": "dev optional peer", "npm_config_script_shell": hook, "npm_config_node_options": "--require " + hook,
			"npm_config_install_strategy": "linked", "npm_config_package_lock": "false", "npm_config_cache": "/nonexistent",
			"npm_config_registry": "http://127.0.0.1:9/env/", "npm_config_workspaces": "true", "INIT_CWD": home,
			"YARN_NODE_LINKER": "pnp", "YARN_ENABLE_SCRIPTS": "true", "YARN_PLUGINS": hook, "YARN_YARN_PATH": hook, "YARN_REGISTRY": "http://127.0.0.1:9/env/",
			"BUN_CONFIG_REGISTRY": "http://127.0.0.1:9/env/", "BUN_INSTALL": home, "BUN_OPTIONS": "--preload " + hook, "pnpm_config_node_linker": "isolated",
			"PNPM_HOME": home, "HTTP_PROXY": "http://127.0.0.1:9/hostile", "HTTPS_PROXY": "http://127.0.0.1:9/hostile", "LD_LIBRARY_PATH": home,
			"PATH": git + string(os.PathListSeparator) + os.Getenv("PATH"),
		} {
			t.Setenv(key, value)
		}
		// The hook is live: a node in the user's environment runs it.
		if out, err := exec.Command(node, "-e", "0").CombinedOutput(); err != nil {
			t.Fatalf("node in the hostile environment: %v, %s", err, out)
		}
		if _, err := os.Stat(canary); err != nil {
			t.Fatalf("the canary of this test is dead: %v", err)
		}
		if err := os.Remove(canary); err != nil {
			t.Fatal(err)
		}
		_, _ = FindNode(t.Context(), m.Name, func() (string, error) { return node, nil })
		pkgs := oddPackages(t, canary)
		installs(t, m, dir, pkgs, unpack(t, pkgs))
		if text, err := os.ReadFile(canary); err == nil {
			t.Errorf("something of the user's ran: %s", text)
		}
	})
}

func TestNodeManagerRefuses(t *testing.T) {
	n, err := OfNPM(machineNPM(t))
	if err != nil {
		t.Fatal(err)
	}
	good := pack(t, "node_modules/a", "a", "1.0.0", inOrder(t, `{"name":"a","version":"1.0.0"}`, "index.js"))
	change := func(f func(*Tarball)) []Tarball {
		p := good
		f(&p)
		return []Tarball{good, p}
	}
	wrong := pack(t, "node_modules/b", "b", "1.0.0", []byte("this is no tarball"))
	for name, test := range map[string]struct {
		pkgs  []Tarball
		class fault.Class
		says  string
	}{
		"no integrity":   {change(func(p *Tarball) { p.Path, p.Integrity = "node_modules/b", "" }), fault.Lock, "sha512"},
		"sha1":           {change(func(p *Tarball) { p.Path, p.Integrity = "node_modules/b", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }), fault.Lock, "sha512"},
		"twice":          {[]Tarball{good, good}, fault.Lock, "twice"},
		"no parent":      {change(func(p *Tarball) { p.Path = "node_modules/b/node_modules/c" }), fault.Lock, "node_modules/b"},
		"outside":        {change(func(p *Tarball) { p.Path = "node_modules/../../b" }), fault.Lock, "../../b"},
		"not a folder":   {change(func(p *Tarball) { p.Path = "b" }), fault.Lock, "node_modules/NAME"},
		"deep":           {change(func(p *Tarball) { p.Path = "node_modules/b/c" }), fault.Lock, "node_modules/NAME"},
		"bin":            {change(func(p *Tarball) { p.Path = "node_modules/.bin" }), fault.Lock, "node_modules/NAME"},
		"no version":     {change(func(p *Tarball) { p.Path, p.Version = "node_modules/b", "" }), fault.Lock, "version"},
		"wrong bytes":    {change(func(p *Tarball) { p.Path, p.Integrity = "node_modules/b", wrong.Integrity }), fault.Integrity, "EINTEGRITY"},
		"not a tarball":  {[]Tarball{good, wrong}, fault.Machine, "npm install"},
		"no such file":   {change(func(p *Tarball) { p.Path, p.File = "node_modules/b", "/nonexistent/b" }), fault.Machine, ""},
		"git as version": {change(func(p *Tarball) { p.Path, p.Version = "node_modules/b", "git+https://127.0.0.1:9/x.git" }), fault.Lock, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := n.Install(t.Context(), dir, test.pkgs)
			fake.WantFault(t, err, test.class, test.says)
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
	dir := t.TempDir()
	fake.Write(t, filepath.Join(dir, "precious"), "")
	if err := n.Install(t.Context(), dir, []Tarball{good}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder with something in it: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
		t.Error(err)
	}
}

// TestNodeManagersCompare: bytes that are not those of the lock are found by
// the managers as well.
func TestNodeManagersCompare(t *testing.T) {
	good := pack(t, "node_modules/a", "a", "1.0.0", inOrder(t, `{"name":"a","version":"1.0.0"}`, "index.js"))
	other := pack(t, "node_modules/a", "a", "1.0.0", inOrder(t, `{"name":"a","version":"1.0.0"}`, "other.js"))
	want := unpack(t, []Tarball{good})
	good.File = other.File
	eachManager(t, func(t *testing.T, m *NodeManager) {
		dir := t.TempDir()
		err := m.Install(t.Context(), dir, []Tarball{good})
		if m.Name == "yarn" && strings.HasPrefix(m.Version, "4.") { // compares with checksums of its own alone
			got, hashErr := archive.HashDir(t.Context(), dir, nil)
			if err != nil || hashErr != nil || archive.Diff(want, got) == "" {
				t.Errorf("%v, %v: the tree shows nothing", err, hashErr)
			}
			return
		}
		fake.WantFault(t, err, fault.Integrity, m.Name+" install: exit status 1")
	})
}

// brokenManager is a manager that does one thing.
func brokenManager(t *testing.T, says string) *NodeManager {
	return &NodeManager{Name: "pnpm", Version: "9.0.0", run: []string{filepath.Join(fake.Programs(t, map[string]string{"tool": says}), "tool")}}
}

func TestBrokenNodeManager(t *testing.T) {
	good := pack(t, "node_modules/a", "a", "1.0.0", inOrder(t, `{"name":"a","version":"1.0.0"}`, "index.js"))
	dir := t.TempDir()
	err := brokenManager(t, "complain npm error code EACCES").Install(t.Context(), dir, []Tarball{good})
	fake.WantFault(t, err, fault.Machine, "pnpm install: exit status 3: npm error code EACCES")
	if hint := fault.Hint(err); !strings.Contains(hint, "BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1") {
		t.Errorf("hint %q", hint)
	}
	// It says that all is well and did nothing.
	err = brokenManager(t, "print added 1 package").Install(t.Context(), dir, []Tarball{good})
	fake.WantFault(t, err, fault.Machine, "left it out")

	ctx, cancel := context.WithCancel(t.Context())
	m := brokenManager(t, "hang")
	go func() {
		for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(m.run[0] + ".pid"); err == nil {
				break
			}
		}
		cancel()
	}()
	err = m.Install(ctx, dir, []Tarball{good})
	fake.WantFault(t, err, fault.Interrupted, "pnpm install")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// atRegistry is a registry without a configuration.
type atRegistry string

func (r atRegistry) Document(ctx context.Context, name string, full bool) ([]byte, error) {
	return remote.New(remote.Options{Attempts: 1}).NPMDocument(ctx, string(r), name, full)
}

func (r atRegistry) Tarball(ctx context.Context, name, version string, in remote.Sink) error {
	return remote.New(remote.Options{Attempts: 1}).Download(ctx, remote.NPMTarball(string(r), name, version), in, remote.DownloadOptions{})
}

// machineRegistry is the one that this machine's npm knows.
func machineRegistry(t *testing.T) atRegistry {
	t.Helper()
	c, err := npm.ReadConfig(t.Context(), ".", npm.User, npm.Find)
	if err != nil {
		t.Fatal(err)
	}
	url, err := c.Registry(t.Context(), "")
	if err != nil {
		t.Skipf("no registry to try with: %v", err)
	}
	return atRegistry(url)
}

// closure returns the locked tarballs of a real package, from a folder that
// outlives the test, or from the registry that this machine's npm knows.
func closure(t *testing.T, n *npm.Client, name, version string) []Tarball {
	t.Helper()
	dir := testCache(t, "npm")
	index := filepath.Join(dir, path.Base(name)+"-"+version+".json")
	var pkgs []Tarball
	if data, err := os.ReadFile(index); err == nil && json.Unmarshal(data, &pkgs) == nil && len(pkgs) > 0 {
		return pkgs // npm compares the integrity
	}
	l, err := n.Resolve(t.Context(), machineRegistry(t), name, version, nil, nil)
	if err != nil {
		t.Skipf("%s %s cannot be had from the registry: %v", name, version, err)
	}
	if len(l.Dropped) > 0 {
		t.Fatalf("dropped: %v", l.Dropped)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	for _, folder := range slices.Sorted(maps.Keys(l.Packages)) {
		p := l.Packages[folder]
		out, err := exec.Command(n.Node(), n.Program()[1], "pack", p.Name+"@"+p.Version, "--silent", "--ignore-scripts", "--pack-destination", scratch).Output()
		if err != nil {
			t.Skipf("%s %s cannot be had from the registry: %v", p.Name, p.Version, err)
		}
		file := strings.TrimSpace(string(out))
		keep := filepath.Join(dir, strings.TrimSuffix(file, ".tgz"))
		data, err := os.ReadFile(filepath.Join(scratch, file))
		if err == nil {
			err = os.WriteFile(keep+".new", data, 0o644)
		}
		if err == nil {
			err = os.Rename(keep+".new", keep)
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, Tarball{Path: folder, Name: p.Name, Version: p.Version, File: keep, Integrity: p.Integrity})
	}
	data, err := json.Marshal(pkgs)
	if err == nil {
		err = os.WriteFile(index, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// TestNodeManagersInstallPlugins installs the real plugins with each manager.
func TestNodeManagersInstallPlugins(t *testing.T) {
	testenv.OnlyFull(t, "TestRealPlugins of fetch installs one by npm")
	testenv.Real(t, "needs packages of the registry")
	npm := machineNPM(t)
	for _, test := range []struct {
		name, version, bin string
		packages           int
	}{
		{"ts-proto", "2.7.2", "node_modules/ts-proto/protoc-gen-ts_proto", 7},
		{"@protobuf-ts/plugin", "2.11.0", "node_modules/@protobuf-ts/plugin/bin/protoc-gen-ts", 11},
		{"@bufbuild/protoc-gen-es", "2.17.0", "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es", 7},
		{"@connectrpc/protoc-gen-connect-es", "1.6.1", "node_modules/@connectrpc/protoc-gen-connect-es/bin/protoc-gen-connect-es", 7},
	} {
		t.Run(path.Base(test.name), func(t *testing.T) {
			pkgs := closure(t, npm, test.name, test.version)
			if len(pkgs) != test.packages {
				t.Errorf("%d packages, want %d", len(pkgs), test.packages)
			}
			want := unpack(t, pkgs)
			if !slices.ContainsFunc(want, func(f archive.File) bool { return f.Path == test.bin && f.Exec }) {
				t.Errorf("%s is not an executable of the tree", test.bin)
			}
			eachManager(t, func(t *testing.T, m *NodeManager) {
				if yes, _ := proc.AtLeast(m.Version, 10, 0); test.name != "ts-proto" && m.Name != "bun" && !yes {
					t.Skip("the slow ones are tried with ts-proto")
				}
				installs(t, m, t.TempDir(), pkgs, want)
			})
		})
	}
}

// TestLoopback: the registry tells what the managers need, to who has its URL.
func TestLoopback(t *testing.T) {
	one := pack(t, "node_modules/@a/b", "@a/b", "1.0.0", []byte("one"))
	two := pack(t, "node_modules/x/node_modules/@a/b", "@a/b", "2.0.0", []byte("two"))
	s, err := proc.NewLoopback(newTarballs([]Tarball{one, two}).answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	host := s.Base[:strings.LastIndexByte(s.Base, '/')]
	get := func(url string) (int, string) {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	for _, name := range []string{"@a/b", "@a%2fb"} {
		status, body := get(s.Base + "/" + name)
		var doc struct {
			Name     string
			Versions map[string]map[string]any
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil || status != 200 || doc.Name != "@a/b" || len(doc.Versions) != 2 {
			t.Fatalf("%s: %d %s, %v", name, status, body, err)
		}
		for version, v := range doc.Versions {
			if keys := slices.Sorted(maps.Keys(v)); !slices.Equal(keys, []string{"dist", "name", "version"}) {
				t.Errorf("%s tells %v", version, keys)
			}
		}
		dist := doc.Versions["2.0.0"]["dist"].(map[string]any)
		if _, body := get(dist["tarball"].(string)); body != "two" || dist["integrity"] != two.Integrity {
			t.Errorf("%v is %q", dist, body)
		}
	}
	for _, url := range []string{s.Base + "/other", s.Base + "/-/2.tgz", s.Base + "/-/x", host + "/@a/b", host + "/wrong/@a/b", host + "/"} {
		if status, body := get(url); status != 404 {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
}

// TestRunReachesLoopback: a program without a network reaches the one registry
// and nothing else; where the machine has no such network it runs with its own.
func TestRunReachesLoopback(t *testing.T) {
	s, err := proc.NewLoopback(newTarballs(nil).answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	dial := func(address string) string {
		dir := fake.Programs(t, map[string]string{"tool": "dial " + address})
		c := proc.Command{Name: "tool", Path: filepath.Join(dir, "tool"), Dir: dir, Class: fault.Upstream}
		c.Offline, c.Serve = true, s
		out, err := c.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if got := dial(s.Listener.Addr().String()); got != "<nil>" {
		t.Errorf("the registry: %s", got)
	}
	switch got := dial(other.Addr().String()); {
	case got == "<nil>":
		t.Skip("this machine does not let a program go without network")
	case !strings.Contains(got, "refused"):
		t.Errorf("another port: %s", got)
	}
}

// TestPackagedManager: a script says its version by the package that it is of,
// without being run; anything else is asked.
func TestPackagedManager(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("programs are found by their extension there, and these have none")
	}
	for _, test := range []struct{ name, program, script, pkg, version string }{
		{"yarn", "yarn", "#!/usr/bin/env node\nprocess.exit(1)\n", `{"name": "yarn", "version": "1.22.22"}`, "1.22.22"},
		{"yarn", "yarn.js", "#!/usr/bin/env node\nprocess.exit(1)\n", `{"name": "@yarnpkg/cli-dist", "version": "4.18.0"}`, "4.18.0"},
		{"pnpm", "pnpm.cjs", "#!/usr/bin/env node\nprocess.exit(1)\n", `{"name": "pnpm", "version": "9.15.9"}`, "9.15.9"},
		{"pnpm", "pnpm.cjs", "#!/usr/bin/env node\n", `{"name": "yarn", "version": "1.22.22"}`, ""}, // somebody else's
		{"pnpm", "pnpm.cjs", "#!/usr/bin/env node\n", `{"name": "pnpm", "version": "latest"}`, ""},
		{"pnpm", "pnpm.cjs", "#!/usr/bin/env node\n", `{"name": "pnpm"}`, ""},
		{"pnpm", "pnpm.cjs", "#!/usr/bin/env node\n", `{`, ""},
		{"pnpm", "pnpm.cjs", "#!/usr/bin/env node\n", "", ""},
		{"pnpm", "pnpm", "\x7fELF", `{"name": "pnpm", "version": "12.21.0"}`, ""},
		{"yarn", "yarn", "#!/bin/sh\nexec corepack yarn\n", `{"name": "yarn", "version": "1.22.22"}`, ""},
	} {
		dir, on := t.TempDir(), t.TempDir()
		program := filepath.Join(dir, "bin", test.program)
		fake.Write(t, program, test.script)
		if err := os.Chmod(program, 0o700); err != nil {
			t.Fatal(err)
		}
		if test.pkg != "" {
			fake.Write(t, filepath.Join(dir, "package.json"), test.pkg)
		}
		link := filepath.Join(on, test.name)
		if err := os.Symlink(program, link); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
		t.Setenv("PATH", on)
		tool, ok := packaged(test.name)
		if ok != (test.version != "") || ok && (tool.Version != test.version || tool.Path != link) {
			t.Errorf("%s with %s: %+v, %v", test.program, test.pkg, tool, ok)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if tool, ok := packaged("pnpm"); ok {
		t.Errorf("on an empty PATH: %+v", tool)
	}
}

func TestNodeScript(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ name, text, script, says string }{
		{"pnpm.cjs", "#!/usr/bin/env node\n", "pnpm.cjs", ""},
		{"yarn", "#!/usr/bin/node\n", "yarn", ""},
		{"yarn.js", "", "yarn.js", ""},
		{"bun", "\x7fELF", "", ""},
		{"bun.exe", "MZ", "", ""},
		{"pnpm.cmd", "@ECHO off\r\nGOTO start\r\n:find_dp0\r\nSET dp0=%~dp0\r\nEXIT /b\r\n:start\r\n\"%_prog%\"  \"%dp0%\\node_modules\\pnpm\\bin\\pnpm.cjs\" %*\r\n",
			"node_modules/pnpm/bin/pnpm.cjs", ""},
		{"shim", "#!/bin/sh\nbasedir=$(dirname \"$0\")\nexec node  \"$basedir/../lib/node_modules/yarn/bin/yarn.js\" \"$@\"\n", "../lib/node_modules/yarn/bin/yarn.js", ""},
		{"asdf", "#!/usr/bin/env bash\nexec asdf exec pnpm \"$@\"\n", "", "in the user's environment"},
		{"x.cmd", "@echo hello\r\n", "", "in the user's environment"},
		{"pnpx", "#!/usr/bin/env node\nrequire('./corepack.cjs')\n", "", "corepack"},
	} {
		file := filepath.Join(dir, test.name)
		fake.Write(t, file, test.text)
		got, err := npm.NodeScript(file)
		want := ""
		if test.script != "" {
			want = filepath.Join(dir, filepath.FromSlash(test.script))
		}
		if test.says != "" {
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v", test.name, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, want)
		}
	}
}
