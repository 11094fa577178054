package maven

import (
	"archive/zip"
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// installedMaven is a folder as mvn has it: its library with the POM that names
// its own repository.
func installedMaven(t *testing.T, settings string) string {
	t.Helper()
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create(superPOM)
	if err == nil {
		_, err = w.Write([]byte("<project><repositories><repository><id>central</id><url>https://central.example.com/maven2</url></repository></repositories></project>"))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	fake.Write(t, filepath.Join(dir, "lib", "maven-artifact-3.jar"), "no jar")
	fake.Write(t, filepath.Join(dir, "lib", "maven-model-builder-3.jar"), jar.String())
	if settings != "" {
		fake.Write(t, filepath.Join(dir, "conf", "settings.xml"), "<settings>"+settings+"</settings>")
	}
	return dir
}

// TestRepositories: which repositories are asked, and with which credentials.
func TestRepositories(t *testing.T) {
	t.Parallel()
	one := func(id, of, address string) string {
		return "<mirrors><mirror><id>" + id + "</id><mirrorOf>" + of + "</mirrorOf><url>" + address + "</url></mirror></mirrors>"
	}
	const login = "<servers><server><id>corp</id><username>me</username><password>${env.PW}</password></server></servers>"
	profile := func(more string) string {
		return "<profiles><profile><id>corp</id>" + more + "<repositories><repository><id>libs</id><url>https://libs.example.com/m/</url></repository></repositories></profile></profiles>"
	}
	const basic = "Basic bWU6c2VjcmV0"
	for name, tt := range map[string]struct {
		user, global, ours string
		without            bool // an mvn
		want               string
	}{
		"mvn's own":                       {want: "central https://central.example.com/maven2"},
		"a mirror of all":                 {user: one("corp", "*", "https://m.example.com/x") + login, want: "corp https://m.example.com/x " + basic},
		"a mirror of all but one":         {user: one("corp", "*,!libs", "https://m.example.com/x") + profile("<activation><activeByDefault>true</activeByDefault></activation>"), want: "libs https://libs.example.com/m/, corp https://m.example.com/x"},
		"a mirror of one":                 {user: one("corp", "central", "https://m.example.com/x") + profile("") + "<activeProfiles><activeProfile>corp</activeProfile></activeProfiles>", want: "libs https://libs.example.com/m/, corp https://m.example.com/x"},
		"a mirror of external ones":       {user: one("corp", "external:*", "https://m.example.com/x"), want: "corp https://m.example.com/x"},
		"one of http alone does not fit":  {user: one("corp", "external:http:*", "https://m.example.com/x"), want: "central https://central.example.com/maven2"},
		"an inactive profile":             {user: profile(""), want: "central https://central.example.com/maven2"},
		"the user's mirror before mvn's":  {user: one("a", "*", "https://a.example.com"), global: one("b", "*", "https://b.example.com"), want: "a https://a.example.com"},
		"a mirror of the name before all": {user: one("a", "*", "https://a.example.com"), global: one("b", "central", "https://b.example.com"), want: "b https://b.example.com"},
		"the manifest's":                  {user: one("corp", "*", "https://m.example.com/x") + login, ours: "https://o.example.com/", want: "plugins.toml https://o.example.com/"},
		"the manifest's, known here":      {user: one("corp", "*", "https://m.example.com/x") + login, ours: "https://m.example.com/x/", want: "corp https://m.example.com/x/ " + basic},
		"without mvn, by a mirror":        {user: one("corp", "*", "https://m.example.com/x"), without: true, want: "corp https://m.example.com/x"},
		"a header":                        {user: one("corp", "*", "https://m.example.com/x") + "<servers><server><id>corp</id><configuration><httpHeaders><property><name>Authorization</name><value>Bearer x</value></property></httpHeaders></configuration></server></servers>", want: "corp https://m.example.com/x Bearer x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home, installed := t.TempDir(), ""
			if !tt.without {
				installed = installedMaven(t, tt.global)
			}
			if tt.user != "" {
				fake.Write(t, filepath.Join(home, ".m2", "settings.xml"), "<settings>"+tt.user+"</settings>")
			}
			c, err := readConfig(home, installed, func(name string) string { return map[string]string{"PW": "secret"}[name] })
			if err != nil {
				t.Fatal(err)
			}
			list, err := c.Repositories(tt.ours)
			var got []string
			for _, r := range list {
				got = append(got, strings.TrimSpace(r.ID+" "+r.URL+" "+r.Credential.Authorization))
			}
			if err != nil || strings.Join(got, ", ") != tt.want {
				t.Errorf("%v\n got %s\nwant %s", err, strings.Join(got, ", "), tt.want)
			}
		})
	}
}

// TestRepositoriesRefused: what cannot be used is refused, without its secrets.
func TestRepositoriesRefused(t *testing.T) {
	t.Parallel()
	mirror := func(more string) string {
		return "<settings><mirrors><mirror><id>corp</id><mirrorOf>*</mirrorOf>" + more + "</mirror></mirrors>%</settings>"
	}
	const good = "<url>https://m.example.com/x</url>"
	for name, tt := range map[string]struct {
		text  string
		class fault.Class
		want  []string
	}{
		"no settings":        {"", fault.Usage, []string{"there is no mvn"}},
		"blocked":            {mirror(good + "<blocked>true</blocked>"), fault.Policy, []string{"blocks", "corp"}},
		"in clear text":      {mirror("<url>http://m.example.com/x</url>"), fault.Policy, []string{"http://m.example.com"}},
		"a folder":           {mirror("<url>file:///srv/m2</url>"), fault.Machine, []string{"corp", "not the URL of a server"}},
		"a variable":         {mirror("<url>${env.NOT}/x</url>"), fault.Machine, []string{"${env.NOT}"}},
		"an encrypted login": {strings.Replace(mirror(good), "%", "<servers><server><id>corp</id><username>me</username><password>{COQLCE6DU6GtcS5P=}</password></server></servers>", 1), fault.Machine, []string{"server corp", "encrypted"}},
		"no XML":             {"<settings>", fault.Machine, []string{"settings.xml", "malformed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			if tt.text != "" {
				fake.Write(t, filepath.Join(home, ".m2", "settings.xml"), strings.Replace(tt.text, "%", "", 1))
			}
			c, err := readConfig(home, "", func(string) string { return "" })
			if err == nil {
				_, err = c.Repositories("")
			}
			fake.WantFault(t, err, tt.class, tt.want...)
			if err != nil && strings.Contains(err.Error(), "COQLCE6DU6GtcS5P") {
				t.Errorf("it tells the secret: %v", err)
			}
		})
	}
}

