// Package naming reads the names that publishers give to the files of a release: for
// which version and platform a file is, and what the files of other platforms are
// called.
package naming

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// The names that publishers use for the operating systems and processors of the
// lock.
var (
	osWords   = map[string][]string{"linux": {"linux"}, "macos": {"darwin", "macos", "osx", "apple", "mac"}, "windows": {"windows", "win64", "win"}}
	archWords = map[string][]string{"x86_64": {"x86_64", "x86-64", "amd64", "x64", "64bit"}, "aarch64": {"aarch64", "aarch_64", "arm64", "armv8"}}
	narrow    = []string{"386", "i386", "i686", "x86", "win32", "32bit", "arm", "armv6", "armv7", "ppc64le", "s390x", "riscv64", "loong64"}
)

var versionIn = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9]+(\.[0-9]+)+(-[0-9A-Za-z.]+)?`) })

// TagTemplate returns the template of a tag that contains a version. ok is
// false for a tag without one.
func TagTemplate(tag string) (template string, ok bool) {
	at := versionIn().FindStringIndex(tag)
	if at == nil {
		return "", false
	}
	return tag[:at[0]] + "{version}" + tag[at[1]:], true
}

// A Guess is how a publisher seems to name the files of releases.
type Guess struct {
	Asset    string            // the template of most files
	OS, Arch map[string]string // the publisher's names for the lock's, if they differ
	Assets   map[string]string // templates for the platforms that Asset does not match
	Files    map[string]string // by platform
}

// wordAt finds one of several words in a name, between characters that are
// neither letters nor digits.
func wordAt(name string, words []string) (start, end int, ok bool) {
	lower := strings.ToLower(name)
	inside := func(i int) bool {
		return i >= 0 && i < len(lower) && (lower[i] >= 'a' && lower[i] <= 'z' || lower[i] >= '0' && lower[i] <= '9')
	}
	for _, word := range words {
		for from := 0; ; {
			i := strings.Index(lower[from:], word)
			if i < 0 {
				break
			}
			start, end = from+i, from+i+len(word)
			if !inside(start-1) && !inside(end) {
				return start, end, true
			}
			from = start + 1
		}
	}
	return 0, 0, false
}

// A fit is a file that matches a platform.
type fit struct {
	name, template string
	os, arch       string // the words in its name, "" for none
	worth          int
}

// fits reports whether a file matches a platform, by its name.
func fits(name, version string, p lock.Platform) (f fit, ok bool) {
	archive, err := manifest.Archive(name)
	if err != nil || slices.ContainsFunc([]string{".sha256", ".sha512", ".sha256sum", ".md5", ".sig", ".asc", ".pem", ".json", ".jsonl", ".txt", ".sbom", ".bundle", ".apk", ".yaml", ".yml", ".md", ".proto", ".jar"}, func(end string) bool {
		return strings.HasSuffix(strings.ToLower(name), end)
	}) {
		return f, false
	}
	osAt, osEnd, ok := wordAt(name, osWords[p.OS])
	if !ok {
		return f, false
	}
	f = fit{name: name, os: name[osAt:osEnd], worth: map[string]int{"tar.gz": 4, "zip": 3, "": 2}[archive]}
	archAt, archEnd, has := wordAt(name, archWords[p.Arch])
	if has {
		f.arch, f.worth = name[archAt:archEnd], f.worth+1
	} else {
		for _, words := range [][]string{archWords["x86_64"], archWords["aarch64"], narrow} {
			if _, _, other := wordAt(name, words); other {
				return f, false
			}
		}
		if p.OS != "macos" && p.Arch != "x86_64" { // a file for macOS may be for both processors
			return f, false
		}
	}
	if _, _, musl := wordAt(name, []string{"musl"}); musl {
		f.worth--
	}
	if strings.Contains(name, "protoc-gen-") {
		f.worth += 8
	}
	type cut struct {
		start, end int
		with       string
	}
	cuts := []cut{{osAt, osEnd, "{os}"}}
	if f.arch != "" {
		cuts = append(cuts, cut{archAt, archEnd, "{arch}"})
	}
	if i := strings.Index(name, version); i >= 0 {
		cuts = append(cuts, cut{i, i + len(version), "{version}"})
	}
	slices.SortFunc(cuts, func(a, b cut) int { return b.start - a.start })
	f.template = name
	for _, c := range cuts {
		f.template = f.template[:c.start] + c.with + f.template[c.end:]
	}
	if before, ok := strings.CutSuffix(f.template, ".exe"); ok {
		f.template = before + "{exe}"
	} else if archive == "" && p.OS != "windows" {
		f.template += "{exe}"
	}
	return f, true
}

// Of finds the files of a release for each platform.
func Of(version string, names []string) Guess {
	g := Guess{OS: map[string]string{}, Arch: map[string]string{}, Assets: map[string]string{}, Files: map[string]string{}}
	best := map[string]fit{}
	votes := map[string]int{}
	for _, p := range lock.Platforms {
		for _, name := range slices.Sorted(slices.Values(names)) {
			if f, ok := fits(name, version, p); ok && (best[p.Name].name == "" || f.worth > best[p.Name].worth) {
				best[p.Name] = f
			}
		}
	}
	for platform, f := range best { // where those of Windows have no .exe, no other has a place for it
		if p, _ := lock.LookupPlatform(platform); p.OS == "windows" && !strings.HasSuffix(f.template, "{exe}") {
			for other, o := range best {
				if o.template == f.template+"{exe}" {
					o.template = f.template
					best[other] = o
				}
			}
		}
	}
	for _, p := range lock.Platforms {
		if f := best[p.Name]; f.name != "" {
			votes[f.template] += 2
			if f.arch != "" {
				votes[f.template]++ // prefer a template that varies
			}
			g.Files[p.Name] = f.name
		}
	}
	for _, template := range slices.Sorted(maps.Keys(votes)) {
		if votes[template] > votes[g.Asset] {
			g.Asset = template
		}
	}
	for _, p := range lock.Platforms {
		f := best[p.Name]
		if f.name == "" {
			continue
		}
		if f.template == g.Asset && takes(g.OS, p.OS, f.os) && (f.arch == "" || takes(g.Arch, p.Arch, f.arch)) {
			continue
		}
		g.Assets[p.Name] = strings.Replace(f.name, version, "{version}", 1)
	}
	for _, words := range []map[string]string{g.OS, g.Arch} {
		maps.DeleteFunc(words, func(ours, theirs string) bool { return ours == theirs })
	}
	return g
}

// takes records a publisher's word for one of ours, unless ours has another
// one.
func takes(words map[string]string, ours, theirs string) bool {
	if was, ok := words[ours]; ok {
		return was == theirs
	}
	words[ours] = theirs
	return true
}

// ProgramOf returns the name of a file that is an executable, without its
// version and platform.
func ProgramOf(name, version string) string {
	end := len(name)
	for _, words := range []map[string][]string{osWords, archWords} {
		for _, list := range words {
			if start, _, ok := wordAt(name, list); ok {
				end = min(end, start)
			}
		}
	}
	if i := strings.Index(name, version); i > 0 {
		end = min(end, i)
	}
	return strings.TrimSuffix(strings.TrimRight(strings.TrimSuffix(name[:end], "v"), "-_."), ".exe")
}

// PathTemplate returns the path of the executable in a platform's file, with
// the parts that vary in braces.
func (g Guess) PathTemplate(file, version string, p lock.Platform) string {
	dir, base := path.Split(strings.ReplaceAll(file, version, "{version}"))
	for _, w := range []struct {
		word, with string
		of         map[string]string
	}{{p.OS, "{os}", g.OS}, {p.Arch, "{arch}", g.Arch}} {
		word := w.word
		if theirs := w.of[word]; theirs != "" {
			word = theirs
		}
		if start, end, ok := wordAt(dir, []string{strings.ToLower(word)}); ok && dir[start:end] == word {
			dir = dir[:start] + w.with + dir[end:]
		}
		if start, end, ok := wordAt(base, []string{strings.ToLower(word)}); ok && base[start:end] == word {
			base = base[:start] + w.with + base[end:]
		}
	}
	if before, ok := strings.CutSuffix(base, ".exe"); ok {
		base = before + "{exe}"
	}
	return dir + base
}

// Naming has the publisher's words for systems and processors.
func (g Guess) Naming() (n manifest.Naming) {
	if len(g.OS) > 0 {
		n.OS = g.OS
	}
	if len(g.Arch) > 0 {
		n.Arch = g.Arch
	}
	return n
}
