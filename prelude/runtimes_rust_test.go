package prelude_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRuntimesRust: a service in Rust runs from plugins.toml and one BUCK file, on crates
// that lockgen chose and Buck2 has by fetch, some of them with build scripts and macros.
func TestRuntimesRust(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs crates from their registry")
	needs(t, "go", "gcc", "cargo", "python3")
	plugins := []string{"protoc", "protoc-gen-prost", "protoc-gen-prost-crate", "protoc-gen-tonic"}
	// The plugins are as in our lock, and the runtimes fit them.
	manifest, version := ownManifest(t, plugins...)
	runtimes := []string{"prost", "tonic", "tokio", "tokio-stream"}
	scripts := lock.PrintList(append([]string{"runtimes/rust/" + strings.Join(runtimes, "|runtimes/rust/")}, plugins[1:]...))
	tables := lockedTables(t, "\n[runtimes.", map[string]string{
		"plugins.toml": manifest + "\n[runtimes]\nrust = [\"prost\", \"tonic\", \"tokio[rt-multi-thread]\", \"tokio-stream[net]\"]\n\n[policy]\nbuild-scripts = " + strings.ReplaceAll(scripts, "|", `", "`) + "\n",
		lock.FileName:  ownLock(t),
	})
	p := scratch(t, tables, map[string]string{
		".buckconfig":               scratchConfig + "[buck2_protobuf]\nruntimes = rust\n",
		"toolchains/BUCK":           compiledToolchains,
		"toolchains/java.bzl":       jdkToolchain,
		"toolchains/jar_builder.sh": jarBuilder,
		"api/greet.proto":           greetProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:rust.bzl", "rust_proto_library")

rust_proto_library(name = "greet_rs", srcs = ["greet.proto"], tonic = True)
rust_binary(
    name = "main",
    srcs = ["main.rs"],
    crate_root = "main.rs",
    deps = [":greet_rs", "toolchains//:rust-runtime-tokio", "toolchains//:rust-runtime-tokio-stream", "toolchains//:rust-runtime-tonic"],
)
`,
		"api/main.rs": `
use greet_rs::api::{greeter_client::GreeterClient, greeter_server::{Greeter, GreeterServer}, Name};
use tonic::{Request, Response, Status};

struct Hello;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn greet(&self, name: Request<Name>) -> Result<Response<Name>, Status> {
        Ok(Response::new(Name { name: format!("Hello, {}", name.into_inner().name) }))
    }
}

async fn greet() -> Result<String, Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(GreeterServer::new(Hello)).serve_with_incoming(incoming));
    let mut client = GreeterClient::connect(format!("http://127.0.0.1:{port}")).await?;
    Ok(client.greet(Name { name: "Rust".into() }).await?.into_inner().name)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{}", runtime.block_on(greet()).unwrap());
}
`,
	})
	// Everything is there to compile with, and nothing has to be compiled to know it.
	expect(t, p.Must("cquery", "deps(//api:greet_rs)"), "toolchains//:rust-library-prost-derive-", "toolchains//:rust-script-anyhow-", "toolchains//:rust-library-tonic-prost-")
	out := p.Build("toolchains//:rust-crate-prost-" + locked(t, p.Dir, "runtimes/rust/prost"))[0]
	if found, err := filepath.Glob(filepath.Join(out, "prost-*", "src", "lib.rs")); err != nil || len(found) != 1 {
		t.Errorf("the crate is %q: %v", found, err)
	}
	expectMisfits(t, p, "//api:greet_rs[code]", "root//api:greet_rs-gen: ", map[string]*strings.Replacer{
		" is locked for the code of protoc-gen-prost 0.4.0, and not for that of protoc-gen-prost " + version["protoc-gen-prost"] + ". Run: lockgen update": strings.NewReplacer(
			`fits = ["protoc-gen-prost@`+version["protoc-gen-prost"]+`"]`, `fits = ["protoc-gen-prost@0.4.0"]`),
		"needs the library tonic, which is not locked. Run: lockgen add runtimes/rust/tonic": strings.NewReplacer(
			`fits = ["protoc-gen-tonic@`+version["protoc-gen-tonic"]+`"]`+"\n", "", "[runtimes.rust.tonic.", "[runtimes.rust.other."),
	})
	// Libraries of the user's own replace them.
	bucktest.Write(t, p.Dir, map[string]string{
		"toolchains/BUCK": strings.Replace(compiledToolchains, "protobuf_plugins(lock = lock)", `protobuf_plugins(lock = lock, runtimes = {"rust": ["root//own:prost"]})`, 1),
		"own/BUCK":        "rust_library(name = \"prost\", srcs = [\"lib.rs\"], crate_root = \"lib.rs\", visibility = [\"PUBLIC\"])\n",
		"own/lib.rs":      "\n",
	})
	if deps := p.Must("cquery", "deps(//api:greet_rs)"); !strings.Contains(deps, "root//own:prost") || strings.Contains(deps, "rust-library-prost") {
		t.Errorf("the library depends on\n%s", deps)
	}
	bucktest.Write(t, p.Dir, map[string]string{"toolchains/BUCK": compiledToolchains})
	testenv.OnlyFull(t, "the plugins and 75 crates take minutes to compile")
	if got, want := p.Must("run", "//api:main"), "Hello, Rust\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
}
