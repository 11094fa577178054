package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// The states of a finding. Only bad ends with an exit status.
const (
	isGood   = "ok"
	isNote   = "note" // worth knowing
	isBad    = "bad"
	isAbsent = "-" // not here, and nothing needs it
)

// A finding is one thing that doctor looked at.
type finding struct {
	State string `json:"state"` // ok, note, bad or -
	What  string `json:"what"`
	Value string `json:"value"`          // what was found
	Why   string `json:"why,omitempty"`  // it matters
	Hint  string `json:"hint,omitempty"` // a command or an edit
}

// MarshalJSON also gives the hint under its old name, mend, until version 1.0.
func (f finding) MarshalJSON() ([]byte, error) {
	type plain finding
	return json.Marshal(struct {
		plain
		Mend string `json:"mend,omitempty"`
	}{plain(f), f.Hint})
}

// A toolFinding is a finding about a foreign program.
type toolFinding struct {
	State    string   `json:"state"`
	Name     string   `json:"name"`
	Version  string   `json:"version,omitempty"`
	Path     string   `json:"path,omitempty"`
	Least    string   `json:"least,omitempty"` // the oldest version that serves
	NeededBy []string `json:"needed_by"`       // plugins of the lock, or settings
	Why      string   `json:"why,omitempty"`
	Hint     string   `json:"hint,omitempty"`
}

// MarshalJSON is that of [finding].
func (f toolFinding) MarshalJSON() ([]byte, error) {
	type plain toolFinding
	return json.Marshal(struct {
		plain
		Mend string `json:"mend,omitempty"`
	}{plain(f), f.Hint})
}

// A diagnosis is what doctor found.
type diagnosis struct {
	OK         bool          `json:"ok"`
	Platform   string        `json:"platform"`
	Lock       string        `json:"lock,omitempty"`
	Tools      []toolFinding `json:"tools"`
	Cache      []finding     `json:"cache"`
	Network    []finding     `json:"network"`
	Registries []finding     `json:"registries"`
	Buck2      []finding     `json:"buck2"`
}

var doctorVerb = &cli.Verb[program]{
	Name: "doctor", Short: "tell what this machine has and what it lacks",
	Long: `Finds package managers, compilers, Buck2 and git, compares their versions with
the oldest that serve, and says which plugins of the lock need them; tries the
cache; shows proxies (without passwords), the registries that clients are
configured with, and the settings of Buck2 that our rules depend on. Nothing is
changed. Registries are asked for their certificate alone, which finds a proxy
that opens TLS, and with --offline not even for that. What the lock needs and
the machine lacks ends with exit status 7 and the command that repairs it.`,
	Example: `lockgen doctor
lockgen doctor --json
lockgen doctor --manager cargo --min-version 1.70.0`,
	JSON: true, Run: runDoctor,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringVar(&p.manager, "manager", "", "look at the tool `NAME` alone")
		f.StringVar(&p.minVersion, "min-version", "", "with --manager: the oldest `VERSION` that will do")
	},
}

// runDoctor changes nothing.
func runDoctor(ctx context.Context, p *program, _ []string) error {
	if p.manager != "" {
		return p.oneManager(ctx)
	}
	if p.minVersion != "" {
		return fault.Errorf(fault.Usage, "write: lockgen doctor --manager cargo --min-version "+p.minVersion, "--min-version needs --manager")
	}
	d := &diagnosis{Tools: []toolFinding{}, Network: []finding{}, Registries: []finding{}}
	host, known := lock.Host()
	d.Platform = host.Name
	if !known {
		d.Platform = "unknown to any lock"
	}
	l, m, err := p.whatIsAsked(d)
	if err != nil {
		return err
	}
	s, err := store.Open(p.env(store.EnvDir))
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Dir(p.manifest))
	if err != nil {
		return err
	}
	config := readBuckconfig(dir)
	d.Cache = lookAtCache(s)
	d.Network = p.lookAtProxies()
	d.Buck2 = config.findings(s)
	needs, err := needs(l, m, host, config, p.env)
	if err != nil {
		return err
	}
	if d.Tools, err = p.lookAtTools(ctx, needs); err != nil {
		return err
	}
	lookAtPython(ctx, d.Tools, l, host, p.env("BUCK2_PROTOBUF_PYTHON"))
	d.Registries = p.lookAtRegistries(ctx, l, m, dir)
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.report(d)
}

