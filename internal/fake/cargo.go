package fake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// A Crate is one version of a crate.
type Crate struct {
	Name, Version string
	Deps          []CrateDep
	Features      map[string][]string
	Yanked        bool
	Released      time.Time // its pubtime, zero is [Released]
	// Files are the crate's files, without its top folder. Cargo.toml is
	// generated from the fields above, and so is src/lib.rs, unless Files has
	// them or a src/main.rs.
	Files map[string]string
	Extra string // more text of the Cargo.toml that is made

	Tarball []byte // instead of one made of Files
	Cksum   string // instead of the SHA-256 of the file
}

// A CrateDep is a dependency of a crate.
type CrateDep struct {
	Name, Req string
	Kind      string // "normal" for "", "build" or "dev"
	Target    string // cfg(…) or a triple, "" for all
	Optional  bool
	Rename    string // what the crate calls it, "" for its name
	Registry  string // of another index, in the index alone
}

// CrateIndex is the URL of the sparse index of crates, for [registries] cargo.
func (s *Server) CrateIndex() string { return s.URL + "/index/" }

// CrateIndexPath returns the path of a crate in the index
// (https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files).
func CrateIndexPath(name string) string {
	name = strings.ToLower(name)
	switch len(name) {
	case 1, 2:
		return fmt.Sprintf("/index/%d/%s", len(name), name)
	case 3:
		return "/index/3/" + name[:1] + "/" + name
	}
	return path.Join("/index", name[:2], name[2:4], name)
}

// Crate publishes a version of a crate. Publishing it again replaces it.
func (s *Server) Crate(c Crate) Artifact {
	body := c.Tarball
	if body == nil {
		files := maps.Clone(c.Files)
		if files == nil {
			files = map[string]string{}
		}
		if _, ok := files["Cargo.toml"]; !ok {
			files["Cargo.toml"] = c.manifest()
		}
		if files["src/lib.rs"] == "" && files["src/main.rs"] == "" {
			files["src/lib.rs"] = "// nothing\n"
		}
		body = Tarball(c.Name+"-"+c.Version, files)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.artifact("/crates/"+c.Name+"/"+c.Version+"/download", body)
	a.Name = c.Name + "-" + c.Version + ".crate"
	s.crateConfig()
	line := c.entry(a.SHA256, !s.noTimes)
	var lines []string
	page := CrateIndexPath(c.Name)
	for old := range strings.Lines(string(s.files[page].body)) {
		if !strings.Contains(old, fmt.Sprintf(`"vers":%q`, c.Version)) {
			lines = append(lines, old)
		}
	}
	s.files[page] = file{[]byte(strings.Join(append(lines, line), "")), "text/plain"}
	return a
}

// CrateToken makes the index and the crates require a token (auth-required in
// https://doc.rust-lang.org/cargo/reference/registry-index.html#index-configuration);
// "" removes the requirement.
func (s *Server) CrateToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
	s.crateConfig()
}

// crateConfig writes config.json. The caller holds the lock.
func (s *Server) crateConfig() {
	config := map[string]any{"dl": s.URL + "/crates"}
	if s.token != "" {
		config["auth-required"] = true
	}
	data, err := json.Marshal(config)
	must(err)
	s.files["/index/config.json"] = file{data, "application/json"}
}

// entry returns the crate's line in the index
// (https://doc.rust-lang.org/cargo/reference/registry-index.html#json-schema).
func (c Crate) entry(sum string, clock bool) string {
	deps := []map[string]any{}
	for _, d := range c.Deps {
		dep := map[string]any{
			"name": d.Name, "req": d.Req, "features": []string{}, "optional": d.Optional, "default_features": true,
			"target": nil, "kind": "normal",
		}
		if d.Kind != "" {
			dep["kind"] = d.Kind
		}
		if d.Target != "" {
			dep["target"] = d.Target
		}
		if d.Rename != "" {
			dep["name"], dep["package"] = d.Rename, d.Name
		}
		if d.Registry != "" {
			dep["registry"] = d.Registry
		}
		deps = append(deps, dep)
	}
	if c.Cksum != "" {
		sum = c.Cksum
	}
	features := c.Features
	if features == nil {
		features = map[string][]string{}
	}
	doc := map[string]any{
		"name": c.Name, "vers": c.Version, "deps": deps, "cksum": sum, "features": features, "yanked": c.Yanked,
	}
	if clock {
		doc["pubtime"] = orReleased(c.Released).Format(time.RFC3339)
	}
	line, err := json.Marshal(doc)
	must(err)
	return string(line) + "\n"
}

func (c Crate) manifest() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[package]\nname = %q\nversion = %q\nedition = \"2021\"\n", c.Name, c.Version)
	for _, d := range c.Deps {
		kind := "dependencies"
		if d.Kind == "build" || d.Kind == "dev" {
			kind = d.Kind + "-dependencies"
		}
		if d.Target != "" {
			kind = fmt.Sprintf("target.'%s'.%s", d.Target, kind)
		}
		fmt.Fprintf(&b, "\n[%s.%s]\nversion = %q\noptional = %v\n", kind, cmp.Or(d.Rename, d.Name), d.Req, d.Optional)
		if d.Rename != "" {
			fmt.Fprintf(&b, "package = %q\n", d.Name)
		}
	}
	if len(c.Features) > 0 {
		b.WriteString("\n[features]\n")
		for _, name := range slices.Sorted(maps.Keys(c.Features)) {
			list, err := json.Marshal(c.Features[name])
			must(err)
			fmt.Fprintf(&b, "%s = %s\n", name, list)
		}
	}
	b.WriteString(c.Extra)
	return b.String()
}
