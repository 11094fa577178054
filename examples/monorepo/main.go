// Monorepo writes a repository's worth of .proto files, the size of googleapis:
// packages that import each other and the well-known types, messages with a
// dozen fields, services with their requests. The same flags give the same
// files on every machine.
//
// In a checkout of buck2-protobuf:
//
//	go run ./examples/monorepo acme
//	buck2 build //acme/...
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

func main() {
	flags := pflag.NewFlagSet("monorepo", pflag.ContinueOnError)
	targets := flags.Int("targets", 400, "packages, each of them one target")
	files := flags.Int("files", 2500, ".proto files in all of them")
	plugin := flags.String("plugin", "ts-proto", "plugin of the TypeScript libraries")
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, pflag.ErrHelp):
		return
	case err != nil, flags.NArg() != 1, *targets < 1, *files < *targets:
		fmt.Fprintln(os.Stderr, "usage: monorepo [--targets N] [--files N] [--plugin NAME] FOLDER, a new one at the root of the repository")
		os.Exit(2)
	}
	if err := write(flags.Arg(0), *plugin, *targets, *files); err != nil {
		fmt.Fprintln(os.Stderr, "monorepo:", err)
		os.Exit(1)
	}
}

// write makes the folder dir, which must not exist. Its last element is the
// folder's path from the root of the repository, and so the start of every
// import.
func write(dir, plugin string, targets, files int) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", dir)
	}
	r := rand.New(rand.NewPCG(2016, uint64(targets)))
	root := filepath.Base(dir)
	all := make([]*pkg, targets)
	for n := range all {
		p := &pkg{dir: path.Join(root, areas[n%len(areas)], fmt.Sprintf("p%03d", n), "v1")}
		// The files are shared out evenly.
		for f := range files*(n+1)/targets - files*n/targets {
			p.files = append(p.files, fmt.Sprintf("%s_%d", nouns[(n+f)%len(nouns)], f))
		}
		// A twentieth of the packages is what the others have in common; now and
		// then a package imports a neighbour as well.
		common := max(1, targets/20)
		for range min(n, 1+r.IntN(3)) {
			if q := all[r.IntN(min(n, common))]; !p.imports(q) {
				p.deps = append(p.deps, q)
			}
		}
		if n >= common && r.IntN(4) == 0 {
			if q := all[max(0, n-len(areas))]; !p.imports(q) {
				p.deps = append(p.deps, q)
			}
		}
		all[n] = p
		if err := p.write(filepath.Dir(dir), plugin, r); err != nil {
			return err
		}
	}
	return nil
}

var (
	areas = []string{"billing", "catalog", "identity", "ledger", "logistics", "media", "messaging", "monitoring", "search", "storage"}
	nouns = []string{"account", "address", "batch", "bucket", "channel", "contact", "device", "event", "invoice", "item", "job", "label", "order", "payment", "policy", "quota", "route", "session", "ticket", "user"}
	types = []string{"string", "string", "string", "int32", "int64", "uint64", "bool", "double", "bytes", "google.protobuf.Timestamp", "google.protobuf.Duration"}
)

// A pkg is one folder with one target.
type pkg struct {
	dir   string   // from the root of the repository
	files []string // names without .proto; each declares a message of that name
	deps  []*pkg
}

func (p *pkg) imports(q *pkg) bool {
	for _, d := range p.deps {
		if d == q {
			return true
		}
	}
	return false
}

// name is the package's name in protobuf.
func (p *pkg) name() string { return strings.ReplaceAll(p.dir, "/", ".") }

// message is the name of the message that a file is about.
func message(file string) string {
	noun, number, _ := strings.Cut(file, "_")
	return strings.ToUpper(noun[:1]) + noun[1:] + number
}

func (p *pkg) write(root, plugin string, r *rand.Rand) error {
	dir := filepath.Join(root, filepath.FromSlash(p.dir))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var deps strings.Builder
	for _, d := range p.deps {
		fmt.Fprintf(&deps, "        \"//%s:api\",\n", d.dir)
	}
	build := fmt.Sprintf(`load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(
    name = "api",
    srcs = glob(["*.proto"]),
    plugin = %q,
    visibility = ["PUBLIC"],
    deps = [
%s    ],
)
`, plugin, &deps)
	if err := os.WriteFile(filepath.Join(dir, "BUCK"), []byte(build), 0o644); err != nil {
		return err
	}
	for n := range p.files {
		if err := os.WriteFile(filepath.Join(dir, p.files[n]+".proto"), []byte(p.proto(n, r)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// proto is the text of one file. It uses messages of the files before it and of
// the packages that this one depends on.
func (p *pkg) proto(n int, r *rand.Rand) string {
	name := message(p.files[n])
	known := append([]string{}, types...)
	imports := []string{"google/protobuf/duration.proto", "google/protobuf/timestamp.proto"}
	if n > 0 {
		m := r.IntN(n)
		imports = append(imports, path.Join(p.dir, p.files[m]+".proto"))
		known = append(known, message(p.files[m]))
	}
	for _, d := range p.deps {
		m := r.IntN(len(d.files))
		imports = append(imports, path.Join(d.dir, d.files[m]+".proto"))
		known = append(known, d.name()+"."+message(d.files[m]))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "syntax = \"proto3\";\n\npackage %s;\n\n", p.name())
	for _, i := range imports {
		fmt.Fprintf(&s, "import %q;\n", i)
	}
	// Every import is used, as in files that people keep tidy.
	fields := func(first ...string) {
		for f := range 12 {
			t := known[r.IntN(len(known))]
			if f < len(first) {
				t = first[f]
			}
			label := ""
			if r.IntN(5) == 0 {
				label = "repeated "
			}
			fmt.Fprintf(&s, "  // What the %s says about its %s.\n  %s%s field_%d = %d;\n", name, nouns[r.IntN(len(nouns))], label, t, f, f+1)
		}
	}
	fmt.Fprintf(&s, "\n// %s is one of the resources of %s.\nmessage %s {\n", name, p.name(), name)
	fields(append([]string{"google.protobuf.Timestamp", "google.protobuf.Duration"}, known[len(types):]...)...)
	fmt.Fprintf(&s, "  map<string, string> labels = 20;\n  %sState state = 21;\n}\n", name)
	fmt.Fprintf(&s, "\nenum %sState {\n", name)
	for v, state := range []string{"UNSPECIFIED", "PENDING", "ACTIVE", "DELETED"} {
		fmt.Fprintf(&s, "  %s_STATE_%s = %d;\n", strings.ToUpper(name), state, v)
	}
	s.WriteString("}\n")
	for _, verb := range []string{"Get", "List", "Update"} {
		fmt.Fprintf(&s, "\nmessage %s%sRequest {\n", verb, name)
		fields()
		fmt.Fprintf(&s, "}\n\nmessage %s%sResponse {\n  repeated %s found = 1;\n  string next_page_token = 2;\n}\n", verb, name, name)
	}
	fmt.Fprintf(&s, "\nservice %sService {\n", name)
	for _, verb := range []string{"Get", "List", "Update"} {
		fmt.Fprintf(&s, "  rpc %s%s(%s%sRequest) returns (%s%sResponse);\n", verb, name, verb, name, verb, name)
	}
	s.WriteString("}\n")
	return s.String()
}
