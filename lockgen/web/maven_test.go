package web

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestClosureOfMaven: the closures of real plugins are those that this machine's mvn
// finds for a project that depends on them and imports their dependencyManagement.
func TestClosureOfMaven(t *testing.T) {
	testenv.OnlyFull(t, "mvn takes seconds for each plugin")
	mvn := testenv.Program(t, "mvn")
	config, err := maven.ReadConfig()
	if err != nil {
		t.Fatal(err)
	}
	list, err := config.Repositories("")
	if err != nil {
		t.Skip(err)
	}
	at := &origin.Maven{Repositories: list, Client: remote.New(config.Options(remote.Options{}))}
	resolver := &maven.Resolver{Java: 17, Document: func(ctx context.Context, path string) ([]byte, error) {
		return at.Document(ctx, path, maven.MaxDocument)
	}}
	for _, plugin := range []string{"com.connectrpc:protoc-gen-connect-kotlin:0.9.0", "com.thesamet.scalapb:compilerplugin_2.13:0.11.11", "com.salesforce.servicelibs:reactor-grpc:1.2.4"} {
		part := strings.Split(plugin, ":")
		nodes, err := resolver.Closure(t.Context(), maven.Coordinate{Group: part[0], Artifact: part[1], Version: part[2], Ext: "jar"})
		if err != nil {
			t.Errorf("%s: %v", plugin, err)
			continue
		}
		var ours, theirs []string
		for _, n := range nodes {
			if n.File {
				ours = append(ours, n.Package()+":"+n.Version)
			}
		}
		dir := t.TempDir()
		depends := "<dependency><groupId>" + part[0] + "</groupId><artifactId>" + part[1] + "</artifactId><version>" + part[2] + "</version>"
		pom := "<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencyManagement><dependencies>" +
			depends + "<type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement><dependencies>" + depends + "</dependency></dependencies></project>"
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o600); err != nil {
			t.Fatal(err)
		}
		testenv.Program(t, mvn, "--batch-mode", "--quiet", "--file", dir, "dependency:list", "-DincludeScope=runtime", "-DoutputFile="+filepath.Join(dir, "list"))
		text, err := os.ReadFile(filepath.Join(dir, "list"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " ")
			if word := strings.Split(line, ":"); len(word) >= 5 { // GROUP:ARTIFACT:TYPE[:CLASSIFIER]:VERSION:SCOPE
				theirs = append(theirs, word[0]+":"+word[1]+":"+word[len(word)-2])
			}
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		if !slices.Equal(ours, theirs) || len(ours) == 0 {
			t.Errorf("%s\nours %v\nmvn  %v", plugin, ours, theirs)
		}
	}
}