// whatIsAsked reads the lock and the manifest where they are; without them
// nothing is needed.
func (p *program) whatIsAsked(d *diagnosis) (*lock.Lock, *manifest.Manifest, error) {
	m := &manifest.Manifest{}
	switch err := p.locate(); {
	case err == nil:
		if m, _, err = manifest.Read(p.manifest); err != nil {
			return nil, nil, err
		}
	case p.manifestGiven != "" || !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	case p.lock == "":
		name, err := lock.Find(".")
		if err != nil {
			return &lock.Lock{}, m, nil
		}
		p.lock = name
	}
	l, _, err := lock.Read(p.lock)
	switch {
	case err == nil:
		d.Lock = p.lock
	case errors.Is(err, fs.ErrNotExist) && p.lockGiven == "":
		l = &lock.Lock{}
	default:
		return nil, nil, err
	}
	return l, m, nil
}

// A need says who uses a tool on this machine, and whether they must have it.
type need struct {
	by   []string
	must bool
}

// needs lists, for each tool, who uses it. Npm and pip plugins are unpacked by
// us, so of their managers only the address of the registry is needed, unless one
// was chosen; a choice of what is no manager is of class Usage.
func needs(l *lock.Lock, m *manifest.Manifest, host lock.Platform, config *buckconfig, env func(string) string) (map[string]need, error) {
	needs := map[string]need{}
	use := func(must bool, who string, tools ...string) {
		for _, t := range tools {
			needs[t] = need{append(needs[t].by, who), needs[t].must || must}
		}
	}
	add := func(who string, tools ...string) { use(true, who, tools...) }
	for name, versions := range l.Plugins {
		for version, v := range versions {
			cell, served, err := v.Cell(host.Name)
			if err != nil {
				continue
			}
			who := name + " " + version
			switch v.Source {
			case lock.Cargo:
				if cell.Tree == "" {
					add(who+" (compiles it)", "cargo", "rustc")
				}
			case lock.Go:
				if m.Registries.Go == "" {
					add(who+" (names the module proxy)", "go")
				}
				if tool, toolVersion, ok := strings.Cut(v.Toolchain, "@"); ok && l.Plugins[tool][toolVersion] != nil {
					if _, _, err := l.Plugins[tool][toolVersion].Cell(host.Name); err != nil {
						add(who+" (compiled by exactly Go "+toolVersion+", which is not locked for "+host.Name+")", "go")
					}
				}
			case lock.NPM:
				if m.Registries.NPM == "" && !bringsNPM(l, v, served) {
					add(who+" (names the registry)", "npm")
				}
			case lock.Pip:
				if m.Registries.Pip == "" {
					add(who+" (names the index)", "pip")
				}
				if len(v.Python) > 0 {
					add(who+" (runs on Python "+strings.Join(v.Python, ", ")+")", "python")
				}
			}
		}
	}
	if config.found() { // who works without Buck2 does without both
		use(false, "//:fetch (Buck2 builds it from source)", "go")
		use(false, config.File, "buck2")
	}
	for _, chosen := range []struct {
		who, manager string
		of           []string
	}{
		{"BUCK2_PROTOBUF_NODE_MANAGER", env("BUCK2_PROTOBUF_NODE_MANAGER"), manifest.NodeManagers},
		{"node-manager of plugins.toml", m.NodeManager, manifest.NodeManagers},
		{"BUCK2_PROTOBUF_WHEEL_MANAGER", env("BUCK2_PROTOBUF_WHEEL_MANAGER"), install.WheelManagers},
		{"[buck2_protobuf] node_manager", config.get("buck2_protobuf", "node_manager"), manifest.NodeManagers},
		{"[buck2_protobuf] wheel_manager", config.get("buck2_protobuf", "wheel_manager"), install.WheelManagers},
	} {
		switch {
		case chosen.manager == "" || chosen.manager == "none":
		case slices.Contains(chosen.of, chosen.manager):
			add(chosen.who, chosen.manager)
		default:
			return nil, fault.Errorf(fault.Usage, "known are "+strings.Join(chosen.of, ", "), "%s: unknown manager %q", chosen.who, chosen.manager)
		}
	}
	for _, n := range needs {
		slices.Sort(n.by)
	}
	return needs, nil
}

// bringsNPM reports whether the locked runtime of a plugin has an npm for this
// machine.
func bringsNPM(l *lock.Lock, v *lock.Version, platform string) bool {
	name, version, _ := strings.Cut(v.Runtime, "@")
	node := l.Plugins[name][version]
	if node == nil {
		return false
	}
	_, _, err := node.Cell(platform)
	return err == nil
}

