package migrate

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// An Own is a plugin that the catalogue does not have, and whose program
// records where it comes from.
type Own struct {
	At, Name, Version string
	Source            string // as in plugins.toml
	Package           string // as in plugins.toml, "" for none
	Binary            string
}

// TOML returns the entry for plugins.toml.
func (o Own) TOML() string {
	text := "[plugins." + lock.Key(o.Name) + "]\nversion = " + lock.Quote(o.Version) + "\nsource = " + lock.Quote(o.Source) + "\n"
	if o.Package != "" {
		text += "package = " + lock.Quote(o.Package) + "\n"
	}
	return text + "binary = " + lock.Quote(o.Binary) + "\n"
}

// program matches the names of protoc, buf and plugins, with the suffixes for
// platforms and versions that people add.
var program = regexp.MustCompile(`^(protoc-gen-[A-Za-z0-9_-]+?|protoc|buf)(?:[-_.]v?\d+(?:\.\d+)*)?(?:[-_.](?:linux|darwin|osx|macos|windows|win32|win64|win|amd64|x86_64|x64|x86|64|arm64|aarch64|aarch_64|universal|all|musl|gnu|static))*(?:\.exe)?$`)

// maxDepth limits how deep Binaries looks into a folder.
const maxDepth = 4

// Binaries finds protoc and its plugins in a folder, without running them. It
// takes a version from the build information in a Go program, or from a lock
// that has a file with the same digest. If neither has it, it calls ask, which
// may run the program. Both l and ask may be nil.
func Binaries(dir string, l *lock.Lock, ask func(path string) (version string, err error)) (*Result, error) {
	r := &Result{}
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "buck-out" || strings.Count(rel, string(filepath.Separator)) >= maxDepth) {
				return fs.SkipDir
			}
			return nil
		}
		m := program.FindStringSubmatch(d.Name())
		if m == nil {
			return nil
		}
		info, err := os.Stat(path) // follows links
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		seen++
		return r.binary(path, m[1], l, ask)
	})
	if err != nil {
		return nil, fault.Errorf(fault.Machine, fault.MachineHint(err), "%w", err)
	}
	if seen == 0 {
		return nil, fault.Errorf(fault.Usage, "give the folder that contains protoc or protoc-gen-NAME, or a "+BufFile, "%s contains neither protoc nor a plugin", dir)
	}
	return r, nil
}

// binary adds one program to the result.
func (r *Result) binary(path, file string, l *lock.Lock, ask func(string) (string, error)) error {
	u := Use{At: path, Plugin: catalog.Builtin().Program(file)}
	about, err := buildinfo.ReadFile(path)
	if err == nil {
		if u.Plugin == "" || !isModule(u.Plugin, about.Path) {
			if name := byModule(about.Path); name != "" {
				u.Plugin = name
			} else if u.Plugin != "" && hasGo(u.Plugin) {
				r.lack(path, file, "it was built from %s, which is not the plugin %s of the catalogue", about.Path, u.Plugin)
				return nil
			}
		}
		if u.Plugin == "" {
			r.own(path, file, about)
			return nil
		}
		u.Version = released(about.Main.Version)
	}
	if u.Version == "" && l != nil {
		name, version, err := byDigest(path, l)
		if err != nil {
			return err
		}
		if name != "" {
			u.Plugin, u.Version = name, version
		}
	}
	if u.Plugin == "" {
		r.unknown(path, file, strings.TrimPrefix(file, "protoc-gen-"))
		return nil
	}
	if u.Version == "" && ask != nil {
		version, err := ask(path)
		if err != nil {
			r.lack(path, "the version of "+file, "running it with --version failed: %v", err)
		}
		u.Version = version
	} else if u.Version == "" {
		r.lack(path, "the version of "+file, "the file does not contain it; with --run, lockgen runs the program with --version")
	}
	for _, o := range r.Uses {
		if o.Plugin == u.Plugin && o.Version == u.Version { // the same plugin for another platform
			return nil
		}
	}
	r.Uses = append(r.Uses, u)
	return nil
}

// own adds a Go program that the catalogue does not have. Its build information
// says where it comes from.
func (r *Result) own(path, file string, about *debug.BuildInfo) {
	version := released(about.Main.Version)
	if version == "" || about.Main.Path == "" {
		r.lack(path, file, "lockgen does not know this plugin, which was built from %s at version %q, not a release: write an entry for it in %s", about.Path, about.Main.Version, manifest.FileName)
		return
	}
	o := Own{At: path, Name: file, Version: version, Source: lock.Go + ":" + about.Main.Path, Binary: file,
		Package: strings.TrimPrefix(strings.TrimPrefix(about.Path, about.Main.Path), "/")}
	if !slices.ContainsFunc(r.Owns, func(other Own) bool { return other.Name == o.Name }) {
		r.Owns = append(r.Owns, o)
	}
}

// released returns the version of a module without the v, or "" if it is not a
// release.
func released(version string) string {
	if !semver.IsValid(version) || module.IsPseudoVersion(version) || semver.Build(version) != "" && semver.Build(version) != "+incompatible" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(version, "v"), "+incompatible")
}

// byModule finds the plugin that is built from a Go main package.
func byModule(main string) string {
	for _, name := range catalog.Builtin().Names() {
		if isModule(name, main) {
			return name
		}
	}
	return ""
}

// mains lists the main packages of a plugin's Go sources.
func mains(name string) (all []string) {
	r, _ := catalog.Builtin().Lookup(name)
	for _, s := range r.Sources {
		if lock.KindOf(s.Source.Kind).Mains {
			all = append(all, strings.TrimSuffix(s.Source.Name+"/"+s.Main, "/"))
		}
	}
	return all
}

func isModule(name, main string) bool { return slices.Contains(mains(name), main) }
func hasGo(name string) bool          { return len(mains(name)) > 0 }

// byDigest finds the plugin whose locked file has the digest of the file at
// path.
func byDigest(path string, l *lock.Lock) (name, version string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	for name, versions := range l.Plugins {
		for version, v := range versions {
			for _, file := range v.Files {
				if file.SHA256 == sum {
					return name, version, nil
				}
			}
		}
	}
	return "", "", nil
}

// From reads a buf.gen.yaml, a buf.yaml, a folder that contains one of them or
// a buf.work.yaml, or a folder of programs; see [Binaries].
func From(path string, l *lock.Lock, ask func(string) (string, error)) (*Result, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Usage, "give a "+BufFile+", or the folder that contains protoc and its plugins", "%s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	of, file := (*Result)(nil), path
	if info.IsDir() {
		if of, err = modules(path); err != nil {
			return nil, err
		}
		file = filepath.Join(path, BufFile)
		switch _, err := os.Stat(file); {
		case err == nil:
		case of != nil:
			return of, nil
		default:
			return Binaries(path, l, ask)
		}
	}
	if base := filepath.Base(file); !info.IsDir() && strings.HasPrefix(base, "protoc") && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(base)) {
		return nil, fault.Errorf(fault.Usage, "give its folder: "+filepath.Dir(path), "%s is a program", path)
	}
	data, err := input.File(file)
	if err != nil {
		return nil, err
	}
	read := Buf
	if filepath.Base(file) == ModuleFile {
		read = Module
	}
	r, err := read(file, data)
	if err != nil {
		return nil, err
	}
	return r.with(of), nil
}
