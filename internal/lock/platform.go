package lock

import (
	"runtime"

	"github.com/birbparty/buck2-protobuf/internal/pep440"
)

// A Platform is an operating system and a processor for which plugins are
// locked, with its names in other tools.
type Platform struct {
	Name string // as in the lock, "linux-x86_64"
	OS   string // "linux", "macos", "windows"
	Arch string // "x86_64", "aarch64"

	GOOS, GOARCH    string // names in Go
	NodeOS, NodeCPU string // process.platform and process.arch, as in "os" and "cpu" of a package.json

	// RustTarget is the target triple of rustc, as printed by `rustc --print
	// target-list`.
	RustTarget string

	// PipTags has the platform tags of wheels that this platform accepts, best
	// first. Linux means glibc 2.28 or later.
	PipTags []string

	// Emulates is the platform whose programs this one runs without any setup,
	// or "".
	Emulates string
	// Rosetta is the platform whose programs this one runs after the user has
	// installed an emulator, or "". It is only emulated if an entry says so.
	Rosetta string
}

// Runs reports whether p can run the programs of another platform, maybe after
// a setup.
func (p Platform) Runs(other string) bool {
	return other != "" && (other == p.Emulates || other == p.Rosetta)
}

// Exe returns the ending of executable files on p.
func (p Platform) Exe() string {
	if p.OS == "windows" {
		return ".exe"
	}
	return ""
}

// Platforms lists every platform of the lock, sorted by name. It is the only
// table of platform names: prelude/platforms.bzl repeats the Buck2 column, and
// a test compares them.
var Platforms = []Platform{
	{
		Name: "linux-aarch64", OS: "linux", Arch: "aarch64",
		GOOS: "linux", GOARCH: "arm64", NodeOS: "linux", NodeCPU: "arm64",
		RustTarget: "aarch64-unknown-linux-gnu",
		PipTags:    pep440.Manylinux("aarch64", 17),
	},
	{
		Name: "linux-x86_64", OS: "linux", Arch: "x86_64",
		GOOS: "linux", GOARCH: "amd64", NodeOS: "linux", NodeCPU: "x64",
		RustTarget: "x86_64-unknown-linux-gnu",
		PipTags:    pep440.Manylinux("x86_64", 5),
	},
	{
		Name: "macos-aarch64", OS: "macos", Arch: "aarch64",
		GOOS: "darwin", GOARCH: "arm64", NodeOS: "darwin", NodeCPU: "arm64",
		RustTarget: "aarch64-apple-darwin",
		PipTags:    pep440.MacOSX("arm64", 11),
		Rosetta:    "macos-x86_64",
	},
	{
		Name: "macos-x86_64", OS: "macos", Arch: "x86_64",
		GOOS: "darwin", GOARCH: "amd64", NodeOS: "darwin", NodeCPU: "x64",
		RustTarget: "x86_64-apple-darwin",
		PipTags:    pep440.MacOSX("x86_64", 10),
	},
	{
		Name: "windows-aarch64", OS: "windows", Arch: "aarch64",
		GOOS: "windows", GOARCH: "arm64", NodeOS: "win32", NodeCPU: "arm64",
		RustTarget: "aarch64-pc-windows-msvc",
		PipTags:    []string{"win_arm64"},
		Emulates:   "windows-x86_64",
	},
	{
		Name: "windows-x86_64", OS: "windows", Arch: "x86_64",
		GOOS: "windows", GOARCH: "amd64", NodeOS: "win32", NodeCPU: "x64",
		RustTarget: "x86_64-pc-windows-msvc",
		PipTags:    []string{"win_amd64"},
	},
}

// LookupPlatform returns the platform with this name.
func LookupPlatform(name string) (Platform, bool) {
	for _, p := range Platforms {
		if p.Name == name {
			return p, true
		}
	}
	return Platform{}, false
}

// PlatformNames returns the names of all platforms, sorted.
func PlatformNames() []string {
	names := make([]string, len(Platforms))
	for i, p := range Platforms {
		names[i] = p.Name
	}
	return names
}

// Host returns the platform that this program runs on; ok is false if it is not
// a platform of the lock.
func Host() (p Platform, ok bool) {
	for _, p := range Platforms {
		if p.GOOS == runtime.GOOS && p.GOARCH == runtime.GOARCH {
			return p, true
		}
	}
	return Platform{}, false
}
