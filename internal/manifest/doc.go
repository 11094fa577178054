// Package manifest is plugins.toml, which people write: its tables and keys, its
// policy and mirrors, and how a command edits it without touching what people
// wrote around it.
//
// # Where the files of a plugin are
//
// An entry of [plugins] in plugins.toml may name files by templates, in which
// {version}, {build} (what is behind its +), {os} and {arch} (linux macos windows,
// x86_64 aarch64), {goos} and {goarch} (Go's words) and {exe} (".exe" on Windows)
// are replaced:
//
//	source = "https://…"                # a file for each platform, or
//	source = "github:OWNER/REPO"        # assets of a release, or
//	source = "maven:GROUP:ARTIFACT"     # ARTIFACT-VERSION-OS-ARCH.exe of a repository of Maven, or
//	source = "oci://HOST/REPO:TAG"      # an index with platforms, or the only layer
//	source = "oci://HOST/REPO:TAG#FILE" # the layer of that title
//	asset = "NAME"                      # github: the file in the release
//	tag = "v{version}"                  # github: the release's tag, this if absent
//	checksums = "NAME"                  # a published checksum file beside the file, or its
//	                                    # URL; {file} is the name of the file it is about.
//	                                    # Any form that names the file and its SHA-256 or
//	                                    # SHA-512, and can be read in one way only
//	os = { macos = "osx" }              # the publisher's words for {os}
//	arch = { aarch64 = "aarch_64" }     # and for {arch}
//	platforms.windows-x86_64 = { source = "https://…", asset = "NAME", binary = "PATH" }
//	platforms.macos-aarch64 = { emulate = "macos-x86_64" } # consent to Rosetta, of any source
//
// The end of a file's name tells its form: .zip; .tar.gz, .tar.xz, .tar.zst, .tar.bz2
// and their short forms; .gz, .xz, .zst or .bz2 of one executable; else it is the
// executable. What is named by binary is executable; without it, lockgen takes the one
// executable called protoc-gen-… that the package has.
//
// Before a plugin is locked, protoc generates code with it for a small file. An entry
// may say how:
//
//	options = ["lang=go"]        # what the plugin wants for that; builds say their own
//	smoke = false                # it is locked untried
//
// An entry of source pip may say how Python starts it:
//
//	binary = "protoc-gen-x"      # a console script; with a slash, the path of a native executable
//	entry = "MODULE:FUNCTION"    # or MODULE, where there is no such script
//	generator = "NAME"           # where entry is the main function of a protoc, NAME of its --NAME_out
//
// [buckify] says how lockgen buckify writes BUCK files; see [Buckify]. Nothing of
// it is in a lock.
//
//	[buckify]
//	granularity = "directory"          # what a proto_library stands for, or "file"
//	languages = ["go", "typescript"]   # a library of each beside it, none if absent
//	visibility = ["PUBLIC"]            # of new targets, this if absent; [] writes none
//	roots = [".", "preview"]           # folders that imports are counted from; found if absent
//	exclude = ["legacy", "**/testdata"] # left alone
//	packages = "//third-party/proto"   # where the targets of [protos] are, this if absent
//	resolve = { "acme/**" = "//third-party/proto:acme" } # imports that another target serves
//
//	[buckify.attributes.go]            # of new libraries of a language, and of those without them
//	grpc = true
//	runtime = ["//third-party:protobuf-go"]
//
// Folders and patterns are paths from the root of the cell of Buck2; in a pattern
// * and ? stand for letters of a name, ** for any number of folders.
//
// An entry of source maven may be a jar that a locked Java runs:
//
//	source = "maven:GROUP:ARTIFACT:CLASSIFIER" # or without a classifier
//	runtime = "java"             # the plugin of that name
//	binary = "protoc-gen-x"      # what it is called; by default as the artifact
//	main = "com.example.Main"    # the class to start, where the jar names none
//
// [[mirror]] names places where bytes may be had before their origin is asked,
// in the order in which they are tried; see [Mirror]. It is in no lock.
//
//	[[mirror]]
//	from = "https://github.com/"                 # the beginning of a URL, of oci://…,
//	to = "https://proxy.example.com/github/"     # npm:…, pip:…, cargo:, go: or maven:, or "*"
//
//	[[mirror]]
//	from = "*"
//	to = "oci://registry.example.com/plugins"    # filled by lockgen mirror; or oci-layout:DIR
//
// [tool] names the release of this project whose program fetch Buck2 takes, by the
// hash that the lock has; without it Buck2 builds fetch from source. It is locked
// like a plugin, and for the platforms of plugins.toml. An entry with a source of
// its own is the executable itself, by URL.
//
//	[tool]
//	fetch = "0.1.0"              # or "^0.1", or { version = "0.1.0", source = "https://…" }
package manifest
