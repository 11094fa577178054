package fake

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Traps are programs that leave a trace, and every place known to us that could make
// a client run them: names on PATH, variables, and the files of a user and of a
// project.
type Traps struct {
	Env   [][2]string // to add to the environment, PATH and HOME among it
	Hooks []string    // what was laid, each once

	bin, trace string
}

// trapPrograms are what clients start, but for those that are theirs: node, npm, python3,
// pip, go, cargo, rustc.
const trapPrograms = `git git-remote-https git-remote-ext git-lfs hg svn bzr fossil ssh ssh-askpass scp rsync curl wget
	cc c++ gcc g++ clang clang++ ld lld ld.lld ar ranlib as pkg-config make gmake cmake ninja meson node-gyp node-pre-gyp prebuild-install npx pnpm yarn bun corepack tsc esbuild
	mvn mvnw gradle gradlew java javac jar javaw kotlinc keyring virtualenv poetry hatch flit pdm setuptools
	protoc buf buck2 bazel sccache ccache cargo-clippy cargo-fetch cargo-metadata cargo-generate-lockfile cargo-credential-trap rust-lld wasm-ld netrc gpg cosign`

// trapVariables name a program, or a file that is run.
const trapVariables = `GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS GIT_EDITOR GIT_PAGER GIT_SEQUENCE_EDITOR GIT_EXTERNAL_DIFF GIT_PROXY_COMMAND SSH_ASKPASS EDITOR VISUAL PAGER BROWSER
	npm_config_script_shell npm_config_shell npm_config_git npm_config_editor npm_config_viewer npm_config_browser npm_config_node_gyp npm_config_python npm_config_onload_script npm_config_init_module
	NODE_REPL_EXTERNAL_MODULE YARN_YARN_PATH YARN_PLUGINS PNPM_CONFIG_PNPMFILE
	RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTC_WRAPPER CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTDOC RUSTDOC
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS CARGO_REGISTRY_CREDENTIAL_PROVIDER
	CC CXX AR LD FC PKG_CONFIG CMAKE MAKE GCCGO GOCACHEPROG JAVACMD GRADLE_OPTS`

