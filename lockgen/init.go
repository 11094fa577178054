package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

var initVerb = &cli.Verb[program]{
	Name: "init", Short: "write a starter plugins.toml, and .gitattributes",
	Long: `It is written into the working directory, or to --manifest. A file that is
there is never overwritten. The next command is: lockgen update

Into .gitattributes beside the lock goes a line that keeps git from changing the
line ends of the lock (core.autocrlf), and that names the drivers for merges and
diffs; other lines stay as they are. In a repository that has a plugins.toml
lockgen init adds that line alone.`,
	Example: `lockgen init`,
	JSON:    true, Run: runInit,
}

// starter is what lockgen init writes.
var starter = head(startPlatforms) + `[plugins]
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

// startPlatforms are those of a new plugins.toml: what people build on.
var startPlatforms = []string{"linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64", "windows-x86_64"}

// head is the beginning of a new plugins.toml, up to the plugins.
func head(platforms []string) string {
	return `# The protoc plugins of this repository. After an edit run: lockgen update
# What it locks is in plugins.lock.toml; commit both.

# Every plugin must exist for each of these.
platforms = ` + lock.PrintList(platforms) + `

`
}

func runInit(ctx context.Context, p *program, _ []string) error {
	name := p.manifestGiven
	if name == "" {
		name = manifest.FileName
	}
	lockName := p.lockGiven
	if lockName == "" {
		lockName = filepath.Join(filepath.Dir(name), lock.FileName)
	}
	unlock, err := p.exclusive(ctx, name, lockName)
	if err != nil {
		return err
	}
	defer unlock()
	var writes []write
	_, err = os.Lstat(name)
	there := err == nil
	if !there {
		writes = append(writes, write{name: name, after: []byte(starter)})
	}
	attributes, missing, err := attribute(lockName)
	if err != nil {
		return err
	}
	if missing {
		writes = append(writes, attributes)
	}
	if len(writes) == 0 {
		return fault.Errorf(fault.Usage, "edit it, or run: lockgen add NAME@VERSION", "%s is there already; it was not touched", name)
	}
	if err := replace(writes...); err != nil {
		return err
	}
	if p.ui.JSON {
		result := map[string]any{}
		if !there {
			result["created"] = name
		}
		if missing {
			result["attributes"], result["git_config"] = attributes.name, gitConfig
		}
		return p.ui.Data(result)
	}
	if there {
		p.ui.Say("%s is there already; it was not touched", name)
	} else {
		p.ui.Say("wrote %s; edit it, then run: lockgen update", name)
	}
	if missing {
		p.ui.Say("wrote %s: git keeps the line ends of %s; its drivers for merges and diffs are known to a clone after:\n%s",
			attributes.name, filepath.Base(lockName), strings.Join(gitConfig, "\n"))
	}
	return nil
}
