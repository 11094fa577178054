package prelude_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRuntimesJava: a service in Java runs from plugins.toml and one BUCK file, on jars
// that lockgen chose and Buck2 has by fetch.
func TestRuntimesJava(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs a plugin and jars from a repository of Maven")
	needs(t, "go", "javac", "jar", "java", "python3")
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	protoc := ownVersions(t, "protoc")["protoc"]
	tables := lockedTables(t, "\n[plugins.protoc-gen-grpc-java.", map[string]string{"plugins.toml": fmt.Sprintf("platforms = [%q]\n\n[plugins]\nprotoc = %q\nprotoc-gen-grpc-java = \"1.76.0\"\n\n[runtimes]\njava = [\"protobuf-java\", \"grpc==1.76.0\"]\n\n[policy]\npublisher-times = [\"maven\"]\n",
		host.Name, protoc)})
	p := scratch(t, tables, map[string]string{
		".buckconfig":               scratchConfig + "[buck2_protobuf]\nruntimes = java\n",
		"toolchains/BUCK":           compiledToolchains,
		"toolchains/java.bzl":       jdkToolchain,
		"toolchains/jar_builder.sh": jarBuilder,
		"api/greet.proto":           greetProto,
		"api/a.proto":               scratchProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:java.bzl", "java_proto_library")

java_proto_library(name = "a_java", srcs = ["a.proto"])
java_proto_library(name = "greet_java", srcs = ["greet.proto"], grpc = True)
java_proto_library(name = "own_java", srcs = ["a.proto"], runtime = ["toolchains//:java-runtime-protobuf-java"])
java_library(name = "main_lib", srcs = ["Main.java"], deps = [":a_java", ":greet_java"])
java_binary(name = "main", main_class = "Main", generate_wrapper = True, deps = [":main_lib"])
java_library(name = "messages_lib", srcs = ["Messages.java"], deps = [":a_java"])
java_binary(name = "messages", main_class = "Messages", generate_wrapper = True, deps = [":messages_lib"])
`,
		"api/Main.java": `import api.GreeterGrpc;
import api.Name;
import com.google.protobuf.Timestamp;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.stub.StreamObserver;
import scratch.A.M;

class Main {
  static class Greeter extends GreeterGrpc.GreeterImplBase {
    @Override
    public void greet(Name name, StreamObserver<Name> answer) {
      answer.onNext(Name.newBuilder().setName("Hello, " + name.getName()).build());
      answer.onCompleted();
    }
  }

  public static void main(String[] args) throws Exception {
    var server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create()).addService(new Greeter()).build().start();
    var channel = Grpc.newChannelBuilder("127.0.0.1:" + server.getPort(), InsecureChannelCredentials.create()).build();
    var answer = GreeterGrpc.newBlockingStub(channel).greet(Name.newBuilder().setName("Java").build());
    System.out.println(answer.getName() + " " + M.newBuilder().setAt(Timestamp.newBuilder().setSeconds(7)).build().getAt().getSeconds());
    channel.shutdownNow();
    server.shutdownNow();
  }
}
`,
		"api/Messages.java": `import scratch.A.M;

class Messages {
  public static void main(String[] args) {
    boolean grpc = true;
    try {
      Class.forName("io.grpc.Grpc");
    } catch (ClassNotFoundException e) {
      grpc = false;
    }
    System.out.println(M.getDescriptor().getFullName() + " " + grpc);
  }
}
`,
	})
	if got, want := p.Must("run", "//api:main"), "Hello, Java 7\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
	if got, want := p.Must("run", "//api:messages"), "scratch.M false\n"; got != want {
		t.Errorf("program printed %q, want %q: messages need no gRPC", got, want)
	}
	expectMisfits(t, p, "//api:messages", "root//api:a_java-gen: ", map[string]*strings.Replacer{
		" is locked for the code of protoc 29.3, and not for that of protoc " + protoc + ". Run: lockgen update": strings.NewReplacer(protocFits(protoc), `fits = ["protoc@29.3"]`),
		"needs the library protobuf-java, which is not locked. Run: lockgen add runtimes/java/protobuf-java":     strings.NewReplacer(protocFits(protoc), "", "[runtimes.java.protobuf-java.", "[runtimes.java.other."),
	})
	// Libraries of the user's own replace them, for one target or for all.
	p.Build("//api:own_java")
	bucktest.Write(t, p.Dir, map[string]string{
		"toolchains/BUCK": strings.Replace(compiledToolchains, "protobuf_plugins(lock = lock)", `protobuf_plugins(lock = lock, runtimes = {"java": ["root//own:protobuf"]})`, 1),
		"own/BUCK":        "java_library(name = \"protobuf\", srcs = [\"Own.java\"], visibility = [\"PUBLIC\"])\n",
		"own/Own.java":    "class Own {}\n",
	})
	expect(t, p.Must("uquery", "deps(//api:a_java)"), "root//own:protobuf")
}
