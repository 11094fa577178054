package project

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// Limits for the folders that are searched.
const (
	languageDepth = 3
	languageFiles = 20_000
)

// LanguagesOf detects the languages of a repository, in the order of the table.
// It returns a file that indicates each, and whether there are .proto files.
func LanguagesOf(root string) (found []manifest.Language, by []string, protos bool) {
	first := make([]string, len(manifest.Languages))
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
		for n, l := range manifest.Languages {
			if slices.Contains(l.Files, d.Name()) && (first[n] == "" || strings.Count(rel, string(filepath.Separator)) < strings.Count(first[n], string(filepath.Separator))) {
				first[n] = rel
			}
		}
		return nil
	})
	for n, l := range manifest.Languages {
		if first[n] != "" {
			found, by = append(found, l), append(by, filepath.ToSlash(first[n]))
		}
	}
	return found, by, protos
}
