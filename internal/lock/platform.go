package lock

import (
	"runtime"
	"strconv"
)

// A Platform is a pair of operating system and processor for which plugins are
// locked, with the names that the tools around us give it.
type Platform struct {
	Name string // as in the lock, "linux-x86_64"
	OS   string // "linux", "macos", "windows"
	Arch string // "x86_64", "aarch64"

	GOOS, GOARCH    string // Go's names
	NodeOS, NodeCPU string // process.platform and process.arch, as in "os" and "cpu" of a package.json

	// RustTarget is the target triple of rustc, as `rustc --print target-list`
	// has it.
	RustTarget string

	// PipTags are the wheel platform tags that this platform accepts, best
	// first. Linux means glibc 2.28 or later.
	PipTags []string

	// Emulates names the platform whose programs this one runs out of the
	// box, or is "".
	Emulates string
	// Rosetta names the platform whose programs this one runs once somebody has
	// installed what it takes, or is "": only an entry that says so emulates it.
	Rosetta string
}

// Runs reports whether p can be made to run the programs of another platform.
func (p Platform) Runs(other string) bool {
	return other != "" && (other == p.Emulates || other == p.Rosetta)
}

// Exe is the suffix of an executable file on p.
func (p Platform) Exe() string {
	if p.OS == "windows" {
		return ".exe"
	}
	return ""
}

// Platforms lists every platform that a lock speaks of, sorted by name. It is
// the one table of platform names: prelude/platforms.bzl repeats the Buck2
// column and a test compares the two.
var Platforms = []Platform{
	{
		Name: "linux-aarch64", OS: "linux", Arch: "aarch64",
		GOOS: "linux", GOARCH: "arm64", NodeOS: "linux", NodeCPU: "arm64",
		RustTarget: "aarch64-unknown-linux-gnu",
		PipTags:    manylinux("aarch64", 17),
	},
	{
		Name: "linux-x86_64", OS: "linux", Arch: "x86_64",
		GOOS: "linux", GOARCH: "amd64", NodeOS: "linux", NodeCPU: "x64",
		RustTarget: "x86_64-unknown-linux-gnu",
		PipTags:    manylinux("x86_64", 5),
	},
	{
		Name: "macos-aarch64", OS: "macos", Arch: "aarch64",
		GOOS: "darwin", GOARCH: "arm64", NodeOS: "darwin", NodeCPU: "arm64",
		RustTarget: "aarch64-apple-darwin",
		PipTags:    macosx("arm64", 11),
		Rosetta:    "macos-x86_64",
	},
	{
		Name: "macos-x86_64", OS: "macos", Arch: "x86_64",
		GOOS: "darwin", GOARCH: "amd64", NodeOS: "darwin", NodeCPU: "x64",
		RustTarget: "x86_64-apple-darwin",
		PipTags:    macosx("x86_64", 10),
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

// LookupPlatform returns the platform of that name.
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

// Host returns the platform that this program runs on; ok is false where the
// lock knows no such platform.
func Host() (p Platform, ok bool) {
	for _, p := range Platforms {
		if p.GOOS == runtime.GOOS && p.GOARCH == runtime.GOARCH {
			return p, true
		}
	}
	return Platform{}, false
}

// manylinux lists the wheel tags of glibc 2.28 down to 2.oldest (PEP 600),
// with the older names that PEP 513, 571 and 599 gave to three of them.
func manylinux(arch string, oldest int) []string {
	legacy := map[int]string{17: "manylinux2014_", 12: "manylinux2010_", 5: "manylinux1_"}
	var tags []string
	for minor := 28; minor >= oldest; minor-- {
		tags = append(tags, "manylinux_2_"+strconv.Itoa(minor)+"_"+arch)
		if old, ok := legacy[minor]; ok {
			tags = append(tags, old+arch)
		}
	}
	return tags
}

// macosx lists the wheel tags of macOS 14 down to the oldest major version
// that runs on the processor, as the packaging library of PyPA does.
func macosx(arch string, oldest int) []string {
	var tags []string
	for major := 14; major >= 11; major-- {
		for _, a := range []string{arch, "universal2"} {
			tags = append(tags, "macosx_"+strconv.Itoa(major)+"_0_"+a)
		}
	}
	if oldest <= 10 {
		for minor := 16; minor >= 6; minor-- {
			for _, a := range []string{arch, "universal2", "intel"} {
				tags = append(tags, "macosx_10_"+strconv.Itoa(minor)+"_"+a)
			}
		}
	}
	return tags
}