// lookAtTools asks every tool, several at once, for some start slowly.
func (p *program) lookAtTools(ctx context.Context, needs map[string]need) ([]toolFinding, error) {
	names := proc.Tools()
	found := make([]toolFinding, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			least, why := proc.Least(name)
			found[i] = judge(ctx, name, least, why, needs[name])
		})
	}
	all.Wait()
	return found, ctx.Err()
}

// judge finds a tool and compares its version with the least that serves.
func judge(ctx context.Context, name, least, why string, by need) toolFinding {
	f := toolFinding{State: isGood, Name: name, Least: least, NeededBy: append([]string{}, by.by...)}
	lacking := isNote
	if by.must {
		lacking = isBad
	}
	tool, err := proc.Find(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.State, f.Why, f.Hint = lacking, err.Error(), fault.Hint(err)
		if len(by.by) == 0 && !by.must {
			f.State, f.Why, f.Hint = isAbsent, "", ""
		}
		return f
	case err != nil:
		f.State, f.Why, f.Hint = lacking, err.Error(), fault.Hint(err)
		return f
	}
	f.Version, f.Path = tool.Version, tool.Path
	if least == "" {
		return f
	}
	if why != "" {
		why = ", " + why
	}
	switch yes, ok := tool.AtLeast(least); {
	case !ok:
		f.State, f.Why = isNote, fmt.Sprintf("whether it is %s or later cannot be told from %q", least, tool.Version)
	case !yes:
		f.State, f.Hint = lacking, proc.Remedy(name, true)
		f.Why = fmt.Sprintf("too old: needed is %s or later%s", least, why)
	}
	return f
}

// lookAtPython looks for the interpreters that plugins of the lock run on.
func lookAtPython(ctx context.Context, tools []toolFinding, l *lock.Lock, host lock.Platform, wanted string) {
	i := slices.IndexFunc(tools, func(t toolFinding) bool { return t.Name == "python" })
	runs := 0
	for _, versions := range l.Plugins {
		for _, v := range versions {
			if _, _, err := v.Cell(host.Name); err != nil || len(v.Python) == 0 {
				continue
			}
			if _, err := pip.FindPython(ctx, wanted, v.Python); err != nil {
				tools[i].State, tools[i].Why, tools[i].Hint = isBad, err.Error(), fault.Hint(err)
				return
			}
			runs++
		}
	}
	if runs > 0 && tools[i].State == isBad { // there, but not on PATH by its plain name
		tools[i].State, tools[i].Why, tools[i].Hint = isGood, "", ""
	}
}

// oneManager answers for one tool alone.
func (p *program) oneManager(ctx context.Context) error {
	least, why := p.minVersion, ""
	if !slices.Contains(proc.Tools(), p.manager) {
		hint := fault.DidYouMean(p.manager, proc.Tools(), "tools are "+strings.Join(proc.Tools(), ", "))
		return fault.Errorf(fault.Usage, hint, "unknown tool %q", p.manager)
	}
	if least == "" {
		least, why = proc.Least(p.manager)
	} else if _, ok := proc.CompareToolVersions(least, least); !ok {
		return fault.Errorf(fault.Usage, "write it as the tool does, such as 1.70.0", "--min-version %q is no version", least)
	}
	f := judge(ctx, p.manager, least, why, need{must: true})
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.State == isNote { // asked for outright, a version that cannot be compared is none
		f.State = isBad
	}
	var err error
	if f.State == isBad {
		err = fault.About(fault.AboutManagers, fault.Errorf(fault.Machine, f.Hint, "%s: %s", strings.TrimSpace(f.Name+" "+f.Version), f.Why))
	}
	if p.ui.JSON {
		if dataErr := p.ui.Data(f); dataErr != nil || err == nil {
			return dataErr
		}
		return &toldError{err}
	}
	if err == nil {
		p.ui.Result("%s %s %s", f.Name, f.Version, f.Path)
	}
	return err
}

// lowSpace is less than the largest closures need, in bytes.
const lowSpace = 1 << 30

func lookAtCache(s *store.Store) []finding {
	h, err := s.Probe()
	f := finding{isGood, "folder", s.Dir(), "", ""}
	if err != nil {
		f.State, f.Why, f.Hint = isBad, err.Error(), fault.Hint(err)
		return []finding{f}
	}
	if !h.Exists {
		f.Why = "it will be made by its first use"
	}
	findings := []finding{f}
	if h.Free >= 0 {
		f = finding{isGood, "free space", ui.Size(h.Free), "", ""}
		if h.Free < lowSpace {
			f.State, f.Why, f.Hint = isNote, "a node for one platform takes 250 MiB", "fetch cache clear --older-than 7d"
		}
		findings = append(findings, f)
	}
	f = finding{isGood, "reflink", "yes", "", ""}
	if !h.Reflink {
		f.State, f.Value, f.Why = isNote, "no", "every installed plugin is copied; btrfs, XFS and bcachefs would share the blocks"
	}
	return append(findings, f)
}

