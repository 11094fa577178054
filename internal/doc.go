// Package internal introduces the source; it has no code. Start here, then read
// the comment of the package that you want to change.
//
// # The flow
//
// A person writes plugins.toml. The program lockgen asks the registries which
// files make up each plugin on each platform, downloads and checks them, and
// writes plugins.lock.toml, which has the SHA-256 and the size of every file.
// Buck2 loads the lock and downloads the files that are plain URLs; the program
// fetch downloads the others, unpacks or compiles them, and compares the folder
// with the tree digest in the lock. Buck2 then runs protoc with the plugin.
//
//	plugins.toml -> lockgen -> plugins.lock.toml -> Buck2 and fetch -> protoc
//
// In lockgen, lockgen/plan decides what to lock and never uses the network; the
// sources, a file for each kind in lockgen/native or lockgen/web, ask the
// registries; lockgen/resolve runs the jobs, checks that the plugins fit together,
// and runs each of them once. In fetch, internal/origin downloads a
// file and internal/install makes the folder. Both programs install with the
// same code, so what one locks the other makes again, byte for byte.
//
// # The words
//
//   - Manifest: plugins.toml, as people write it.
//   - Lock: plugins.lock.toml, as lockgen writes it.
//   - Entry: one version of one plugin in the lock.
//   - Proto package: .proto files of others, locked like a plugin, as protos/NAME.
//   - Kind: where a plugin comes from: npm, cargo, pip, go, oci or http.
//   - Source: a kind with the name of the plugin there, such as npm:ts-proto.
//   - Platform: an operating system and a processor, such as linux-x86_64.
//   - Cell: what the lock says of an entry on one platform.
//   - File: something to download, with its digest and size.
//   - Tree: the folder that the files of an entry become, and its digest.
//   - Identity: what a file was asked for by; one identity never has two digests.
//   - Proof, stamp: a note in the cache that a file, or a tree, is that of an entry.
//   - Store: the cache of this machine. Its blobs and trees are named by digest.
//   - Scan cache: the list of files that a strict reading of a blob found.
//   - Origin: the registry or server that a file is downloaded from.
//   - Mirror: another place that has the same bytes.
//   - Runtime: the locked plugin that runs another one, such as node.
//   - Toolchain: the locked Go that compiles a plugin.
//   - Cooldown: the time that a version must be public before it is chosen.
//   - Sandbox: a run of a program that gets nothing of the user's and no network.
//   - Class: whose matter a failure is; its number is the exit status.
//   - Hint: the command or the edit that puts a failure right.
//
// # The packages
//
// A package imports only packages that stand below it in this list.
//
//	lockgen    the program; a file for each verb
//	  lockgen/buckify     BUCK files from the imports of .proto files
//	  lockgen/change      edits of plugins.toml, with the lock that fits
//	  lockgen/report      a page about what is locked
//	  lockgen/resolve     the jobs of a run: download, compare, smoke run
//	  lockgen/download    artifacts in the store, each downloaded and read once
//	  lockgen/smoke       one run of what was just locked, in a sandbox
//	  lockgen/compat      plugins that do not work together
//	  lockgen/session     makes the sources of a run
//	  lockgen/native      sources that npm, pip, cargo or Go resolves
//	  lockgen/web         sources that are asked over HTTP alone
//	  lockgen/source      what a source promises, and what it finds
//	  lockgen/explain     all that is known of one plugin
//	  lockgen/provenance  who signed a file, by Sigstore
//	  lockgen/plan        requirements, ranges, selection and ages; no network
//	  lockgen/protos      imports of proto packages
//	  lockgen/migrate     reads buf.gen.yaml, and the programs of a repository, for init --from
//	  lockgen/sbom        software bills of materials
//	  lockgen/diff        what changed between two locks, and three-way merges of them
//	  lockgen/edit        edits of plugins.toml that keep comments and order
//	  lockgen/closure     what a lock knows of closures
//	  lockgen/github      what GitHub says of releases
//	  lockgen/naming      for which version and platform a file is, by its name
//	  lockgen/image       the file for a platform behind a tag of OCI
//	  lockgen/checksums   files of checksums
//	  lockgen/executable  for which platform an executable is
//	  lockgen/git         runs git
//	  lockgen/graph       cycles
//	  lockgen/queue       how many things go on at once, and who waits for what
//	  lockgen/doctor      what this machine has and lacks
//	  lockgen/project     the Buck2 project around a folder, and edits of its files
//	  lockgen/files       writes files, all of them or none
//	fetch      the program; a file for each verb
//
//	origin     where a locked file is, and its download
//	mirror     other places that have the files
//	install    the folder of an entry, and the program in it
//	managers   npm, pnpm, Yarn, bun, pip and uv as installers
//	kind       how a file of each kind becomes files of a tree
//	catalog    the plugins that are known by name
//	clients    the package managers of this machine, each asked once in a run
//
//	cargo      runs cargo
//	gotool     runs Go
//	maven      versions, POMs and settings of Maven; runs nothing
//	npm        runs npm
//	pip        runs pip
//	wheel      what a wheel says of itself
//	cooldown   which versions are too young
//	proc       finds and runs foreign programs
//
//	remote/oci registries and folders of OCI
//	remote     HTTP; nothing else uses the network
//	store      the cache
//	filestat   records what stat says of files, to notice changes
//	archive    strict readers of archives, and the digest of a tree
//
//	cli        verbs, flags and help
//	ui         what the programs print
//	manifest   plugins.toml
//	lock       plugins.lock.toml, kinds, platforms and names
//	tomlscan   texts of TOML: decodes anybody's, and says where their keys stand
//	crate      how a lock describes crates
//	syntax     the form of names, versions, paths, digests and URLs
//	redact     takes secrets out of text
//	input      reads what the user made, which may be a pipe
//	fault      exit classes and hints
//	once       computes a value once for each key
//	child      ends a program together with everything that it started
//	disk       what the operating system says of room, and locks
//	build      what the program was built from
//	pep440     versions of Python packages, and the tags of wheels
//	protofile  the package and the imports of a .proto file
//	glob       matches paths with patterns
//	plain      which text may be printed, and numbers in words
//	docs       the pages in docs/, which the programs print
//
// Tests use fake (a server that has every kind of registry and every fault),
// testenv (an environment without the user's settings) and bucktest (a run of
// Buck2).
package internal
