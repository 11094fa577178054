package naming

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var versionInURL = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)[0-9]+(\.[0-9]+)+([-.]?((alpha|beta|rc|preview|pre|dev|snapshot)[-.]?[0-9]*|(a|b|m)[0-9]+)(\.[0-9]+)*)?(\+[0-9a-z]+)?`)
})

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// bounded reports whether what is between two places of a text can be a version: no
// letter or digit is beside it, but for the v in front.
func bounded(s string, start, end int) bool {
	if start > 0 && (s[start-1] == 'v' || s[start-1] == 'V') {
		start--
	}
	if start > 0 && (isDigit(s[start-1]) || isLetter(s[start-1]) || s[start-1] == '.' && start > 1 && isDigit(s[start-2])) {
		return false
	}
	return end == len(s) || !isDigit(s[end]) && !isLetter(s[end]) && (s[end] != '.' || end+1 == len(s) || !isDigit(s[end+1]))
}

// server is the part of a URL in front of its path.
func server(address string) string {
	at := strings.Index(address, "://")
	if at < 0 {
		return ""
	}
	slash := strings.IndexByte(address[at+3:], '/')
	if slash < 0 {
		return address
	}
	return address[:at+3+slash]
}

// URLTemplate is the template of the URL of a file that has a version in it, in the
// name of the file or else in that of a folder; ok is false for one that has none.
func URLTemplate(address string) (template, version string, ok bool) {
	host := server(address)
	parts := strings.Split(address[len(host):], "/")
	for _, part := range slices.Backward(parts) {
		for _, at := range versionInURL().FindAllStringIndex(part, -1) {
			if bounded(part, at[0], at[1]) {
				version = part[at[0]:at[1]]
				return host + replace(address[len(host):], version, "{version}", bounded), version, true
			}
		}
	}
	return address, "", false
}

// replace replaces a text where it stands as the caller wants it.
func replace(s, old, with string, here func(s string, start, end int) bool) string {
	var b strings.Builder
	for at := 0; ; {
		i := strings.Index(s[at:], old)
		if i < 0 {
			b.WriteString(s[at:])
			return b.String()
		}
		start, end := at+i, at+i+len(old)
		b.WriteString(s[at:start])
		if here(s, start, end) {
			b.WriteString(with)
		} else {
			b.WriteString(old)
		}
		at = end
	}
}

// What the other processor is called where one has a name, and the other operating
// systems; what is likeliest comes first.
var (
	partners = map[string][]string{
		"x86_64": {"aarch64", "arm64", "aarch_64"}, "x86-64": {"aarch64", "arm64"}, "amd64": {"arm64"}, "x64": {"arm64", "aarch64"}, "64bit": {"arm64"},
		"aarch64": {"x86_64", "amd64", "x64"}, "arm64": {"amd64", "x86_64", "x64"}, "aarch_64": {"x86_64"}, "armv8": {"x86_64"},
	}
	systems = map[string][]string{"linux": {"linux"}, "macos": {"darwin", "macos", "osx"}, "windows": {"windows", "win"}}
	both    = []string{"all", "universal"} // of macOS
	triples = map[string][]string{
		"linux": {"unknown-linux-gnu", "unknown-linux-musl"}, "macos": {"apple-darwin"}, "windows": {"pc-windows-msvc", "pc-windows-gnu"},
	}
)

// Files are the URLs at which the file of a platform may be, likeliest first, when a
// person gave that of another one, or a template. There is one where the platform is
// in the URL, and none where no platform is. {version} stays.
func Files(template string, p lock.Platform) []string {
	host := server(template)
	rest := template[len(host):]
	var list []string
	add := func(rest string) {
		if !slices.Contains(list, host+rest) {
			list = append(list, host+rest)
		}
	}
	if IsTemplate(template) {
		for _, os := range []string{p.OS, p.GOOS} {
			for _, arch := range []string{p.Arch, p.GOARCH} {
				add(strings.NewReplacer("{os}", os, "{arch}", arch, "{goos}", p.GOOS, "{goarch}", p.GOARCH, "{exe}", p.Exe()).Replace(rest))
			}
		}
		return list
	}
	g, ok := given(rest)
	if !ok {
		return nil
	}
	for _, word := range g.words(p) {
		for _, end := range g.ends(p) {
			add(word + end)
		}
	}
	return list
}

// IsTemplate reports whether a URL has places for a platform.
func IsTemplate(address string) bool {
	return slices.ContainsFunc([]string{"{os}", "{arch}", "{goos}", "{goarch}", "{exe}"}, func(v string) bool { return strings.Contains(address, v) })
}

// IsFile reports whether a text is the end of the name of a file: it has that of an
// archive, or a platform.
func IsFile(text string) bool {
	g, ok := given(text)
	return ok || g.end != ""
}

// A named is the path of a file with the platform in it.
type named struct {
	stem, end  string // the path, with the end of its name apart
	os, arch   string // of the lock; arch is "" where no word says it
	osW, archW string // the words in the path
	triple     string // what follows the processor, as Rust has it; "" for none
}

// given reads the platform off a path: of the name of the file, or else of the folders.
func given(rest string) (g named, ok bool) {
	g.stem = rest
	for _, end := range []string{".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".zip", ".exe", ".gz", ".xz", ".zst"} {
		if stem, ok := strings.CutSuffix(rest, end); ok {
			g.stem, g.end = stem, end
			break
		}
	}
	for _, where := range []string{path.Base(g.stem), g.stem} {
		for _, os := range []string{"linux", "macos", "windows"} {
			start, end, ok := wordAt(where, osWords[os])
			if !ok {
				continue
			}
			g.os, g.osW = os, where[start:end]
			for _, arch := range []string{"x86_64", "aarch64"} {
				if start, end, ok := wordAt(where, archWords[arch]); ok && g.arch == "" {
					g.arch, g.archW = arch, where[start:end]
				}
			}
			for _, triple := range triples[os] {
				if strings.Contains(where, g.archW+"-"+triple) {
					g.triple = triple
				}
			}
			return g, true
		}
	}
	return g, false
}

// like is a word in the case of another one.
func like(word, other string) string {
	switch {
	case other == strings.ToLower(other):
		return word
	case other == strings.ToUpper(other):
		return strings.ToUpper(word)
	case word == "macos":
		return "macOS"
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// words are the paths of a platform without their ends.
func (g named) words(p lock.Platform) (list []string) {
	systemsOf, arches := []string{g.osW}, []string{g.archW}
	if p.OS != g.os {
		systemsOf = nil
		for _, word := range systems[p.OS] {
			systemsOf = append(systemsOf, like(word, g.osW))
		}
	}
	if g.arch != "" && p.Arch != g.arch {
		arches = nil
		for _, word := range partners[strings.ToLower(g.archW)] {
			arches = append(arches, like(word, cmp.Or(g.archW, "x")))
		}
	}
	if g.triple != "" {
		list := triples[p.OS]
		if p.OS == g.os {
			list = []string{g.triple}
		}
		var stems []string
		for _, triple := range list {
			for _, arch := range arches {
				stems = append(stems, strings.ReplaceAll(g.stem, g.archW+"-"+g.triple, arch+"-"+triple))
			}
		}
		return stems
	}
	if p.OS == "macos" && g.arch != "" {
		arches = append(slices.Clip(arches), both...)
	}
	for _, os := range systemsOf {
		for _, arch := range arches {
			stem := replace(g.stem, g.osW, os, word)
			if g.arch != "" {
				stem = replace(stem, g.archW, arch, word)
			}
			list = append(list, stem)
		}
	}
	return list
}

// word reports whether there is neither a letter nor a digit beside a part of a text.
func word(s string, start, end int) bool {
	return (start == 0 || !isDigit(s[start-1]) && !isLetter(s[start-1])) && (end == len(s) || !isDigit(s[end]) && !isLetter(s[end]))
}

// ends are the ends of the name that the file of a platform may have.
func (g named) ends(p lock.Platform) []string {
	switch {
	case p.OS == g.os:
		return []string{g.end}
	case p.OS == "windows" && (g.end == "" || g.end == ".exe"):
		return []string{".exe", ""}
	case g.end == ".exe":
		return []string{""}
	case g.end == ".zip":
		return []string{".zip", ".tar.gz"}
	case g.end != "" && p.OS == "windows":
		return []string{g.end, ".zip"}
	}
	return []string{g.end}
}

// OfURLs is [Of] for the URLs of one version, with {version} in them: the names follow
// where they have in common. Of a single one that is for no platform, Asset alone is
// known.
func OfURLs(urls []string) (where string, g Guess) {
	where, _ = path.Split(urls[0])
	inName := func(address string) bool {
		_, ok := given("/" + path.Base(address))
		dir, _ := path.Split(address)
		return ok && dir == where
	}
	if slices.ContainsFunc(urls, func(address string) bool { return !inName(address) }) {
		where = server(urls[0]) + "/"
	}
	var names []string
	for _, address := range urls {
		names = append(names, strings.TrimPrefix(address, where))
	}
	g = Of("{version}", names)
	if g.Asset == "" {
		where, g.Asset = "", urls[0]
	}
	return where, g
}
