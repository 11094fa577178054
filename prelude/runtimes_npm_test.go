package prelude_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRuntimesNPM: a service of Connect in TypeScript, and what ts-proto makes, have
// right types and run on node, with packages that lockgen chose and Buck2 has by fetch.
func TestRuntimesNPM(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs protoc, node and packages of npm from their registries")
	needs(t, "go", "npm")
	plugins := []string{"node", "protoc-gen-es", "ts-proto"}
	manifest, version := ownManifest(t, plugins...)
	tables := lockedTables(t, "\n[plugins.tsc.", map[string]string{"plugins.toml": manifest + "tsc = \"5.9.3\"\n\n[runtimes]\ntypescript = [\"@bufbuild/protobuf\", \"@connectrpc/connect\"]\n"})
	if !strings.Contains(tables, "\n[runtimes.typescript.connectrpc-connect.") {
		t.Fatalf("the lock ends with\n%s", tables)
	}
	p := scratch(t, tables, map[string]string{
		".buckconfig":     scratchConfig + "[buck2_protobuf]\nruntimes = typescript\n",
		"api/greet.proto": greetProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:typescript.bzl", "typescript_binary", "typescript_check_test", "typescript_proto_library")

typescript_proto_library(name = "greet_ts", srcs = ["greet.proto"], plugin = "protoc-gen-es")
typescript_proto_library(name = "wire_ts", srcs = ["greet.proto"], plugin = "ts-proto")
typescript_proto_library(name = "own_ts", srcs = ["greet.proto"], plugin = "protoc-gen-es", runtime = [])
typescript_proto_library(name = "old_ts", srcs = ["greet.proto"], plugin = "protoc-gen-es", plugin_version = "1.10.0")
typescript_binary(name = "main", main = "main.ts", deps = [":greet_ts"])
typescript_binary(name = "wire", main = "wire.ts", deps = [":wire_ts"])
typescript_check_test(name = "main_check", srcs = ["main.ts"], deps = [":greet_ts"])
typescript_check_test(name = "both_check", srcs = ["both.ts"], deps = [":greet_ts", ":wire_ts"])
typescript_check_test(name = "wrong_check", srcs = ["wrong.ts"], deps = [":greet_ts"])
typescript_check_test(name = "alone_check", deps = [":own_ts"])
`,
		"api/main.ts": `
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { Greeter, NameSchema, type Name } from "./gen/api/greet_pb.js";

const transport = createRouterTransport(({ service }) => {
  service(Greeter, { greet: (request: Name) => create(NameSchema, { name: "Hello, " + request.name }) });
});
const answer: Name = await createClient(Greeter, transport).greet({ name: "Connect" });
console.log(answer.name);
`,
		"api/wire.ts": `
import { Name } from "./gen/api/greet.ts";

console.log(Name.decode(Name.encode({ name: "ts-proto" }).finish()).name);
`,
		"api/both.ts": `
import { Name } from "./gen/api/greet.ts";
import { NameSchema } from "./gen/api/greet_pb.js";

export const names: string[] = [NameSchema.typeName, Name.decode(new Uint8Array()).name];
`,
		"api/wrong.ts": `
import { create } from "@bufbuild/protobuf";
import { NameSchema } from "./gen/api/greet_pb.js";

export const n: number = create(NameSchema, { name: "x" }).name;
`,
	})
	for target, want := range map[string]string{"//api:main": "Hello, Connect\n", "//api:wire": "ts-proto\n"} {
		if got := p.Must("run", target); got != want {
			t.Errorf("%s printed %q, want %q", target, got, want)
		}
	}
	p.Must("test", "//api:main_check", "//api:both_check")
	expect(t, p.Fails("test", "//api:wrong_check"), "TS2322")
	expect(t, p.Fails("test", "//api:alone_check"), "Cannot find module '@bufbuild/protobuf/codegenv2'")
	// What does not fit is told before anything is generated, with the command.
	expect(t, p.Fails("build", "//api:old_ts"), "is locked for the code of protoc-gen-es "+version["protoc-gen-es"]+" and ts-proto "+version["ts-proto"]+", and not for that of protoc-gen-es 1.10.0. Run: lockgen update")
	text, err := os.ReadFile(filepath.Join(p.Dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	bucktest.Write(t, p.Dir, map[string]string{
		lock.FileName: strings.ReplaceAll(string(text), "[runtimes.typescript.bufbuild-protobuf.", "[runtimes.typescript.other."),
	})
	expect(t, p.Fails("build", "//api:wire_ts"), "the code of ts-proto needs the library bufbuild-protobuf, which is not locked. Run: lockgen add runtimes/typescript/bufbuild-protobuf")
	// Packages of one's own are in place of those of the lock.
	bucktest.Write(t, p.Dir, map[string]string{
		"toolchains/BUCK": strings.Replace(scratchToolchain, "lock = lock)", `lock = lock, runtimes = {"typescript": ["root//own:packages"]})`, 1),
		"own/BUCK":        "filegroup(name = \"packages\", srcs = {\"node_modules/mine/index.js\": \"index.js\"}, visibility = [\"PUBLIC\"])\n",
		"own/index.js":    "1\n",
	})
	expectFile(t, filepath.Join(p.Build("//api:old_ts[packages]")[0], "node_modules", "mine", "index.js"), "1\n")
}
