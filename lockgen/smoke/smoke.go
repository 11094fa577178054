// Package smoke runs what was just locked once on this machine, before the lock
// is written, without network and without any of the user's settings. A plugin
// gets an empty CodeGeneratorRequest and, through the locked protoc if there is
// one, the request for a small file. A program of the catalogue that is not a
// plugin is run with the arguments in its recipe. Formats:
// google/protobuf/compiler/plugin.proto, descriptor.proto.
package smoke

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

const fileName = "buck2_protobuf_smoke.proto"

const fileText = `syntax = "proto3";

package buck2_protobuf.smoke;

option go_package = "example.com/buck2-protobuf/smoke;smoke";

message Ping {
  string text = 1;
}

service Smoke {
  rpc Echo(Ping) returns (Ping);
}
`

// A Runner installs entries from the store, as fetch does, and runs them.
type Runner struct {
	Store     *store.Store
	UI        *ui.UI
	Installer *install.Installer // for the platform of this machine
}

// Install installs an entry. It returns nil if entries of its kind cannot be
// installed yet, or if this machine lacks what is needed: a Python that can run
// it, or cargo and a linker to compile it. Locking a plugin does not need
// those.
func (r *Runner) Install(ctx context.Context, e *lock.Entry) (*install.Program, error) {
	crate := e.Locked.Kind().Compiled
	p, _, err := r.Installer.Program(ctx, e, r.Installer.Host.Name)
	if fault.Of(err) == fault.Usage || (crate || len(e.Locked.Python) > 0) && fault.Of(err) == fault.Machine {
		r.UI.Say("%s was not tried: %v", e, err)
		return nil, nil
	}
	return p, err
}

// Protoc installs a locked protoc to try plugins with. It returns nil if the
// protoc is not for this machine.
func (r *Runner) Protoc(ctx context.Context, e *lock.Entry) *install.Program {
	host := r.Installer.Host.Name
	if _, _, err := e.Locked.Cell(host); err != nil {
		return nil
	}
	p, _, err := r.Installer.Program(ctx, e, host)
	if err != nil {
		r.UI.Detail("smoke runs without protoc: %v", err)
		return nil
	}
	return p
}

// Args returns the arguments in the recipe of an entry, or nil for a protoc
// plugin. The error says why an entry cannot be tried.
func Args(e *lock.Entry, platform string) ([]string, error) {
	cell, _, err := e.Locked.Cell(platform)
	if err != nil {
		return nil, err
	}
	if r, ok := catalog.Builtin().Lookup(e.Name); ok && len(r.Smoke) > 0 {
		return r.Smoke, nil
	}
	name := path.Base(cell.Binary)
	if e.Locked.Program != "" { // Python runs it
		name = e.Locked.Program
	}
	if !strings.HasPrefix(name, "protoc-gen-") {
		return nil, errors.New("its executable is not called protoc-gen-…, so nothing says what it understands")
	}
	return nil, nil
}

// Run runs a program with args or, if they are nil, as a plugin: of protoc where
// that is not nil. Options are those of the plugin. The note is what it says to
// people, "" for nothing; the error is of class [fault.Integrity] or [fault.Usage]
// where the program is to blame.
func (r *Runner) Run(ctx context.Context, p, protoc *install.Program, args, options []string) (note string, err error) {
	dir, done, err := r.Store.Scratch(ctx, "smoke")
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
		return "", failed(err, "it does not run on this machine")
	}
	if protoc != nil {
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(fileText), 0o600); err != nil {
			return "", err
		}
		by := proc.Sandbox{Name: "protoc " + protoc.Version + " with " + p.Plugin, Path: protoc.Path, Dir: dir, Home: home, Args: []string{
			"--plugin=protoc-gen-smoke=" + p.Path, "--smoke_out=" + out, "--proto_path=" + dir, fileName,
		}}
		if len(options) > 0 {
			by.Args = append(by.Args, "--smoke_opt="+strings.Join(options, ","))
		}
		_, err := by.Run(ctx)
		switch {
		case err == nil:
		case proc.Exited(err) && answered(err):
			// It speaks the protocol, but needs options.
			return fmt.Sprintf("%s %s runs, and answers a request without options: %v", p.Plugin, p.Version, err), nil
		default:
			return "", failed(err, "protoc cannot generate with it")
		}
	}
	requests := map[string][]byte{"an empty request": {}}
	order := []string{"an empty request"}
	if protoc == nil {
		requests["a small request"] = request(options)
		order = append(order, "a small request")
	}
	for _, name := range order {
		run.Stdin = requests[name]
		out, err := run.Run(ctx)
		if err == nil {
			var said string
			if said, err = response(out); err == nil {
				if said != "" {
					r.UI.Detail("%s %s answers %s: %s", p.Plugin, p.Version, name, said)
				}
				continue
			}
		}
		if name == "an empty request" && proc.Exited(err) {
			// protoc never sends an empty request, so only the answer to a real
			// one counts.
			r.UI.Detail("%s %s does not take %s: %v", p.Plugin, p.Version, name, err)
			continue
		}
		return "", failed(err, "it does not answer "+name)
	}
	return "", nil
}