// lookAtProxies shows what the environment says of the way out, without
// passwords.
func (p *program) lookAtProxies() []finding {
	findings := []finding{}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"} {
		for _, key := range []string{name, strings.ToLower(name)} {
			if value := p.env(key); value != "" {
				findings = append(findings, finding{isGood, key, redact.URL(value), "", ""})
			}
		}
	}
	proxied := len(findings) > 0
	for _, key := range []string{"NO_PROXY", "no_proxy"} {
		if value := p.env(key); value != "" {
			findings = append(findings, finding{isGood, key, value, "", ""})
		}
	}
	for key, reader := range map[string]string{"SSL_CERT_FILE": "lockgen, fetch and go", "NODE_EXTRA_CA_CERTS": "npm", "PIP_CERT": "pip", "CARGO_HTTP_CAINFO": "cargo"} {
		value := p.env(key)
		if value == "" {
			continue
		}
		f := finding{isGood, key, value, "certificates for " + reader, ""}
		if _, err := os.Stat(value); err != nil {
			f.State, f.Why, f.Hint = isBad, fmt.Sprintf("%s cannot read its certificates: %v", reader, err), "unset "+key+", or name a file that is there"
		}
		findings = append(findings, f)
	}
	if !proxied {
		findings = append(findings, finding{isGood, "proxy", "none set", "", ""})
	}
	slices.SortStableFunc(findings, func(a, b finding) int { return strings.Compare(a.What, b.What) })
	return findings
}

// sourcesOf returns the kinds of source that a lock has, and its scopes of npm.
func sourcesOf(l *lock.Lock) (used map[string]bool, scopes []string) {
	used = map[string]bool{}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			used[v.Source] = true
			for _, f := range v.Files {
				if scope, _, ok := strings.Cut(f.Name, "/"); ok && v.Source == lock.NPM && !slices.Contains(scopes, scope) {
					scopes = append(scopes, scope)
				}
			}
		}
	}
	slices.Sort(scopes)
	return used, scopes
}

// lookAtRegistries asks the clients of the sources that the lock has, or of all
// where there is no lock, which registry they are configured with.
func (p *program) lookAtRegistries(ctx context.Context, l *lock.Lock, m *manifest.Manifest, dir string) []finding {
	used, scopes := sourcesOf(l)
	base := remote.Options{Offline: p.offline, Timeouts: remote.Timeouts{Connect: askTime, TLS: askTime, Header: askTime}}
	ask := []struct {
		kind, manifest string
		// ask returns the registries by scope, "" for those of all, and the client
		// that reaches them as the package manager does.
		ask func(manifest string) (map[string]string, *remote.Client, error)
	}{
		{lock.NPM, m.Registries.NPM, func(manifest string) (map[string]string, *remote.Client, error) {
			config, err := npm.ReadConfig(ctx, dir, npm.Find)
			if err != nil {
				return nil, nil, err
			}
			o, err := config.Options(base)
			if err != nil || manifest != "" {
				return nil, remote.New(o), err
			}
			urls, err := config.Registries(ctx, scopes...)
			return urls, remote.New(o), err
		}},
		{lock.Pip, m.Registries.Pip, func(manifest string) (map[string]string, *remote.Client, error) {
			pip, err := pip.Find(ctx)
			if err != nil {
				return nil, nil, err
			}
			config, err := pip.Config(ctx, dir, manifest)
			if err != nil {
				return nil, nil, err
			}
			client, err := config.Client(base)
			return map[string]string{"": config.Index}, client, err
		}},
		{lock.Go, m.Registries.Go, func(manifest string) (map[string]string, *remote.Client, error) {
			base := base
			base.Authority = fault.Authority("go")
			if manifest != "" {
				return nil, remote.New(base), nil
			}
			tool, err := gotool.Find(ctx)
			if err != nil {
				return nil, nil, err
			}
			c, err := tool.Config(ctx, "")
			return map[string]string{"": c.Proxy}, remote.New(base), err
		}},
		{lock.Cargo, m.Registries.Cargo, func(manifest string) (map[string]string, *remote.Client, error) {
			index, way, err := cargo.Way(dir, manifest)
			if err != nil {
				return nil, nil, err
			}
			client, err := remote.New(base).By(way)
			if index == "" || err != nil {
				return nil, nil, err
			}
			return map[string]string{"": index}, client, nil
		}},
		{lock.Maven, m.Registries.Maven, func(manifest string) (map[string]string, *remote.Client, error) {
			config, err := maven.ReadConfig()
			if err != nil {
				return nil, nil, err
			}
			list, err := config.Repositories(manifest)
			urls := map[string]string{}
			for _, r := range list {
				urls[r.ID] = r.URL
			}
			return urls, remote.New(config.Options(base)), err
		}},
	}
	found := make([][]finding, len(ask))
	var all sync.WaitGroup
	for i, a := range ask {
		if len(used) > 0 && !used[a.kind] && a.manifest == "" {
			continue
		}
		all.Go(func() {
			urls, client, err := a.ask(a.manifest)
			why := ""
			if a.manifest != "" {
				urls, why = map[string]string{"": a.manifest}, "[registries] of plugins.toml"
			} else if err != nil {
				found[i] = []finding{{isNote, a.kind, "not known", err.Error(), fault.Hint(err)}}
				return
			}
			for _, scope := range slices.Sorted(maps.Keys(urls)) {
				if scope != "" && urls[scope] == urls[""] {
					continue
				}
				f := finding{isGood, strings.TrimSpace(a.kind + " " + scope), redact.List(urls[scope]), why, ""}
				if err == nil && client != nil {
					f.believed(ctx, client, urls[scope], a.manifest != "" || used[a.kind])
				}
				found[i] = append(found[i], f)
			}
		})
	}
	all.Wait()
	return slices.Concat(append([][]finding{{}}, found...)...)
}

