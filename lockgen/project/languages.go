package project

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// A Language is one that a repository may be written in.
type Language struct {
	Name   string
	Rule   string   // of rules/
	files  []string // that tell it
	Plugin string   // to begin with, "" where protoc itself generates the code
}

// Languages are those that are known.
var Languages = []Language{
	{"Go", "go", []string{"go.mod", "go.work"}, "protoc-gen-go"},
	{"TypeScript", "typescript", []string{"package.json", "tsconfig.json"}, "ts-proto"},
	{"Python", "python", []string{"pyproject.toml", "setup.py", "requirements.txt"}, ""},
	{"Rust", "rust", []string{"Cargo.toml"}, "protoc-gen-prost"},
	{"Java", "java", []string{"pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"}, ""},
	{"C++", "cpp", []string{"CMakeLists.txt", "meson.build"}, ""},
}

// The folders that are looked at for languages: not deep, and not many.
const (
	languageDepth = 3
	languageFiles = 20_000
)

// LanguagesOf looks which languages a repository is written in, in the order of
// the table, and returns a file that tells each, and whether there are .proto
// files.
func LanguagesOf(root string) (found []Language, by []string, protos bool) {
	first := make([]string, len(Languages))
	files := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if files++; err != nil || files > languageFiles {
			return fs.SkipAll
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			name := d.Name()
			if rel != "." && (strings.HasPrefix(name, ".") || strings.Count(rel, string(filepath.Separator)) >= languageDepth ||
				slices.Contains([]string{"buck-out", "node_modules", "target", "third-party", "third_party", "vendor", "venv"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		protos = protos || strings.HasSuffix(d.Name(), ".proto")
		for n, l := range Languages {
			if slices.Contains(l.files, d.Name()) && (first[n] == "" || strings.Count(rel, string(filepath.Separator)) < strings.Count(first[n], string(filepath.Separator))) {
				first[n] = rel
			}
		}
		return nil
	})
	for n, l := range Languages {
		if first[n] != "" {
			found, by = append(found, l), append(by, filepath.ToSlash(first[n]))
		}
	}
	return found, by, protos
}