// TestOwnVariables: what mvn documents for its own runs, and what a project has for
// them, is not read and starts nothing: neither names a repository here.
func TestOwnVariables(t *testing.T) {
	project, home, mvn := t.TempDir(), t.TempDir(), t.TempDir()
	installed := installedMaven(t, "")
	canary := filepath.Join(project, "canary")
	trap := filepath.Join(mvn, "bin", "mvn")
	fake.Write(t, trap, "#!/bin/sh\ntouch "+canary+"\n")
	if err := os.Chmod(trap, 0o755); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(project, "other.xml")
	fake.Write(t, other, "<settings><mirrors><mirror><id>evil</id><mirrorOf>*</mirrorOf><url>https://evil.example.com/m</url></mirror></mirrors></settings>")
	for name, text := range map[string]string{
		".mvn/maven.config": "-s\n" + other + "\n-gs\n" + other + "\n", ".mvn/jvm.config": "-Duser.home=" + project, ".mvn/extensions.xml": "<extensions><extension><groupId>evil</groupId></extension></extensions>",
		".mvn/settings.xml": "<settings><mirrors>", ".mvn/maven-user.properties": "maven.user.settings=" + other + "\n", ".mvn/wrapper/maven-wrapper.properties": "distributionUrl=https://evil.example.com/x.zip\n",
		".m2/settings.xml": "<settings>", "settings.xml": "<settings>", ".mavenrc": "touch " + canary + "\n", "pom.xml": "<project><repositories><repository><id>evil</id><url>https://evil.example.com/</url></repository></repositories></project>",
	} {
		fake.Write(t, filepath.Join(project, name), text)
	}
	fake.Write(t, filepath.Join(home, ".mavenrc"), "touch "+canary+"\n")
	t.Chdir(project)
	for _, name := range []string{"MAVEN_ARGS", "MAVEN_OPTS", "MAVEN_DEBUG_OPTS", "MAVEN_PROJECTBASEDIR", "MAVEN_BASEDIR", "MAVEN_CONFIG", "MAVEN_USER_HOME", "MAVEN_SKIP_RC", "MAVEN_CMD_LINE_ARGS", "M2_HOME", "M2", "MVNW_REPOURL", "MVNW_USERNAME", "MVNW_PASSWORD"} {
		t.Setenv(name, project)
	}
	t.Setenv("MAVEN_ARGS", "-s "+other+" -gs "+other+" -Dmaven.repo.remote=https://evil.example.com/")
	t.Setenv("MAVEN_OPTS", "-Duser.home="+project+" -javaagent:"+trap)
	t.Setenv("JAVA_TOOL_OPTIONS", "-javaagent:"+trap)
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("MAVEN_HOME", installed)
	t.Setenv("PATH", t.TempDir())
	for range 2 {
		c, err := ReadConfig()
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Repositories("")
		if err != nil || len(list) != 1 || list[0].URL != "https://central.example.com/maven2" {
			t.Errorf("%+v, %v", list, err)
		}
		// With an mvn on PATH, which is found and not run.
		fake.Write(t, filepath.Join(installed, "bin", "mvn"), "#!/bin/sh\ntouch "+canary+"\n")
		if err := os.Chmod(filepath.Join(installed, "bin", "mvn"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("MAVEN_HOME", project)
		t.Setenv("PATH", filepath.Join(installed, "bin"))
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("something was run")
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	fake.Write(t, filepath.Join(home, ".m2", "settings.xml"), "<settings><proxies><proxy><active>false</active><host>off.example.com</host></proxy>"+
		"<proxy><host>p.example.com</host><port>3128</port><username>me</username><password>pw</password><nonProxyHosts>*.corp.example.com|localhost</nonProxyHosts></proxy></proxies></settings>")
	c, err := readConfig(home, "", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	o := c.Options(remote.Options{})
	for address, want := range map[string]string{"https://a.example.com/": "http://me:pw@p.example.com:3128", "https://m.corp.example.com/": "", "https://localhost/": ""} {
		u, _ := url.Parse(address)
		got := ""
		if p, err := o.Proxy(u); err != nil {
			t.Error(err)
		} else if p != nil {
			got = p.String()
		}
		if got != want {
			t.Errorf("%s goes by %q, want %q", address, got, want)
		}
	}
}