// Parse has protoc read files in some folders. The error satisfies
// [proc.Exited] if protoc refuses one.
func (r *Runner) Parse(ctx context.Context, protoc *install.Program, folders, files []string) error {
	scratch, done, err := r.Store.Scratch(ctx, "protos")
	if err != nil {
		return err
	}
	defer done()
	home := filepath.Join(scratch, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	args := []string{"--descriptor_set_out=" + filepath.Join(scratch, "out")}
	for _, dir := range folders {
		args = append(args, "-I"+dir)
	}
	if protoc.Include != "" {
		args = append(args, "-I"+protoc.Include)
	}
	args = append(args, files...)
	list := filepath.Join(scratch, "args") // there may be too many for a command line
	if err := os.WriteFile(list, []byte(strings.Join(args, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	run := proc.Sandbox{Name: "protoc " + protoc.Version, Path: protoc.Path, Dir: scratch, Home: home, Args: []string{"@" + list}}
	_, err = run.Run(ctx)
	return err
}

// untried is the hint of how to lock a plugin that was not seen to work.
const untried = "to lock it untried, write smoke = false into its entry, or run the same command with --no-smoke"

// Lacking adds to the error of a plugin of Python to which a module is missing the extras
// of its package, one of which may bring that.
func Lacking(p *install.Program, e *lock.Entry, err error) error {
	if err == nil || !e.Locked.Kind().Wheels || !strings.Contains(err.Error(), "ModuleNotFoundError: ") {
		return err
	}
	project, asked := syntax.Extras(e.Locked.Package)
	normal := lock.KindOf(lock.Pip).Normal
	for _, pattern := range []string{"*.dist-info", "*/*.dist-info"} { // of all interpreters, or of each
		found, _ := filepath.Glob(filepath.Join(p.Tree, filepath.FromSlash(pattern), "METADATA"))
		for _, file := range found {
			text, rerr := os.ReadFile(file)
			if rerr != nil {
				return rerr
			}
			m, merr := wheel.ParseMetadata(text)
			if merr != nil || normal(m.Name) != normal(project) || len(m.Extras) == 0 || len(asked) > 0 {
				continue
			}
			return fault.Errorf(fault.Of(err), fmt.Sprintf("its package has the extras %s: if one is for this, write it into the source, such as pip:%s[%s]; %s", fault.List(m.Extras), project, m.Extras[0], fault.Hint(err)), "%w", err)
		}
	}
	return err
}

// failed classifies the error of a failed run.
func failed(err error, what string) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if fault.Of(err) == fault.Machine { // it did not start or did not end: who is to blame, nobody knows
		return fault.Errorf(fault.Machine, fault.Hint(err)+"; "+untried, "smoke run: %s: %w", what, err)
	}
	class, hint := fault.Integrity, "if it says which option it wants, write options = [\"NAME=VALUE\"] into its entry, or run lockgen add with --option NAME=VALUE: this run then gives it; else use another version, or report it to its publisher; "+untried
	if fault.Of(err) == fault.Usage || strings.Contains(err.Error(), "unparseable") {
		class, hint = fault.Usage, "check that binary in the entry is a protoc plugin; "+untried
	}
	return fault.Errorf(class, hint, "smoke run: %s: %w", what, err)
}

// answered reports whether protoc relays a message of the plugin, in contrast
// to a failure of it. protoc prefixes both with the name of the option
// (command_line_interface.cc). A plugin that adds to the output of another one,
// as protoc-gen-tonic does with protoc-gen-prost's files, has answered as well.
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

// request returns the CodeGeneratorRequest that protoc would send for the
// message in fileText and options.
func request(options []string) []byte {
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
	file := text(nil, 1, fileName)
	file = text(file, 2, "buck2_protobuf.smoke")
	file = text(file, 4, string(message))
	file = text(file, 8, string(text(nil, 11, "example.com/buck2-protobuf/smoke;smoke"))) // FileOptions.go_package
	file = text(file, 12, "proto3")
	r := text(nil, 1, fileName)
	if len(options) > 0 {
		r = text(r, 2, strings.Join(options, ",")) // parameter
	}
	return text(r, 15, string(file))
}

// response parses a CodeGeneratorResponse and returns its field error. The
// error is of class [fault.Usage]: the program is not a plugin.
func response(b []byte) (said string, err error) {
	for whole := b; len(b) > 0; {
		n, kind, size := protowire.ConsumeField(b)
		if size < 0 {
			return "", fault.Errorf(fault.Usage, "check that binary in the entry is a protoc plugin; "+untried, "its output is not a CodeGeneratorResponse: %q", string(whole[:min(len(whole), 100)]))
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
