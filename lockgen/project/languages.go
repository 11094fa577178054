package project

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// A Language is a programming language that a repository may use.
type Language struct {
	Name   string
	Rule   string   // file in rules/
	files  []string // files that indicate the language
	Plugin string   // the first plugin to use; "" if protoc itself generates the code
}

// Languages lists the languages that are detected.
var Languages = []Language{
	{"Go", "go", []string{"go.mod", "go.work"}, "protoc-gen-go"},
	{"TypeScript", "typescript", []string{"package.json", "tsconfig.json"}, "ts-proto"},
	{"Python", "python", []string{"pyproject.toml", "setup.py", "requirements.txt"}, ""},
	{"Rust", "rust", []string{"Cargo.toml"}, "protoc-gen-prost"},
	{"Java", "java", []string{"pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"}, ""},
	{"C++", "cpp", []string{"CMakeLists.txt", "meson.build"}, ""},
}

// Limits for the folders that are searched.
const (
	languageDepth = 3
	languageFiles = 20_000
)

// LanguagesOf detects the languages of a repository, in the order of the table.
// It returns a file that indicates each, and whether there are .proto files.
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
