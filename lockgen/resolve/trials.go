package resolve

import (
	"context"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/queue"
	"github.com/birbparty/buck2-protobuf/lockgen/smoke"
)

// trials runs the smoke runs of an update: each installs a plugin from the
// store as soon as it is locked, and runs it. What it installs stays in the
// store, where fetch finds it.
type trials struct {
	u         *update
	jobs      []*job
	host      lock.Platform
	runner    *smoke.Runner           // nil if there are no smoke runs
	compiling *queue.Queue            // for plugins that cargo compiles, one at a time
	protoc    func() *install.Program // nil for none
	close     func()
}

// newTrials prepares smoke runs, unless they are disabled. The caller must
// close it.
func (u *update) newTrials(ctx context.Context, jobs []*job) (*trials, error) {
	host, ok := lock.Host()
	t := &trials{u: u, jobs: jobs, host: host, compiling: queue.New(1), close: func() {}}
	if !ok || u.options.NoSmoke {
		return t, nil
	}
	scratch, done, err := u.Store.Scratch(ctx, "smoke")
	if err != nil {
		return nil, err
	}
	crates := &cargo.Shared{Dir: scratch}
	t.close = func() {
		crates.Close()
		done()
	}
	t.runner = u.runner(&install.Installer{
		Store: u.Store, Host: host, Offline: u.Offline, Download: u.Download, NodeManager: "none", Python: u.Getenv("BUCK2_PROTOBUF_PYTHON"), Crates: crates,
		Clients: u.Clients, Transfer: u.Shown(),
	})
	t.protoc = sync.OnceValue(func() *install.Program {
		for _, c := range jobs {
			if c.name == "protoc" && !c.done.Wait(ctx) {
				return nil
			}
		}
		return u.protoc(ctx, t.runner)
	})
	return t, nil
}

// try runs what c has locked. The error is a fault of the plugin, or an
// interruption.
func (t *trials) try(ctx context.Context, c *job) (note string, err error) {
	w := c.now()
	if t.runner == nil || w.Untried {
		return "", nil
	}
	e := t.u.Entry(w.Name, w.Version)
	args, err := smoke.Args(e, t.host.Name)
	if err != nil {
		t.u.UI.Detail("%s: no smoke run: %v", w, err)
		return "", nil
	}
	protoc := t.protoc()
	line := t.u.trying
	if e.Locked.Kind().Compiled {
		if !c.lastOfAll(ctx, t.jobs) {
			return "", ctx.Err()
		}
		line = t.compiling
	}
	leave, err := line.Enter(ctx, false)
	if err != nil {
		return "", err
	}
	defer leave()
	p, err := t.runner.Install(ctx, e)
	if err != nil || p == nil {
		return "", err
	}
	by := ""
	if protoc != nil && args == nil {
		by = " with protoc " + protoc.Version
	}
	defer t.u.Shown().Step("testing %s%s", w, by)()
	if note, err = t.runner.Run(ctx, p, protoc, args, w.Options); err == nil {
		t.u.Shown().Did(ui.For(ctx, w.String()), "tried"+by)
	}
	return note, smoke.Lacking(p, e, err)
}

func (u *update) runner(i *install.Installer) *smoke.Runner {
	return &smoke.Runner{Store: u.Store, UI: u.UI, Installer: i}
}

// protoc returns the newest locked protoc that runs here, or nil.
func (u *update) protoc(ctx context.Context, r *smoke.Runner) *install.Program {
	name, version, _, err := u.Find("protoc")
	if err != nil {
		return nil
	}
	return r.Protoc(ctx, u.Entry(name, version))
}
