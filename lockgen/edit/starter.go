package edit

import (
	"cmp"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// StarterProtoc is the version of protoc in a new plugins.toml.
const StarterProtoc = "36.2"

// Starter is the text that lockgen init writes.
var Starter = Head(Platforms) + `[plugins]
protoc = "` + StarterProtoc + `"

# TypeScript: a plugin from npm, and the node that runs it.
# node = "24.19.0"
# ts-proto = "2.7.2"

# A plugin that lockgen does not know by name:
# [plugins.acme-lint]
# version = "1.4.0"
# source = "https://example.com/v{version}/lint-{os}-{arch}.tar.gz"    # or npm:NAME, pip:NAME, cargo:NAME
# binary = "lint"

# One from the releases of a repository of GitHub, and one from a registry of OCI:
# [plugins.acme-docs]
# version = "2.0.1"
# source = "github:acme/docs"
# asset = "docs-{version}-{os}-{arch}.tar.gz"
# os = { macos = "darwin" }                 # the publisher's words, where they differ
# checksums = "checksums.txt"               # if it publishes such a file
# binary = "docs"
#
# [plugins.acme-go]
# version = "0.9.0"
# source = "oci://registry.example.com/acme/go:v{version}"
# binary = "protoc-gen-acme-go"
`

// Platforms are the platforms of a new plugins.toml.
var Platforms = []string{"linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64", "windows-x86_64"}

// Head is the start of a new plugins.toml, up to the plugins.
func Head(platforms []string) string {
	return `#:schema ` + SchemaURL(cli.Built().Version) + `

# The protoc plugins of this repository. After an edit run: lockgen update
# What it locks is in plugins.lock.toml; commit both.

# Every plugin must exist for each of these.
platforms = ` + lock.PrintList(platforms) + `

`
}

// SchemaURL is where editors find the JSON Schema of plugins.toml
// (https://taplo.tamasfe.dev/configuration/directives.html): that of the
// release of this program, or the newest.
func SchemaURL(version string) string {
	at := cmp.Or(build.Info{Version: version}.Release(), "main")
	return build.Home + "/raw/" + at + "/schemas/plugins.schema.json"
}
