package npm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// nodeVariables are what node, npm, pnpm, Yarn, bun and corepack document as
// their own, and could make a child run, load, write or believe something else.
var nodeVariables = []string{
	"NODE_OPTIONS", "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", "NODE_REPL_HISTORY", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED",
	"NODE_COMPILE_CACHE", "NODE_COMPILE_CACHE_PORTABLE", "NODE_V8_COVERAGE", "NODE_REDIRECT_WARNINGS", "NODE_ICU_DATA", "NODE_ENV", "NODE_DEBUG", "NODE_DEBUG_NATIVE",
	"NODE_DISABLE_COLORS", "NODE_NO_WARNINGS", "NODE_PENDING_DEPRECATION", "NODE_PRESERVE_SYMLINKS", "NODE_PRESERVE_SYMLINKS_MAIN", "NODE_SKIP_PLATFORM_CHECK",
	"NODE_TEST_CONTEXT", "NODE_USE_ENV_PROXY", "NODE_USE_SYSTEM_CA", "NODE_GYP_FORCE_PYTHON", "UV_THREADPOOL_SIZE", "TZ", "OPENSSL_CONF", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"NPM_CONFIG_SCRIPT_SHELL", "npm_config_script_shell", "Npm_Config_Script-Shell", "NPM_CONFIG_NODE_OPTIONS", "npm_config_node_options", "npm_config_git", "npm_config_shell",
	"npm_config_editor", "npm_config_viewer", "npm_config_browser", "npm_config_onload_script", "npm_config_init_module", "npm_config_prefix", "npm_config_ignore_scripts",
	"npm_config_foreground_scripts", "npm_config_scripts_prepend_node_path", "npm_config_nodedir", "npm_config_cache", "npm_config_tmp", "npm_config_userconfig",
	"npm_config_globalconfig", "npm_config_registry", "npm_config_node_gyp", "npm_config_python", "npm_config_before", "npm_execpath", "npm_node_execpath",
	"npm_lifecycle_event", "INIT_CWD", "PREFIX", "EDITOR", "VISUAL", "SHELL", "PAGER", "BROWSER", "GIT_SSH_COMMAND", "GIT_SSH", "GIT_CONFIG_GLOBAL", "GIT_EXEC_PATH", "GIT_DIR",
	"COREPACK_HOME", "COREPACK_NPM_REGISTRY", "COREPACK_ENABLE_PROJECT_SPEC", "COREPACK_ENABLE_STRICT", "COREPACK_ROOT", "COREPACK_DEFAULT_TO_LATEST",
	"YARN_PLUGINS", "YARN_YARN_PATH", "YARN_RC_FILENAME", "YARN_ENABLE_SCRIPTS", "YARN_REGISTRY", "YARN_NPM_REGISTRY_SERVER", "YARN_CACHE_FOLDER", "YARN_IGNORE_PATH",
	"PNPM_HOME", "pnpm_config_registry", "pnpm_config_script_shell", "PNPM_CONFIG_PNPMFILE", "BUN_OPTIONS", "BUN_INSTALL", "BUN_CONFIG_REGISTRY", "BUN_RUNTIME_TRANSPILER_CACHE_PATH",
	"LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV",
}

// hostileSetup is a user whose files, variables and programs all leave a mark
// when something runs them.
type hostileSetup struct {
	canary, touch, home, project string
}

func (h hostileSetup) check(t *testing.T) {
	t.Helper()
	if text, err := os.ReadFile(h.canary); err == nil {
		t.Errorf("something ran that must not: %s", text)
	}
}

