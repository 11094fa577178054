package manifest

import "slices"

// A Language is a programming language with rules, which a repository may use.
type Language struct {
	Name   string   // for people
	Rule   string   // its rules are in rules/RULE.bzl; also its name in [buckify]
	Suffix string   // of the names of its targets
	Files  []string // names of files that indicate the language
	Plugin string   // the first plugin to use; "" if protoc itself generates the code
}

// Languages lists them, as lockgen init proposes them.
var Languages = []Language{
	{"Go", "go", "go", []string{"go.mod", "go.work"}, "protoc-gen-go"},
	{"TypeScript", "typescript", "ts", []string{"package.json", "tsconfig.json"}, "ts-proto"},
	{"Python", "python", "py", []string{"pyproject.toml", "setup.py", "requirements.txt"}, ""},
	{"Rust", "rust", "rs", []string{"Cargo.toml"}, "protoc-gen-prost"},
	{"Java", "java", "java", []string{"pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"}, ""},
	{"C++", "cpp", "cpp", []string{"CMakeLists.txt", "meson.build"}, ""},
}

// LanguageOf returns the language with a rule.
func LanguageOf(rule string) (l Language, ok bool) {
	i := slices.IndexFunc(Languages, func(l Language) bool { return l.Rule == rule })
	if i < 0 {
		return l, false
	}
	return Languages[i], true
}

// languageRules returns the rules of all languages, sorted.
func languageRules() []string {
	var rules []string
	for _, l := range Languages {
		rules = append(rules, l.Rule)
	}
	slices.Sort(rules)
	return rules
}
