// Package lock is the lock, which lockgen writes, and the words that both programs
// share with it: source kinds, platforms, names and digests.
//
// # The lock
//
// A plugins.lock.toml is TOML, read by lockgen, by fetch and, through load(),
// by Buck2. It holds keyed tables only, sorted by key, one artifact to a line,
// so that two branches that bump two different plugins merge without conflict:
//
//	schema = 1
//
//	[plugins.NAME."VERSION"]
//	args = ["…"]             # for the compiler, cargo only
//	build-scripts = ["…"]    # packages that run code when compiled, consented to, cargo only
//	entry = "MODULE:FUNCTION" # what Python starts, or MODULE as python -m does
//	generator = "…" # entry is the main function of a protoc, whose --NAME_out is the plugin
//	include = "…"   # folder of .proto files inside the tree, if it has one
//	main = "…"      # go: folder of the main package in the module, if not its root; maven: the class that Java starts
//	package = "…"   # name in the source
//	program = "…"   # what a plugin run by Python or Java is called
//	python = ["…"]  # the interpreters that may run it, 3.N of CPython; pip only
//	runtime = "…"   # NAME@VERSION of the locked plugin that runs this one
//	source = "…"    # http, oci, npm, cargo, pip, go or maven
//	toolchain = "…" # go, cargo: NAME@VERSION of the locked Go or Rust that compiles it
//	trust = "…"     # the weakest evidence that the files below rest on
//	upstream = "…"  # what the source calls the version, where it has more numbers: 4.36.2 of 36.2
//
//	[plugins.NAME."VERSION".files]
//	"PATH" = { name = "…", version = "…", url = "…", manifest = "…", archive = "…", sha256 = "…", size = 1, integrity = "…", gomod = "…", signer = "…", bundled = ["…"], python = ["…"], platforms = ["…"] }
//
//	[plugins.NAME."VERSION".platforms]
//	PLATFORM = { binary = "…", tree = "…" }      # locked
//	PLATFORM = { binary = "…" }                  # locked, and compiled where it is used: cargo
//	PLATFORM = { emulate = "PLATFORM" }          # uses another one's cell, its runtime too
//	PLATFORM = { unavailable = "reason" }
//
//	[protos.NAME."VERSION"]  # .proto files of others; source, package and trust as above
//	deps = ["…"]    # names of the proto packages that they import
//	folders = ["…"] # folders of import paths that have files, . for none
//	only = ["…"]    # patterns of import paths, where not all files are taken; see [syntax.CheckOnly]
//	root = "…"      # folder of the archive from which imports are counted, if not itself
//
//	[protos.NAME."VERSION".files]     # one archive
//	[protos.NAME."VERSION".platforms]
//	any = { tree = "…" }
//
//	[runtimes.LANGUAGE.NAME."VERSION"] # libraries of generated code; files and platforms as above
//	fits = ["…"]    # NAME@VERSION of the plugins whose code it was chosen for
//
//	[runtimes.rust.NAME."VERSION".folders] # how each crate is compiled, see package crate
//	"CRATE-VERSION" = { type = "proc-macro", called = "…", root = "…", edition = "…", features = ["…"], imports = ["…"], script = "…", script-imports = ["…"] }
//
// Keys without a value are left out. Every known platform has a cell in one of
// the three states. Every file has a SHA-256 and a size in bytes; with both,
// Buck2 asks a server nothing before it needs the file. Files of the ecosystem
// sources (npm, cargo, pip, go, maven) have no URL: the registry is the one that the
// user's own package manager is configured with. For oci, package is HOST/REPO,
// the name and the version of a file are the title of its layer (where the
// source names one) and the tag, manifest is the SHA-256 of the image manifest,
// and the blob is HOST/REPO@sha256:SHA256. Archive is the form of a file of http and
// oci, one of [Archives]; without it the file is the executable itself. Their binary
// is executable whatever the archive says, and a link in one that ends at a file of
// it is a copy of that. A tree is the digest that
// package archive specifies.
//
// A wheel is unpacked at the root of the tree. Of a plugin that Python runs, a
// wheel that is not for all interpreters has python, and lies in py3.N of each of
// them, so that one tree serves all; the binary is the file of the entry's
// module for the first. The interpreter is that of the machine.
//
// Lines are as long as their artifact needs, up to some 400 characters. An inline
// table of TOML 1.0 may break only inside its arrays, so shorter ones would be an
// artifact in several lines, of which a merge by lines could mix two; and name and
// version, which a key often tells as well, are what a file is compared with. For
// people git shows a lock in short lines, by lockgen textconv.
//
// The plugin fetch is the program of that name, see [tool] of plugins.toml: one
// executable of source http for each platform, which Buck2 runs in place of the
// one that it would build.
//
// Files of source go are named MODULE@vVERSION.zip, and MODULE@vVERSION.mod for
// a module of which only the go.mod is read; see [GoKey]. Integrity and gomod
// are the lines that go.sum has for them. A tree of source go is the folder that
// holds the compiled executable and nothing else; the plugin go, whose package
// is [GoToolchain], is unpacked like any archive.
//
// # Schema 1 is frozen
//
// A lock with schema = 1 means the same to every later version of both programs:
// its keys, the values of source, trust and the platforms, the canonical order
// and form, the digest of a tree, and which bytes end up where. Programs refuse
// what they do not know, so each of these needs schema = 2: another key, a source
// kind, a kind of trust or a platform more, another order or form. A program
// reads every schema up to its own, and writes the newest one.
//
// Not part of it, and free to change: which plugins the catalogue knows, how
// versions are chosen and resolved, what policies demand, all messages. A
// plugins.toml has no schema of its own: keys may be added to it, and a program
// that does not know one says so. schemas/plugins.lock.schema.json and
// schemas/plugins.schema.json tell editors what they can check of both files.
//
// [Print] writes the canonical text, [Parse] reads any text of that meaning,
// and [Canonical] tells the two apart.
package lock
