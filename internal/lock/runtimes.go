package lock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Runtimes are the libraries that generated code runs on. In a lock they have a table
// of their own, [runtimes.LANGUAGE.NAME."VERSION"]; among the plugins of a [Lock]
// they are called runtimes/LANGUAGE/NAME, which no plugin can be.

const runtimesPrefix = "runtimes/"

// Languages lists the languages that have runtimes, sorted.
func Languages() (names []string) {
	for _, k := range kinds {
		if k.Language != "" {
			names = append(names, k.Language)
		}
	}
	slices.Sort(names)
	return names
}

// RuntimesKind is the source kind of the runtimes of a language, "" if it has none.
func RuntimesKind(language string) string {
	for _, k := range kinds {
		if k.Language == language && language != "" {
			return k.Name
		}
	}
	return ""
}

// RuntimeEntry is the name of an entry for a runtime. The name is one of the catalogue,
// or that of a package: com.acme:lib is called com.acme-lib, @acme/lib acme-lib.
func RuntimeEntry(language, name string) string {
	if name, _ = syntax.Extras(name); strings.ContainsAny(name, ":/@") {
		name = strings.ToLower(strings.NewReplacer(":", "-", "/", "-", "@", "").Replace(name))
	}
	return runtimesPrefix + language + "/" + name
}

// RuntimeName parts the name of an entry that is a runtime; both parts are "" for
// others.
func RuntimeName(entry string) (language, name string, ok bool) {
	rest := strings.TrimPrefix(entry, runtimesPrefix)
	if language, name, ok = strings.Cut(rest, "/"); !ok || rest == entry {
		return "", "", false
	}
	return language, name, true
}

// CutSpec parts NAME or NAME@VERSION, as people write it: a runtime may also be called
// after its package, as in runtimes/typescript/@acme/lib@1.0.
func CutSpec(spec string) (name, version string, exact bool) {
	language, rest, ok := RuntimeName(spec)
	if !ok {
		return strings.Cut(spec, "@")
	}
	name, version, exact = CutPackage(rest)
	return RuntimeEntry(language, name), version, exact
}

// CutPackage parts the name of a package and its version, NAME or NAME@VERSION. Scopes
// of npm start with @.
func CutPackage(label string) (name, version string, exact bool) {
	if at := strings.LastIndexByte(label, '@'); at > 0 {
		return label[:at], label[at+1:], true
	}
	return label, "", false
}

// IsRuntime reports whether the version is one of a runtime.
func (v *Version) IsRuntime() bool { return v.Language != "" }

// takeRuntimes moves the runtimes of a text to the plugins.
func (l *Lock) takeRuntimes() {
	for language, names := range l.Runtimes {
		for name, versions := range names {
			for _, v := range versions {
				v.Language = language
			}
			if l.Plugins == nil {
				l.Plugins = map[string]map[string]*Version{}
			}
			l.Plugins[RuntimeEntry(language, name)] = versions
		}
	}
	l.Runtimes = nil
}

// validateRuntime checks the keys that a runtime has, and that it has no others.
func (v *Version) validateRuntime() error {
	for _, f := range v.fields() {
		if !f.empty() && !slices.Contains(runtimeFields, f.key) {
			return fmt.Errorf("a runtime has no %s", f.key)
		}
	}
	if kind := RuntimesKind(v.Language); v.Source != kind {
		return fmt.Errorf("runtimes of %s are of source %s, not %s", v.Language, kind, v.Source)
	}
	if !v.Kind().Wheels && len(v.Python) > 0 {
		return fmt.Errorf("a runtime of %s has no python", v.Language)
	}
	if v.Kind().Wheels && len(v.Python) == 0 {
		return errors.New("python is missing")
	}
	for i, spec := range v.Fits {
		name, version, _ := strings.Cut(spec, "@")
		if err := errors.Join(syntax.CheckName(name), syntax.CheckVersion(version)); err != nil {
			return fmt.Errorf("fits: %w", err)
		}
		if i > 0 && spec <= v.Fits[i-1] {
			return errors.New("fits are not sorted, or one is there twice")
		}
	}
	return errors.Join(v.checkPackages(), checkInterpreters(v.Python))
}

// checkPackages checks the packages of a runtime of Go or the crates of one of Rust,
// which are its folders.
func (v *Version) checkPackages() error {
	if v.Kind().Compiled {
		return v.checkCrates()
	}
	if !v.Kind().Mains {
		if len(v.Folders) > 0 {
			return fmt.Errorf("a runtime of %s has no folders", v.Language)
		}
		return nil
	}
	if len(v.Folders) == 0 {
		return errors.New("folders are missing: the packages of Go")
	}
	for _, at := range slices.Sorted(maps.Keys(v.Folders)) {
		f := v.Folders[at]
		if !f.Empty() {
			return fmt.Errorf("folder %q: it is described as a crate", at)
		}
		if err := module.CheckImportPath(at); err != nil {
			return fmt.Errorf("folder %q: %w", at, err)
		}
		if v.ModuleOf(at) == "" {
			return fmt.Errorf("folder %q: it is in none of the modules", at)
		}
		if err := errors.Join(checkSorted("files", f.Files, syntax.CheckShown), checkSorted("imports", f.Imports, func(imported string) error {
			if _, ok := v.Folders[imported]; !ok {
				return fmt.Errorf("%q is not among the folders", imported)
			}
			return nil
		})); err != nil {
			return fmt.Errorf("folder %q: %w", at, err)
		}
	}
	return nil
}

// ModuleOf is the key of the module of a package of Go, "" for none: the longest path.
func (v *Version) ModuleOf(pkg string) (key string) {
	for k, f := range v.Files {
		if (pkg == f.Name || strings.HasPrefix(pkg, f.Name+"/")) && (key == "" || len(f.Name) > len(v.Files[key].Name)) {
			key = k
		}
	}
	return key
}

// checkRuntimes checks what runtimes have with one another: a program has one version
// of a library.
func (l *Lock) checkRuntimes() error {
	type seen struct{ entry, version string }
	known := map[string]seen{} // by language and library
	for _, entry := range slices.Sorted(maps.Keys(l.Plugins)) {
		language, _, ok := RuntimeName(entry)
		if ok && len(l.Plugins[entry]) > 1 {
			return fault.Errorf(fault.Lock, "keep one version in plugins.toml, and run: lockgen update", "%s is there in %d versions, and a program has one of a library", entry, len(l.Plugins[entry]))
		}
		for version, v := range l.Plugins[entry] {
			if v.IsRuntime() != ok || ok && v.Language != language {
				return fmt.Errorf("%s %s: only runtimes have a language", entry, version)
			}
			for _, key := range slices.Sorted(maps.Keys(v.Files)) {
				name, version := v.PackageOf(key)
				switch {
				case v.Kind().Folders: // node takes the nearest: a folder has one version
					name, version = key, v.Files[key].Label(key)
				case v.Kind().Compiled: // versions that cannot replace each other are other crates
					name += " " + crate.Series(version)
				}
				other, twice := known[language+"/"+name]
				if !ok || twice && other.version == version {
					continue
				}
				if twice {
					return fault.Errorf(fault.Lock, "run: lockgen update "+other.entry+" "+entry, "%s brings %s %s and %s %s, and a program has one version of a library", other.entry, name, other.version, entry, version)
				}
				known[language+"/"+name] = seen{entry, version}
			}
		}
	}
	return nil
}