func hostileNode(t *testing.T) hostileSetup {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the traps are shell scripts")
	}
	node := testenv.Program(t, "node")
	h := hostileSetup{home: t.TempDir(), project: t.TempDir()}
	h.canary = filepath.Join(h.home, "canary")
	h.touch = "echo script >> " + h.canary
	script := filepath.Join(h.home, "trap")
	fake.Write(t, script, "#!/bin/sh\necho \"$0 $*\" >> "+h.canary+"\nexit 3\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	programs := filepath.Join(h.home, "programs")
	for _, name := range []string{"git", "sh", "bash", "node-gyp", "python3", "make", "cc", "ssh", "npx", "corepack", "vi"} {
		fake.Write(t, filepath.Join(programs, name), "")
		os.Remove(filepath.Join(programs, name))
		if err := os.Symlink(script, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	hook := filepath.Join(h.home, "hook.js")
	fake.Write(t, hook, "require('fs').appendFileSync("+fmt.Sprintf("%q", h.canary)+", 'hook ' + process.argv.join(' ') + '\\n')\n")
	rc := "script-shell=" + script + "\nshell=" + script + "\neditor=" + script + "\nviewer=" + script + "\nbrowser=" + script + "\ngit=" + script +
		"\nnode-options=--require " + hook + "\nonload-script=" + hook + "\ninit-module=" + hook + "\nnode-gyp=" + script + "\npython=" + script +
		"\nprefix=" + h.home + "\nignore-scripts=false\nforeground-scripts=true\nengine-strict=true\nallow-git=all\nallow-remote=all\nallow-file=all\n" +
		"omit=optional\npackage-lock=false\nlockfile-version=1\nlegacy-peer-deps=true\ndry-run=true\nforce=true\ninstall-strategy=nested\nomit-lockfile-registry-resolved=true\n" +
		"registry=http://127.0.0.1:9/user/\n"
	fake.Write(t, filepath.Join(h.home, "etc", "npmrc"), rc)
	manifest := `{"name": "monorepo", "private": true, "workspaces": ["**"], "packageManager": "pnpm@10.0.0",
		"engines": {"node": "99", "npm": "99"}, "devEngines": {"packageManager": {"name": "pnpm", "version": "10.x", "onFail": "error"}, "runtime": {"name": "bun"}},
		"overrides": {"lib": "file:../lib"}, "resolutions": {"lib": "some/lib"}, "pnpm": {"overrides": {"lib": "some/lib"}},
		"scripts": {"preinstall": "` + h.touch + `", "env": "` + h.touch + `", "prepare": "` + h.touch + `"}}`
	for _, dir := range []string{h.home, h.project} {
		for name, text := range map[string]string{
			".npmrc": rc, "package.json": manifest, ".nvmrc": "v99", ".node-version": "99", ".corepack.env": "COREPACK_ENABLE_STRICT=1",
			"pnpm-workspace.yaml": "packages: ['**']\npackageManagerStrict: true\nmanagePackageManagerVersions: true\n", ".pnpmfile.cjs": "require(" + fmt.Sprintf("%q", hook) + ")\n",
			".yarnrc": "yarn-path \"" + hook + "\"\n", ".yarnrc.yml": "yarnPath: " + hook + "\nplugins: [{path: " + hook + ", spec: x}]\n",
			"bunfig.toml": "preload = [" + fmt.Sprintf("%q", hook) + "]\n", ".bunfig.toml": "preload = [" + fmt.Sprintf("%q", hook) + "]\n",
		} {
			fake.Write(t, filepath.Join(dir, name), text)
		}
	}
	cleanNPMEnv(t, h.home)
	for _, name := range nodeVariables {
		value := script
		switch {
		case strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "DYLD_") || name == "NODE_ICU_DATA" || name == "OPENSSL_CONF" || strings.Contains(name, "NODE_TEST"):
			continue // they end every program, ours as well
		case strings.HasSuffix(strings.ToUpper(name), "NODE_OPTIONS"):
			value = "--require " + hook
		case name == "npm_config_userconfig":
			value = filepath.Join(h.home, ".npmrc")
		case name == "npm_config_globalconfig":
			value = filepath.Join(h.home, "etc", "npmrc")
		case name == "BUN_OPTIONS":
			value = "--preload " + hook
		case strings.HasSuffix(strings.ToLower(name), "registry") || strings.HasSuffix(name, "SERVER"):
			value = "http://127.0.0.1:9/variable/"
		}
		t.Setenv(name, value)
	}
	t.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))

	// The traps are live: a node in this environment falls into one.
	if out, err := exec.Command(node, "-e", "0").CombinedOutput(); err != nil {
		t.Fatalf("node in the hostile environment: %v, %s", err, out)
	}
	if _, err := os.Stat(h.canary); err != nil {
		t.Fatalf("the canary of this test is dead: %v", err)
	}
	if err := os.Remove(h.canary); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestNothingOfTheUserRuns: finding npm and the tools of Node, asking for the
