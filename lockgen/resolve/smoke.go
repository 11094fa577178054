package resolve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/queue"
)

// The smoke run: what was just locked is installed from the store, as fetch
// would do it, and run once on this machine, without a network and with nothing
// of the user's, before the lock is written. A plugin gets an empty
// CodeGeneratorRequest and, from the locked protoc where there is one, that of
// smokeProto; a program of the catalogue that is no plugin is asked for what its
// recipe says. Formats: google/protobuf/compiler/plugin.proto, descriptor.proto.

const smokeName = "buck2_protobuf_smoke.proto"

const smokeProto = `syntax = "proto3";

package buck2_protobuf.smoke;

option go_package = "example.com/buck2-protobuf/smoke;smoke";

message Ping {
  string text = 1;
}

service Smoke {
  rpc Echo(Ping) returns (Ping);
}
`

// trials are the smoke runs of an update.
type trials struct {
	u         *update
	jobs      []*job
	host      lock.Platform
	installer *install.Installer
	compiling *queue.Queue            // for those that cargo compiles, one at a time
	protoc    func() *install.Program // nil for none
	close     func()
}

// newTrials prepares smoke runs, none where nobody wants them. The caller closes
// them.
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
	cargo := &cargo.Trials{Dir: scratch}
	t.close = func() {
		cargo.Close()
		done()
	}
	t.installer = &install.Installer{
		Store: u.Store, Host: host, Offline: u.Offline, Download: u.Download, NodeManager: "none", Python: u.Getenv("BUCK2_PROTOBUF_PYTHON"), Trials: cargo,
		Transfer: u.Shown(),
	}
	t.protoc = sync.OnceValue(func() *install.Program {
		for _, c := range jobs {
			if c.candidates[0].Name == "protoc" && !c.done.wait(ctx) {
				return nil
			}
		}
		return u.smokeProtoc(ctx, t.installer)
	})
	return t, nil
}

// try runs what c has locked. The error is what is wrong with it, or an
// interruption.
func (t *trials) try(ctx context.Context, c *job) (note string, err error) {
	w := c.now()
	if t.installer == nil || w.Untried {
		return "", nil
	}
	e := t.u.Entry(w.Name, w.Version)
	args, plugin := smokeArgs(e, t.host.Name)
	if _, _, err := e.Locked.Cell(t.host.Name); err != nil || !plugin && args == nil {
		t.u.UI.Detail("%s: no smoke run: %s", w, reasonNoSmoke(err))
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
	p, err := t.u.installed(ctx, t.installer, e)
	if err != nil || p == nil {
		return "", err
	}
	by := ""
	if protoc != nil && args == nil {
		by = " with protoc " + protoc.Version
	}
	defer t.u.Shown().Step("trying %s%s", w, by)()
	if note, err = t.u.smokeOne(ctx, p, protoc, args, w.Options); err == nil {
		t.u.Shown().Did(ui.For(ctx, w.String()), "tried"+by)
	}
	return note, err
}

func reasonNoSmoke(err error) string {
	if err != nil {
		return err.Error()
	}
	return "its executable is not called protoc-gen-…, so nothing says what it understands"
}

// installed installs an entry, nil where its kind cannot be installed yet, or
// where this machine lacks what it takes: a Python that can run it, or a cargo
// and a linker to compile it, which the lock of a plugin does not need.
func (u *update) installed(ctx context.Context, i *install.Installer, e *lock.Entry) (*install.Program, error) {
	crate := e.Locked.Kind().Compiled
	p, _, err := i.Program(ctx, e, i.Host.Name)
	if fault.Of(err) == fault.Usage || (crate || len(e.Locked.Python) > 0) && fault.Of(err) == fault.Machine {
		u.UI.Say("%s was not tried: %v", e, err)
		return nil, nil
	}
	return p, err
}

// smokeProtoc is the newest locked protoc that runs here, nil for none.
func (u *update) smokeProtoc(ctx context.Context, i *install.Installer) *install.Program {
	name, version, _, err := u.Find("protoc")
	if err != nil {
		return nil
	}
	e := u.Entry(name, version)
	if _, _, err := e.Locked.Cell(i.Host.Name); err != nil {
		return nil
	}
	p, _, err := i.Program(ctx, e, i.Host.Name)
	if err != nil {
		u.UI.Detail("smoke runs without protoc: %v", err)
		return nil
	}
	return p
}

// smokeArgs says how an entry can be tried: as a plugin, or with the arguments
// of its recipe; neither where nothing is known of it.
func smokeArgs(e *lock.Entry, platform string) (args []string, plugin bool) {
	if r, ok := catalog.Builtin().Lookup(e.Name); ok && len(r.Smoke) > 0 {
		return r.Smoke, false
	}
	cell, _, err := e.Locked.Cell(platform)
	name := path.Base(cell.Binary)
	if e.Locked.Program != "" { // Python runs it
		name = e.Locked.Program
	}
	return nil, err == nil && strings.HasPrefix(name, "protoc-gen-")
}

// smokeOne runs one program. The note is what it says to people, "" for nothing.
func (u *update) smokeOne(ctx context.Context, p, protoc *install.Program, args, options []string) (note string, err error) {
	dir, done, err := u.Store.Scratch(ctx, "smoke")
	if err != nil {
		return "", err
	}
	defer done()
	home, out := filepath.Join(dir, "home"), filepath.Join(dir, "out")
	for _, d := range []string{home, out} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", err
		}
	}
	run := proc.Sandbox{Name: p.Plugin, Path: p.Path, Dir: dir, Home: home}
	if args != nil {
		run.Args = args
		_, err := run.Run(ctx)
		return "", smokeError(err, "it does not run on this machine")
	}
	if protoc != nil {
		if err := os.WriteFile(filepath.Join(dir, smokeName), []byte(smokeProto), 0o600); err != nil {
			return "", err
		}
		by := proc.Sandbox{Name: "protoc " + protoc.Version + " with " + p.Plugin, Path: protoc.Path, Dir: dir, Home: home, Args: []string{
			"--plugin=protoc-gen-smoke=" + p.Path, "--smoke_out=" + out, "--proto_path=" + dir, smokeName,
		}}
		if len(options) > 0 {
			by.Args = append(by.Args, "--smoke_opt="+strings.Join(options, ","))
		}
		_, err := by.Run(ctx)
		switch {
		case err == nil:
		case proc.Exited(err) && answered(err):
			// It speaks the protocol and wants options that only people know.
			return fmt.Sprintf("%s %s runs, and answers a request without options: %v", p.Plugin, p.Version, err), nil
		default:
			return "", smokeError(err, "protoc cannot generate with it")
		}
	}
	requests := map[string][]byte{"an empty request": {}}
	order := []string{"an empty request"}
	if protoc == nil {
		requests["a small request"] = smokeRequest(options)
		order = append(order, "a small request")
	}
	for _, name := range order {
		run.Stdin = requests[name]
		out, err := run.Run(ctx)
		if err == nil {
			var said string
			if said, err = response(out); err == nil {
				if said != "" {
					u.UI.Detail("%s %s answers %s: %s", p.Plugin, p.Version, name, said)
				}
				continue
			}
		}
		if name == "an empty request" && proc.Exited(err) {
			// protoc never sends one; what it says to a real one counts.
			u.UI.Detail("%s %s does not take %s: %v", p.Plugin, p.Version, name, err)
			continue
		}
		return "", smokeError(err, "it does not answer "+name)
	}
	return "", nil
}

