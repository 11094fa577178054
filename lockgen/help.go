package main

import (
	"fmt"
	"strings"
)

// first is the first line of a command's help: what it does.
func (c command) first() string {
	line, _, _ := strings.Cut(c.help, "\n")
	return line
}

// manual is the help of one command.
func (c command) manual() string {
	return "usage: lockgen " + c.name + c.args + " [flags]\n\n" + c.help + "\n" + helpFlags + "\n" + helpStatus
}

// manual is the help of the program.
func manual() string {
	var b strings.Builder
	b.WriteString(helpTop)
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-13s%s\n", c.name, c.first())
	}
	b.WriteString("\nRun \"lockgen help COMMAND\" for one of them.\n\n" + helpFlags + "\n" + helpStatus)
	return b.String()
}

const helpTop = `lockgen pins the protoc plugins that plugins.toml asks for in plugins.lock.toml:
exact bytes, for every platform, down to the last transitive package.

usage: lockgen COMMAND [flags]

  lockgen init                   write a starter plugins.toml
  lockgen add ts-proto@2.18.0    ask for a plugin and lock it
  lockgen check                  does the lock fit? (for CI; no network)

commands:
`

const helpInit = `write a starter plugins.toml

It is written into the working directory, or to --manifest. A file that is
there is never overwritten. The next command is: lockgen update

  lockgen init
`

const helpUpdate = `make plugins.lock.toml fit plugins.toml

Locks what the manifest asks for and the lock lacks, and drops what it does not
ask for. What is locked already is neither resolved nor downloaded again; with
nothing to do the file stays as it is, byte for byte, and nobody is asked. So a
range such as "^2.7" keeps the version that is locked for it as long as that
fits. With names, those plugins are resolved again, ranges take the newest
version that they and [policy] allow, and no other entry is touched; --all does
so with every plugin. NAME@VERSION takes that version, out of a range too.

All or nothing: when any plugin cannot be locked for any of the platforms, all
of them are listed with the reason, and nothing is written. A version whose
bytes differ from those that were locked under it is an alarm, never an update.

What is new is tried before the lock is written, where it has a cell for this
machine: protoc generates code of a small file with it, without a network.

  lockgen update
  lockgen update ts-proto
  lockgen update ts-proto@2.7.2
  lockgen update --all           take the newest versions allowed
  lockgen update --verify        download everything again and compare

      --all               resolve every plugin again
      --no-smoke          do not run what was locked
      --verify            resolve and download everything again and compare
`

const helpAdd = `ask for plugins and lock them

Writes the version into plugins.toml, beside versions that are there, keeping
comments and order, then locks this plugin alone. Without a version it is the
newest one that [policy] allows, written as an exact version; a range is written
as it is. When the plugin cannot be locked, plugins.toml stays as it was.

  lockgen add node@24.19.0 ts-proto@2.18.0
  lockgen add ts-proto
  lockgen add 'ts-proto@^2.7'    or "~2.7.1", ">=1 <3", "1.x", latest

      --no-smoke          do not run what was locked
`

const helpRemove = `ask for plugins no more

Takes the plugins, or single versions, out of plugins.toml and of the lock.

  lockgen remove protoc-gen-ts
  lockgen remove ts-proto@2.7.2
`

const helpCheck = `tell whether plugins.lock.toml fits plugins.toml

Reads both files and nothing else: no network, no cache, nothing is written. The
lock must be well formed, in canonical form, and hold exactly what the manifest
asks for; otherwise each difference is printed and the exit status is 3. What
allow and min-trust of [policy] do not let through ends with exit status 6.

With --upstream every source is asked as well for every locked file, without
downloading: is it there, with the digest that was locked? Other bytes end with
status 5, what was deleted or cannot be reached with 4; what is yanked,
retracted or deprecated can still be had and is a warning, as is a file by URL,
of which only presence and size can be asked. --verify downloads such files and
compares.

  lockgen check
  lockgen check --json
  lockgen check --upstream

      --upstream          ask every source again for what is locked
      --verify            with --upstream: download what has no digest upstream
`

const helpList = `list what is locked

One line for each version of each plugin. With --json also the state of each
platform and the trust that the digests rest on.

  lockgen list
`

