package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var initVerb = &cli.Verb[program]{
	Name: "init", Short: "write a starter plugins.toml",
	Long: `It is written into the working directory, or to --manifest. A file that is
there is never overwritten. The next command is: lockgen update`,
	Example: `lockgen init`,
	JSON:    true, Run: runInit,
}

// starter is what lockgen init writes.
const starter = `# The protoc plugins of this repository. After an edit run: lockgen update
# What it locks is in plugins.lock.toml; commit both.

# Every plugin must exist for each of these.
platforms = ["linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64", "windows-x86_64"]

[plugins]
protoc = "30.2"

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

func runInit(_ context.Context, p *program, _ []string) error {
	name := p.manifestGiven
	if name == "" {
		name = lock.ManifestName
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fault.Errorf(fault.Usage, "edit it, or run: lockgen add NAME@VERSION", "%s is there already; it was not touched", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(starter)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if p.ui.JSON {
		return p.ui.Data(map[string]string{"created": name})
	}
	p.ui.Say("wrote %s; edit it, then run: lockgen update", name)
	return nil
}
