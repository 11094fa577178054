package npm

import (
	"encoding/json"
	"io/fs"
	"maps"
	"strings"
	"testing"
)

// FuzzPackageJSON: whatever a package says of its programs, each of them has a name
// that is one part of a path, and a file inside the package.
func FuzzPackageJSON(f *testing.F) {
	refused := map[string]string{"": ""}
	seeds := map[string]map[string]string{ // to its programs; refused for what is no package.json
		`{"name":"gen","bin":"x.js"}`:                          {"gen": "x.js"},
		`{"name":"@s/gen","bin":"./bin/x.js"}`:                 {"gen": "bin/x.js"},
		`{"name":"gen","bin":{"a":"a.js","b":"./b"}}`:          {"a": "a.js", "b": "b"},
		`{"name":"gen","bin":{"../../a":"../../a.js"}}`:        {"a": "a.js"},
		`{"name":"gen","bin":{"@s/../../a":"/etc/passwd"}}`:    {"a": "etc/passwd"},
		`{"name":"gen","bin":{"a":"..\\..\\a.js"}}`:            {"a": "a.js"},
		`{"name":"gen","bin":{"":"a.js",".":"b","..":"c"}}`:    {},
		`{"name":"gen","bin":{"a":"","b":".","c":".."}}`:       {},
		`{"name":"gen","bin":["bin/a.js","b"]}`:                {"a.js": "bin/a.js", "b": "b"},
		`{"name":"gen","bin":{"a":1,"b":"b.js"}}`:              {"b": "b.js"},
		`{"name":"gen","bin":17}`:                              {},
		`{"name":"gen","bin":null}`:                            {},
		`{"name":"gen","directories":{"bin":"../../etc"}}`:     {},
		`{"name":"../..","bin":"x.js"}`:                        {},
		`{"name":"gen","scripts":{"postinstall":"echo"}}`:      {},
		`{"name":"gen","bin":"x.js","Bins":{"../y":"../../"}}`: {"gen": "x.js"},
		`{}`:                {},
		`null`:              {},
		`[]`:                refused,
		`{"name":1}`:        refused,
		`{"name":"gen"`:     refused,
		`{"name":"gen"}{}`:  refused,
		`{"scripts":"all"}`: refused,
		"\ufeff{}":          refused,
		"":                  refused,
	}
	for text := range seeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pkg, err := ParsePackageJSON(data)
		if want, ok := seeds[string(data)]; ok {
			switch _, refuse := want[""]; {
			case refuse != (err != nil):
				t.Errorf("%s: %v", data, err)
			case err == nil && !maps.Equal(pkg.Bins, want):
				t.Errorf("%s: %q, want %q", data, pkg.Bins, want)
			}
		}
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Errorf("%q is taken", data)
		}
		for name, file := range pkg.Bins {
			if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) || !fs.ValidPath(strings.ToValidUTF8(file, "?")) || file == "." || strings.Contains(file, `\`) {
				t.Errorf("%s: %q is %q", data, name, file)
			}
			if !pkg.Executable[file] {
				t.Errorf("%s: %q is not executable", data, file)
			}
		}
	})
}