// askTime is what each phase of asking a server for its certificate may take.
const askTime = 2 * time.Second

// believed asks the servers of a list of URLs, as Go has it, for their
// certificates. One that is not believed, as where a proxy opens TLS, is bad where
// it is needed.
func (f *finding) believed(ctx context.Context, client *remote.Client, urls string, needed bool) {
	for _, u := range strings.FieldsFunc(urls, func(r rune) bool { return r == ',' || r == '|' }) {
		if err := client.Distrust(ctx, strings.TrimPrefix(u, "sparse+")); err != nil {
			f.State, f.Why, f.Hint = isNote, err.Error(), fault.Hint(err)
			if needed {
				f.State = isBad
			}
			return
		}
	}
}

// report prints the diagnosis. Anything bad ends with class Machine.
func (p *program) report(d *diagnosis) error {
	var wrong []string
	var hint string
	see := func(state, what, how string) {
		if state == isBad {
			wrong = append(wrong, what)
			if hint == "" {
				hint = how
			}
		}
	}
	for _, t := range d.Tools {
		see(t.State, t.Name, t.Hint)
	}
	sections := []struct {
		title    string
		findings []finding
	}{{"cache", d.Cache}, {"network", d.Network}, {"registries", d.Registries}, {"buck2", d.Buck2}}
	for _, s := range sections {
		for _, f := range s.findings {
			see(f.State, s.title+": "+f.What, f.Hint)
		}
	}
	d.OK = len(wrong) == 0
	var err error
	if !d.OK {
		if len(wrong) > 1 {
			hint += "; then run lockgen doctor again"
		}
		err = fault.Errorf(fault.Machine, hint, "this machine lacks what is needed: %s", strings.Join(wrong, ", "))
	}
	if p.ui.JSON {
		if dataErr := p.ui.Data(d); dataErr != nil || err == nil {
			return dataErr
		}
		return &toldError{err}
	}
	w := ui.NewTable()
	explain := func(why, hint string) {
		if why != "" {
			w.Line("\t\t  %s", why)
		}
		if hint != "" {
			w.Line("\t\t  hint: %s", hint)
		}
	}
	w.Line("tools on %s", d.Platform)
	for _, t := range d.Tools {
		if t.State == isAbsent {
			continue
		}
		w.Line("  %-4s\t%s\t%s", t.State, t.Name, strings.TrimSpace(t.Version+" "+t.Path))
		if len(t.NeededBy) > 0 {
			w.Line("\t\t  needed by %s", strings.Join(t.NeededBy, ", "))
		}
		explain(t.Why, t.Hint)
	}
	if d.Lock == "" {
		w.Line("  %-4s\tlock\tnone here or above, so nothing is needed yet", isNote)
	}
	for _, s := range sections {
		w.Line("%s", s.title)
		for _, f := range s.findings {
			w.Line("  %-4s\t%s\t%s", f.State, f.What, f.Value)
			explain(f.Why, f.Hint)
		}
	}
	p.ui.Result("%s", w)
	return err
}
