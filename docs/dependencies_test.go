package docs

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// licenses are words that a text of each licence has.
var licenses = map[string]string{
	"Apache-2.0":       "Apache License",
	"BSD-3-Clause":     "Redistribution and use in source and binary forms",
	"GPL-2.0-or-later": "GNU General Public License, version 2.0 or later",
	"MIT":              "Permission is hereby granted, free of charge",
	"Unlicense":        "free and unencumbered software",
}

// licensesIn are the licences of the module in a folder, sorted.
func licensesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.code", "COPYING", "UNLICENSE"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		for id, words := range licenses {
			if strings.Contains(string(text), words) {
				found = append(found, id)
			}
		}
	}
	slices.Sort(found)
	return found
}

// goList runs go list in the module's root.
func goList(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// programsOf lists the programs that have a module, by its path.
func programsOf(t *testing.T) map[string][]string {
	t.Helper()
	programs := map[string][]string{}
	for _, program := range []string{"fetch", "lockgen"} {
		for _, module := range slices.Compact(slices.Sorted(slices.Values(strings.Fields(goList(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./"+program))))) {
			programs[module] = append(programs[module], program)
		}
	}
	return programs
}

// TestDependencies: dependencies.md has each direct requirement of go.mod once,
// with the programs that have it and its licence, and the indirect ones of the
// programs.
func TestDependencies(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	programs := programsOf(t)
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z]\S*\.\S+) \| (.*) \|$`).FindAllStringSubmatch(string(page), -1) {
		if rows[m[1]] != nil {
			t.Errorf("%s is there twice", m[1])
		}
		rows[m[1]] = strings.Split(m[2], " | ")
	}
	direct := map[string]bool{}
	for _, require := range mod.Require {
		path := require.Mod.Path
		if require.Indirect {
			short, _, _ := module.SplitPathVersion(path)
			if of := programs[path]; of != nil && !strings.Contains(string(page), "`"+filepath.Base(short)+"`") {
				t.Errorf("%s is in %v, and dependencies.md does not name it", path, of)
			}
			continue
		}
		direct[path] = true
		row := rows[path]
		if of := programs[path]; of != nil && len(row) > 0 {
			if got := strings.Join(of, ", "); row[0] != got {
				t.Errorf("%s is in %q, the page says %q", path, got, row[0])
			}
			row = row[1:]
		}
		if len(row) != 4 || slices.Contains(row, "") {
			t.Errorf("%s has the cells %q; what it is for, who keeps it, what is lost without it, and its licence are wanted", path, row)
			continue
		}
		dir := strings.TrimSpace(goList(t, "-m", "-f", "{{.Dir}}", path))
		var said []string
		for id := range licenses {
			if slices.Contains(regexp.MustCompile(`[\w.-]+`).FindAllString(row[3], -1), id) {
				said = append(said, id)
			}
		}
		slices.Sort(said)
		if found := licensesIn(t, dir); !slices.Equal(said, found) || len(found) == 0 {
			t.Errorf("%s is under %v, the page says %q", path, found, row[3])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(rows)) {
		if !direct[path] {
			t.Errorf("%s is no direct requirement of go.mod", path)
		}
	}
	if len(direct) < 20 {
		t.Errorf("found %d requirements only", len(direct))
	}
	t.Run("verify", func(t *testing.T) {
		testenv.Real(t, "it may download modules")
		if out, err := exec.Command("go", "mod", "verify").Output(); err != nil || string(out) != "all modules verified\n" {
			t.Errorf("go mod verify: %v %s", err, out)
		}
	})
}
