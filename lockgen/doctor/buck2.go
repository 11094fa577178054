package doctor

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// A buckconfig is the Buck2 project of a folder.
type buckconfig struct {
	*project.Project       // nil for none
	broken           error // why a part of it could not be read
}

func (c *buckconfig) found() bool { return c.Project != nil }

// get returns a setting, or "" if it is not set or there is no project.
func (c *buckconfig) get(section, key string) string {
	if !c.found() {
		return ""
	}
	return c.Get(section, key)
}

// findings checks the settings that our rules depend on.
func (c *buckconfig) findings(s *store.Store) []Finding {
	if !c.found() {
		return []Finding{{Absent, "project", "no .buckconfig here or above", "", ""}}
	}
	at := Finding{Good, "project", c.Root, "", ""}
	if c.broken != nil {
		at.State, at.Why, at.Hint = Note, c.broken.Error(), fault.Hint(c.broken)
	}
	return []Finding{
		at,
		c.digests(), c.sqlite(), c.execution(), c.cacheDir(s), c.manager(), unzip(),
	}
}

func (c *buckconfig) digests() Finding {
	f := Finding{Good, "[buck2] digest_algorithms", orDefault(c.get("buck2", "digest_algorithms"), "SHA256"), "", ""}
	if !slices.Contains(strings.FieldsFunc(strings.ToUpper(f.Value), func(r rune) bool { return r == ',' || r == ' ' }), "SHA256") {
		if strings.Contains(f.Value, "(default)") {
			return f
		}
		f.State, f.Why = Note, "the lock has SHA-256: without this setting, every new daemon downloads all files at once"
		f.Hint = "add to .buckconfig: [buck2] digest_algorithms = SHA256"
	}
	return f
}

func (c *buckconfig) sqlite() Finding {
	f := Finding{Good, "[buck2] sqlite_materializer_state", orDefault(c.get("buck2", "sqlite_materializer_state"), "true"), "", ""}
	if how := c.get("buck2", "materializations"); how != "" && !strings.HasPrefix(how, "deferred") {
		f.State, f.Value, f.Why = Note, "off, for materializations = "+how, "every file is downloaded at once, needed or not"
		f.Hint = "remove materializations from [buck2] in .buckconfig"
	} else if f.Value == "false" || f.Value == "0" {
		f.State, f.Why = Note, "a new daemon forgets what is on disk and fetches it again"
		f.Hint = "remove sqlite_materializer_state = false from [buck2] in .buckconfig"
	}
	return f
}

// execution looks for a platform that runs actions on this machine, which fetch
// needs.
func (c *buckconfig) execution() Finding {
	label := c.get("build", "execution_platforms")
	f := Finding{Good, "[build] execution_platforms", orDefault(label, "this machine"), "", ""}
	cell, rest, _ := strings.Cut(label, "//")
	folder, _, _ := strings.Cut(rest, ":")
	switch {
	case label == "":
		return f
	case strings.HasSuffix(label, "prelude//platforms:default"):
		f.Why = "runs on this machine"
		return f
	}
	cell = strings.TrimPrefix(cell, "@")
	if path := c.get("cells", cell); path != "" {
		folder = filepath.Join(path, folder)
	}
	local := regexp.MustCompile(`local_enabled\s*=\s*True`)
	names, _ := filepath.Glob(filepath.Join(c.Root, filepath.FromSlash(folder), "*"))
	for _, name := range names {
		if data, err := input.File(name); err == nil && local.Match(data) {
			f.Why = "has local_enabled = True in " + name
			return f
		}
	}
	f.State, f.Why = Note, "plugins are fetched on this machine, but no platform has local_enabled = True"
	f.Hint = "give one of them CommandExecutorConfig(local_enabled = True, …)"
	return f
}

func (c *buckconfig) cacheDir(s *store.Store) Finding {
	f := Finding{Good, "[buck2_protobuf] cache_dir", orDefault(c.get("buck2_protobuf", "cache_dir"), s.Dir()), "", ""}
	if own := c.get("buck2_protobuf", "cache_dir"); own != "" && filepath.Clean(own) != s.Dir() {
		f.State, f.Why = Note, "fetch on the command line uses "+s.Dir()
		f.Hint = "export " + store.EnvDir + "=" + own
	}
	return f
}

func (c *buckconfig) manager() Finding {
	value := c.get("buck2_protobuf", "node_manager")
	f := Finding{Good, "[buck2_protobuf] node_manager", orDefault(value, "npm"), "", ""}
	if off := c.get("buck2_protobuf", "disable_package_managers"); off == "true" {
		f.Value, f.Why = "none", "disable_package_managers = true"
	}
	return f
}

// Only http_archive of Buck2's prelude needs unzip.
func unzip() Finding {
	name, err := exec.LookPath("unzip")
	if err != nil {
		return Finding{Note, "unzip", "not on PATH", "our rules do not need it, but http_archive of Buck2's prelude does", ""}
	}
	return Finding{Good, "unzip", name, "", ""}
}

func orDefault(value, standard string) string {
	if value == "" {
		return fmt.Sprintf("%s (default)", standard)
	}
	return value
}