// registry and resolving run nothing that the user's files, variables or programs
// name, and nothing of a project's demands changes the answer.
func TestNothingOfTheUserRuns(t *testing.T) {
	realNPM(t)
	h := hostileNode(t)
	n, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"npm", "node", "yarn", "pnpm", "bun"} {
		if found, err := proc.Find(t.Context(), name); err == nil && found.Version == "" {
			t.Errorf("%s has no version", name)
		}
	}
	h.check(t)

	c, err := ReadConfig(t.Context(), h.project, User, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Registry(t.Context(), ""); err != nil || r != "http://127.0.0.1:9/variable/" {
		t.Errorf("registry %s, %v", r, err)
	}
	for _, name := range []string{"npm_config_registry", "YARN_REGISTRY"} {
		os.Unsetenv(name)
	}
	for _, file := range []string{filepath.Join(h.home, ".npmrc"), filepath.Join(h.project, ".npmrc"), filepath.Join(h.home, "etc", "npmrc")} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fake.Write(t, file, strings.Replace(string(data), "registry=http", "#registry=http", 1))
	}
	if c, err = ReadConfig(t.Context(), h.project, User, func(context.Context) (*Client, error) { return n, nil }); err != nil {
		t.Fatal(err)
	}
	// Only npm knows this one, so npm runs.
	if r, err := c.Registry(t.Context(), ""); err != nil || !strings.HasPrefix(r, "https://") {
		t.Errorf("default registry %s, %v", r, err)
	}
	s := fake.New(t)
	s.Package(fake.Package{Name: "lib", Version: "1.0.0"})
	s.Package(fake.Package{Name: "gen", Version: "1.0.0", Manifest: map[string]any{"dependencies": map[string]any{"lib": "*"}, "scripts": map[string]any{"preinstall": h.touch}}})
	t.Chdir(h.project)
	for _, rule := range []*cooldown.Rule{nil, {}} {
		if l, err := n.Resolve(t.Context(), registryAt(s.URL), "gen", "1.0.0", nil, rule); err != nil || len(l.Packages) != 2 {
			t.Errorf("%+v, %v", l, err)
		}
	}
	h.check(t)
}

// TestNodeEnvironments: what a child of Node sees is built from nothing.
func TestNodeEnvironments(t *testing.T) {
	const canary = "canary-of-the-user"
	for _, name := range nodeVariables {
		t.Setenv(name, canary)
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NPM_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"} {
		t.Setenv(name, canary)
	}
	run, err := (&Client{node: "node", cli: "npm-cli.js"}).sandboxed("npm", t.TempDir(), &proc.Loopback{Base: "http://127.0.0.1:1/x", Port: 1}, []string{"config"})
	if err != nil {
		t.Fatal(err)
	}
	ours := []string{
		"APPDATA", "CI", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LC_ALL", "LOCALAPPDATA", "PATH", "TEMP", "TMP", "TMPDIR", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
		"npm_config_cache", "npm_config_globalconfig", "npm_config_https_proxy", "npm_config_proxy", "npm_config_registry", "npm_config_userconfig",
	}
	if runtime.GOOS == "windows" {
		ours = append(ours, "NUMBER_OF_PROCESSORS", "SystemDrive", "SystemRoot", "windir")
	}
	var names []string
	for _, kv := range run.Env {
		name, _, _ := strings.Cut(kv, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Sort(ours)
	if !slices.Equal(names, ours) {
		t.Errorf("npm sees %q, expected %q", names, ours)
	}
	for _, kv := range run.Env {
		if strings.HasSuffix(kv, canary) {
			t.Errorf("npm sees %s", kv)
		}
	}
}
