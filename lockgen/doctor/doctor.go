// Package doctor checks what a machine has and lacks for a lock: tools, cache,
// network, registries and the settings of Buck2. It changes nothing.
package doctor

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// The states of a finding. Only Bad leads to an error.
const (
	Good   = "ok"
	Note   = "note" // worth knowing
	Bad    = "bad"
	Absent = "-" // missing, and nothing needs it
)

// A Finding is the result of one check.
type Finding struct {
	State string `json:"state"` // ok, note, bad or -
	What  string `json:"what"`
	Value string `json:"value"`          // what was found
	Why   string `json:"why,omitempty"`  // it matters
	Hint  string `json:"hint,omitempty"` // a command or an edit
}

// MarshalJSON repeats the hint under its old name, mend, until version 1.0.
func (f Finding) MarshalJSON() ([]byte, error) {
	type plain Finding
	return json.Marshal(struct {
		plain
		Mend string `json:"mend,omitempty"`
	}{plain(f), f.Hint})
}

// A ToolFinding is the result of the check of a foreign program.
type ToolFinding struct {
	State    string   `json:"state"`
	Name     string   `json:"name"`
	Version  string   `json:"version,omitempty"`
	Path     string   `json:"path,omitempty"`
	Least    string   `json:"least,omitempty"` // the oldest version that works
	NeededBy []string `json:"needed_by"`       // plugins in the lock, or settings
	Why      string   `json:"why,omitempty"`
	Hint     string   `json:"hint,omitempty"`
}

// MarshalJSON is like that of [Finding].
func (f ToolFinding) MarshalJSON() ([]byte, error) {
	type plain ToolFinding
	return json.Marshal(struct {
		plain
		Mend string `json:"mend,omitempty"`
	}{plain(f), f.Hint})
}

// A Diagnosis is the result of all checks.
type Diagnosis struct {
	OK         bool          `json:"ok"`
	Platform   string        `json:"platform"`
	Lock       string        `json:"lock,omitempty"`
	Tools      []ToolFinding `json:"tools"`
	Cache      []Finding     `json:"cache"`
	Network    []Finding     `json:"network"`
	Registries []Finding     `json:"registries"`
	Buck2      []Finding     `json:"buck2"`
}

// Options select what to check.
type Options struct {
	Lock     *lock.Lock // empty for none
	LockName string     // "" for none
	Manifest *manifest.Manifest
	Dir      string // of the manifest, absolute
	Env      func(string) string
	Offline  bool // do not contact servers
}

// Look checks this machine. It returns an error for invalid settings or an
// interruption; what the machine lacks is in the diagnosis, see
// [Diagnosis.Err].
func Look(ctx context.Context, o Options) (*Diagnosis, error) {
	host, known := lock.Host()
	d := &Diagnosis{Platform: host.Name, Lock: o.LockName}
	if !known {
		d.Platform = "not supported by locks"
	}
	s, err := store.Open(o.Env(store.EnvDir))
	if err != nil {
		return nil, err
	}
	of, broken := project.Find(o.Dir)
	config := &buckconfig{of, broken}
	d.Cache = lookAtCache(s)
	d.Network = o.lookAtProxies()
	d.Buck2 = config.findings(s)
	needs, err := needs(o.Lock, o.Manifest, host, config, o.Env)
	if err != nil {
		return nil, err
	}
	if d.Tools, err = lookAtTools(ctx, needs); err != nil {
		return nil, err
	}
	lookAtPython(ctx, d.Tools, o.Lock, host, o.Env("BUCK2_PROTOBUF_PYTHON"))
	d.Registries = o.lookAtRegistries(ctx)
	d.OK = d.Err() == nil
	return d, ctx.Err()
}

// Tool checks one tool. It must have version least or later; "" is the version
// that lockgen and fetch need.
func Tool(ctx context.Context, name, least string) (ToolFinding, error) {
	why := ""
	if !slices.Contains(proc.Tools(), name) {
		hint := fault.DidYouMean(name, proc.Tools(), "tools are "+strings.Join(proc.Tools(), ", "))
		return ToolFinding{}, fault.Errorf(fault.Usage, hint, "unknown tool %q", name)
	}
	if least == "" {
		least, why = proc.Least(name)
	} else if _, ok := proc.CompareToolVersions(least, least); !ok {
		return ToolFinding{}, fault.Errorf(fault.Usage, "write it like the tool does, for example 1.70.0", "--min-version %q is not a version", least)
	}
	f := judge(ctx, name, least, why, need{must: true})
	if f.State == Note { // a version that cannot be compared does not meet an explicit requirement
		f.State = Bad
	}
	return f, ctx.Err()
}

// Err returns an error of class [fault.Machine] for a tool that is missing or
// too old, and nil otherwise.
func (f ToolFinding) Err() error {
	if f.State != Bad {
		return nil
	}
	return fault.About(fault.AboutManagers, fault.Errorf(fault.Machine, f.Hint, "%s: %s", strings.TrimSpace(f.Name+" "+f.Version), f.Why))
}

type section struct {
	title    string
	findings []Finding
}

func (d *Diagnosis) sections() []section {
	return []section{{"cache", d.Cache}, {"network", d.Network}, {"registries", d.Registries}, {"buck2", d.Buck2}}
}

// Err returns an error of class [fault.Machine] if a finding is bad, and nil
// otherwise.
func (d *Diagnosis) Err() error {
	var wrong []string
	var hint string
	see := func(state, what, how string) {
		if state == Bad {
			wrong = append(wrong, what)
			if hint == "" {
				hint = how
			}
		}
	}
	for _, t := range d.Tools {
		see(t.State, t.Name, t.Hint)
	}
	for _, s := range d.sections() {
		for _, f := range s.findings {
			see(f.State, s.title+": "+f.What, f.Hint)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	if len(wrong) > 1 {
		hint += "; then run lockgen doctor again"
	}
	return fault.Errorf(fault.Machine, hint, "this machine does not meet the requirements: %s", strings.Join(wrong, ", "))
}

// String formats the diagnosis for people.
func (d *Diagnosis) String() string {
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
		if t.State == Absent {
			continue
		}
		w.Line("  %-4s\t%s\t%s", t.State, t.Name, strings.TrimSpace(t.Version+" "+t.Path))
		if len(t.NeededBy) > 0 {
			w.Line("\t\t  needed by %s", strings.Join(t.NeededBy, ", "))
		}
		explain(t.Why, t.Hint)
	}
	if d.Lock == "" {
		w.Line("  %-4s\tlock\tnone here or above, so nothing is needed yet", Note)
	}
	for _, s := range d.sections() {
		w.Line("%s", s.title)
		for _, f := range s.findings {
			w.Line("  %-4s\t%s\t%s", f.State, f.What, f.Value)
			explain(f.Why, f.Hint)
		}
	}
	return w.String()
}