// smokeError gives a failed run its class and hint.
func smokeError(err error, what string) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	class, hint := fault.Integrity, "if it says which option it wants, write options = [\"NAME=VALUE\"] into its entry, which this run then gives it; else take another version, or report it to its publisher; to lock it untried, write smoke = false into its entry, or run: lockgen update --no-smoke"
	if fault.Of(err) == fault.Usage || strings.Contains(err.Error(), "unparseable") {
		class, hint = fault.Usage, "is binary in the entry a protoc plugin? to lock it untried: lockgen update --no-smoke"
	}
	return fault.Errorf(class, hint, "smoke run: %s: %w", what, err)
}

// answered reports whether protoc relays what a plugin says, not that it broke.
// protoc prefixes both with the name of the option (command_line_interface.cc).
// A plugin that adds to what another one writes, as protoc-gen-tonic does to
// protoc-gen-prost's files, has answered as well.
func answered(err error) bool {
	text := err.Error()
	if strings.Contains(text, ": Tried to insert into file that doesn't exist.") {
		return true
	}
	if !strings.Contains(text, "--smoke_out: ") {
		return false
	}
	return !slices.ContainsFunc([]string{"Plugin failed with status code", "Plugin killed by signal", "Plugin output is unparseable", "program not found"}, func(s string) bool {
		return strings.Contains(text, s)
	})
}

// smokeRequest is the CodeGeneratorRequest that protoc makes of the message of
// smokeProto and of options.
func smokeRequest(options []string) []byte {
	text := func(b []byte, n protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
	}
	number := func(b []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	}
	field := text(nil, 1, "text")
	field = number(field, 3, 1) // number
	field = number(field, 4, 1) // LABEL_OPTIONAL
	field = number(field, 5, 9) // TYPE_STRING
	field = text(field, 10, "text")
	message := text(nil, 1, "Ping")
	message = text(message, 2, string(field))
	file := text(nil, 1, smokeName)
	file = text(file, 2, "buck2_protobuf.smoke")
	file = text(file, 4, string(message))
	file = text(file, 8, string(text(nil, 11, "example.com/buck2-protobuf/smoke;smoke"))) // FileOptions.go_package
	file = text(file, 12, "proto3")
	request := text(nil, 1, smokeName)
	if len(options) > 0 {
		request = text(request, 2, strings.Join(options, ",")) // parameter
	}
	return text(request, 15, string(file))
}

// response reads a CodeGeneratorResponse: well formed, and what it says in
// error. The error is of class [fault.Usage]: this is no plugin.
func response(b []byte) (said string, err error) {
	for whole := b; len(b) > 0; {
		n, kind, size := protowire.ConsumeField(b)
		if size < 0 {
			return "", fault.Errorf(fault.Usage, "is binary in the entry a protoc plugin? to lock it untried: lockgen update --no-smoke", "what it prints is no CodeGeneratorResponse: %q", string(whole[:min(len(whole), 100)]))
		}
		if n == 1 && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(b)
			v, _ := protowire.ConsumeBytes(b[tag:])
			said = string(v)
		}
		b = b[size:]
	}
	return said, nil
}