// LayTraps makes a home folder of traps, and lays them in the folder of a project.
func LayTraps(t *testing.T, project string) *Traps {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the traps are shell scripts")
	}
	dir := t.TempDir()
	home, bin := filepath.Join(dir, "home"), filepath.Join(dir, "bin")
	x := &Traps{bin: bin, trace: filepath.Join(dir, "trace")}
	trap := filepath.Join(dir, "trap")
	Write(t, trap, "#!/bin/sh\necho \"$0 $*\" >> '"+x.trace+"'\nexit 1\n")
	if err := os.Chmod(trap, 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(name string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(trap, name); err != nil {
			t.Fatal(err)
		}
	}
	for name := range strings.FieldsSeq(trapPrograms) {
		link(filepath.Join(bin, name))
		x.hook("program " + name)
	}
	js, py := filepath.Join(dir, "hook.js"), filepath.Join(dir, "python", "sitecustomize.py")
	Write(t, js, fmt.Sprintf("require('fs').appendFileSync(%q, 'node ' + process.argv.join(' ') + '\\n')\n", x.trace))
	python := fmt.Sprintf("open(%q, 'a').write('python ' + __file__ + '\\n')\n", x.trace)
	Write(t, py, python)
	Write(t, filepath.Join(dir, "python", "usercustomize.py"), python)
	Write(t, filepath.Join(dir, "python", "pip", "__init__.py"), python)
	set := func(name, value string) {
		x.Env = append(x.Env, [2]string{name, value})
		x.hook("variable " + name)
	}
	for name := range strings.FieldsSeq(trapVariables) {
		set(name, trap)
	}
	set("NODE_OPTIONS", "--require "+js)
	set("npm_config_node_options", "--require "+js)
	set("BUN_OPTIONS", "--preload "+js)
	set("PYTHONPATH", filepath.Dir(py))
	set("PYTHONSTARTUP", py)
	set("PYTHONBREAKPOINT", "sitecustomize.x")
	set("PIP_KEYRING_PROVIDER", "subprocess")
	set("GOFLAGS", "-toolexec="+trap)
	set("GOAUTH", trap+" x")
	set("GOVCS", "*:all")
	set("CGO_ENABLED", "1")
	set("CGO_CFLAGS", "-fplugin="+trap)
	set("CARGO_ENCODED_RUSTFLAGS", "-Clinker="+trap)
	set("CARGO_NET_GIT_FETCH_WITH_CLI", "true")
	set("GIT_CONFIG_COUNT", "1")
	set("GIT_CONFIG_KEY_0", "core.sshCommand")
	set("GIT_CONFIG_VALUE_0", trap)
	set("GIT_EXEC_PATH", bin)
	for _, name := range []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "MAVEN_OPTS"} {
		set(name, "-XX:OnError="+trap+" -javaagent:"+trap)
	}
	set("MAVEN_ARGS", "-Dmaven.ext.class.path="+trap)
	for _, name := range []string{"JAVA_HOME", "MAVEN_HOME", "M2_HOME", "GRADLE_HOME", "CARGO_INSTALL_ROOT"} {
		for _, program := range []string{"java", "javac", "mvn", "gradle"} {
			if file := filepath.Join(dir, name, "bin", program); program == "java" || name != "JAVA_HOME" {
				link(file)
			}
		}
		set(name, filepath.Join(dir, name))
	}
	npmrc := "script-shell=" + trap + "\nshell=" + trap + "\ngit=" + trap + "\neditor=" + trap + "\nviewer=" + trap + "\nbrowser=" + trap + "\nnode-gyp=" + trap + "\npython=" + trap +
		"\nnode-options=--require " + js + "\nonload-script=" + js + "\ninit-module=" + js + "\nignore-scripts=false\nforeground-scripts=true\nallow-git=all\n"
	cargo := "[build]\nrustc-wrapper = \"" + trap + "\"\nrustc-workspace-wrapper = \"" + trap + "\"\nrustdoc = \"" + trap + "\"\n[target.'cfg(all())']\nlinker = \"" + trap + "\"\nrunner = \"" + trap +
		"\"\n[alias]\ngenerate-lockfile = \"run\"\nmetadata = \"run\"\nvendor = \"run\"\n[registry]\nglobal-credential-providers = [\"" + trap + "\"]\n[net]\ngit-fetch-with-cli = true\n"
	git := "[core]\n\tsshCommand = " + trap + "\n\tfsmonitor = " + trap + "\n\thooksPath = " + bin + "\n\tpager = " + trap + "\n\teditor = " + trap + "\n\taskPass = " + trap + "\n\tgitProxy = " + trap +
		"\n[credential]\n\thelper = " + trap + "\n[protocol]\n\tallow = always\n[diff]\n\texternal = " + trap + "\n[url \"ext::" + trap + " %S\"]\n\tinsteadOf = https://\n[alias]\n\tls-remote = !" + trap + "\n"
	maven := "<extensions><extension><groupId>trap</groupId><artifactId>trap</artifactId><version>1</version></extension></extensions>\n"
	scripts := ""
	for _, name := range []string{"preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare", "dependencies", "env"} {
		scripts += fmt.Sprintf("%q: %q, ", name, trap)
		x.hook("script " + name + " of the project")
	}
	both := map[string]string{
		".npmrc": npmrc, ".yarnrc": "yarn-path \"" + js + "\"\n", ".yarnrc.yml": "yarnPath: " + js + "\nplugins: [{path: " + js + ", spec: x}]\n", ".pnpmfile.cjs": "require(" + fmt.Sprintf("%q", js) + ")\n",
		"bunfig.toml": "preload = [" + fmt.Sprintf("%q", js) + "]\n", ".cargo/config.toml": cargo, ".mvn/extensions.xml": maven, ".mvn/jvm.config": "-XX:OnError=" + trap + "\n",
		"package.json": `{"name": "p", "private": true, "scripts": {` + strings.TrimSuffix(scripts, ", ") + "}}\n", "binding.gyp": "{}\n",
	}
	for name, text := range both {
		Write(t, filepath.Join(home, filepath.FromSlash(name)), text)
		Write(t, filepath.Join(project, filepath.FromSlash(name)), text)
		x.hook("file "+name+" of the user", "file "+name+" of the project")
	}
	for name, text := range map[string]string{
		".gitconfig": git, ".config/git/config": git, ".config/go/env": "GOFLAGS=-toolexec=" + trap + "\nGOAUTH=" + trap + "\nGOVCS=*:all\nCC=" + trap + "\n", ".mavenrc": trap + "\n", ".m2/extensions.xml": maven,
		".gradle/init.gradle": "'" + trap + "'.execute()\n", ".config/pip/pip.conf": "[global]\nkeyring-provider = subprocess\n", ".pip/pip.conf": "[global]\nkeyring-provider = subprocess\n",
		".pythonrc.py": python, ".node_repl_history": "x\n", ".local/lib/python3.11/site-packages/trap.pth": "import sitecustomize; open(" + fmt.Sprintf("%q", x.trace) + ", 'a').write('pth')\n",
		".local/lib/python3.11/site-packages/usercustomize.py": python,
	} {
		Write(t, filepath.Join(home, filepath.FromSlash(name)), text)
		x.hook("file " + name + " of the user")
	}
	for name, text := range map[string]string{
		"setup.py": python, "conftest.py": python, "sitecustomize.py": python, "pip.py": python, "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"setup\"\nbackend-path = [\".\"]\n",
		"build.rs": "fn main() { std::fs::write(" + fmt.Sprintf("%q", x.trace) + ", \"build.rs\").unwrap(); }\n", "rust-toolchain.toml": "[toolchain]\npath = \"" + dir + "\"\n",
		"Cargo.toml": "[package]\nname = \"p\"\nversion = \"1.0.0\"\nbuild = \"build.rs\"\n", "go.mod": "module p.invalid\n\ngo 1.21\n\ntool p.invalid/trap\n", "go.work": "go 1.21\n\nuse .\n",
		"main.go": "package main\n\n//go:generate " + trap + "\n\n// #cgo pkg-config: trap\nimport \"C\"\n", "pom.xml": "<project><build><extensions/></build></project>\n", "node_modules/npm/index.js": "require(" + fmt.Sprintf("%q", js) + ")\n",
	} {
		Write(t, filepath.Join(project, filepath.FromSlash(name)), text)
		x.hook("file " + name + " of the project")
	}
	for _, name := range []string{"mvnw", "gradlew", ".git/hooks/post-checkout", ".git/hooks/pre-commit", ".git/hooks/reference-transaction", "node_modules/.bin/node", "node_modules/.bin/npm"} {
		link(filepath.Join(project, filepath.FromSlash(name)))
		x.hook("file " + name + " of the project")
	}
	x.Env = append(x.Env, [][2]string{
		{"HOME", home}, {"XDG_CONFIG_HOME", filepath.Join(home, ".config")}, {"CARGO_HOME", filepath.Join(home, ".cargo")},
		{"GOENV", filepath.Join(home, ".config", "go", "env")}, {"PATH", bin + string(os.PathListSeparator) + os.Getenv("PATH")},
	}...)
	// The clients themselves are where they were.
	for name, folder := range map[string]string{"RUSTUP_HOME": ".rustup", "PYENV_ROOT": ".pyenv"} {
		if user, err := os.UserHomeDir(); err == nil && os.Getenv(name) == "" {
			x.Env = append(x.Env, [2]string{name, filepath.Join(user, folder)})
		}
	}
	// The traps are live.
	cmd := exec.Command(filepath.Join(bin, "git"), "status")
	_ = cmd.Run()
	if x.Sprung() == "" {
		t.Fatal("the traps are dead")
	}
	return x
}

// Allow takes a program away that a client may start: compilers need a linker.
func (x *Traps) Allow(t *testing.T, program string) {
	t.Helper()
	if err := os.Remove(filepath.Join(x.bin, program)); err != nil {
		t.Fatal(err)
	}
	x.Hooks = slices.DeleteFunc(x.Hooks, func(hook string) bool { return hook == "program "+program })
}

func (x *Traps) hook(names ...string) {
	for _, name := range names {
		if !slices.Contains(x.Hooks, name) {
			x.Hooks = append(x.Hooks, name)
		}
	}
}

// Sprung returns which traps did since the last call, "" for none.
func (x *Traps) Sprung() string {
	text, err := os.ReadFile(x.trace)
	if err != nil {
		return ""
	}
	_ = os.Remove(x.trace)
	return string(text)
}