const helpExplain = `tell the whole story of a plugin

What the manifest asks for, which sources there are in which order, which one is
locked and on what evidence, the state of each platform, every file with its
size, and what runs on it. Reads manifest and lock only.

With --upstream every source is asked, to the last, whether it could serve all
platforms today, and what it lacks is told; what they offer is downloaded into
the cache. The lock stays as it is: it never moves to another source by itself.
With --why the places of one package in an npm closure are told.

  lockgen explain ts-proto
  lockgen explain ts-proto@2.7.2 --why @bufbuild/protobuf
  lockgen explain protoc --upstream

      --upstream          ask every source whether it could serve
      --why PACKAGE       why this package is in the closure
`

const helpDiff = `say what changed in the lock

Compares the lock of a git revision, HEAD unless given, or another file, with
the lock here, and says it in words: versions, packages of a closure that came,
moved and went, platforms, trust. Bytes that changed under one version are
shouted. The exit status is 0 whether or not there is a difference.

  lockgen diff                   since the last commit
  lockgen diff main
  lockgen diff ../other/plugins.lock.toml
`

const helpMirror = `push everything that is locked to a registry or a folder

Every locked file goes there under its SHA-256, for all platforms: what is there
already is not pushed again, what was pushed is read back, and a tag that names
something else is never overwritten. Then, with the same lock, fetch needs no
other server, once plugins.toml says

  [[mirror]]
  from = "*"
  to = "oci://HOST/REPO"          # or "oci-layout:DIR"

PLACE is a repository of any OCI registry, with docker's credentials, or a folder
in the OCI image layout, which needs no server. For each plugin version there is
a manifest with the tag NAME-VERSION, and for each bundle of plugins.toml an
index with the tag bundle-NAME: fetch bundle NAME --from PLACE.

With --trees the ready folders of plugins from npm, pip, cargo and go are pushed
too, for machines that have no cargo or go or may run no package manager. Those
of crates are compiled for this machine's platform only, and their digest enters
the lock, so that everybody gets the same one.
With names or --bundle only those plugins are pushed, and what runs them.

  lockgen mirror --to oci://registry.example.com/tools/plugins
  lockgen mirror --to oci-layout:vendor --platform linux-x86_64 --trees

      --bundle NAME       only this bundle; may be repeated
      --platform NAME     only what this platform needs; may be repeated
      --to PLACE          oci://HOST/REPO or oci-layout:DIR
      --trees             push ready folders as well
`

const helpDoctor = `tell what this machine has and what it lacks

Finds package managers, compilers, Buck2 and git, compares their versions with
the oldest that serve, and says which plugins of the lock need them; tries the
cache; shows proxies (without passwords), the registries that clients are
configured with, and the settings of Buck2 that our rules depend on. Nothing is
changed and nobody is called. What the lock needs and the machine lacks ends
with exit status 7 and the command that mends it.

  lockgen doctor
  lockgen doctor --json
  lockgen doctor --manager cargo --min-version 1.70.0

      --manager NAME      look at this tool alone
      --min-version V     with --manager: the oldest version that will do
`

const helpMergeDriver = `merge two locks; git runs it

Two branches that bump different plugins merge without it. It settles what git
cannot: tables that were added or changed side by side. A plugin that both
branches changed is a conflict; then both sides are in the file between git's
markers, and the way out is to settle plugins.toml, to take either side of the
lock whole, and to run lockgen update. Register it once for each clone:

  git config merge.lockgen.name "lock of protoc plugins"
  git config merge.lockgen.driver "lockgen merge-driver %O %A %B"
  echo "plugins.lock.toml merge=lockgen" >> .gitattributes
`

const helpOutdated = `tell which newer versions there are

One line for each entry of plugins.toml that is not at the newest version there
is: what is locked, the newest version that the entry and [policy] allow, the
newest of all, and why it is held back. Sources are asked, nothing is downloaded
or written. To take what is allowed: lockgen update NAME, or update --all.

  lockgen outdated
  lockgen outdated --json
`

const helpFlags = `flags of every command:
      --manifest FILE     instead of plugins.toml here or in a folder above
      --lock FILE         instead of plugins.lock.toml beside the manifest
      --json              result and error as JSON on stdout
      --offline           refuse the network
  -q, --quiet             no talk, only errors and warnings
  -v, --verbose           details
      --version           version of this program
  -h, --help              this text
`

const helpStatus = `exit status:
    0  ok
    1  a fault of lockgen itself
    2  the command line or plugins.toml
    3  the lock is missing, malformed or out of date
    4  the network, a registry or a server
    5  integrity: bytes are not what was promised or locked
    6  refused by a rule: clear text, scripts, git dependencies, [policy]
    7  this machine: disk, permission, a missing or too old npm, pip or cargo
  130  interrupted
`
