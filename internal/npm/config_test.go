package npm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// npmHome is a user of npm with these files, below a folder that it returns,
// where ~ is the home and the project is in "work".
func npmHome(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	cleanNPMEnv(t, root)
	os.Unsetenv("npm_config_userconfig")
	os.Unsetenv("npm_config_globalconfig")
	t.Setenv("npm_config_globalconfig", filepath.Join(root, "etc", "npmrc"))
	for name, text := range files {
		fake.Write(t, filepath.Join(root, name), strings.ReplaceAll(text, "ROOT", root))
	}
	if err := os.MkdirAll(filepath.Join(root, "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	return root
}

func readNPMConfig(t *testing.T, dir string) *Config {
	t.Helper()
	c, err := ReadConfig(t.Context(), dir, User, func(context.Context) (*Client, error) {
		return nil, fault.Errorf(fault.Machine, "", "nobody to ask")
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNPMConfigSources: each place where a registry may be written, and which
// of two counts. With BUCK2_PROTOBUF_TEST=full the real npm must say the same.
func TestNPMConfigSources(t *testing.T) {
	reg := func(s string) string { return "registry=https://" + s + ".example.com/\n" }
	for name, tt := range map[string]struct {
		files map[string]string
		env   map[string]string
		dir   string // below the root, default "work"
		want  string // host of the registry; "" for none
		scope string
	}{
		"user":                        {files: map[string]string{".npmrc": reg("user")}, want: "user"},
		"global":                      {files: map[string]string{"etc/npmrc": reg("global")}, want: "global"},
		"user before global":          {files: map[string]string{".npmrc": reg("user"), "etc/npmrc": reg("global")}, want: "user"},
		"project without a manifest":  {files: map[string]string{"work/.npmrc": reg("project"), ".npmrc": reg("user")}, want: "project"},
		"project":                     {files: map[string]string{"work/.npmrc": reg("project"), "work/package.json": "{}", ".npmrc": reg("user")}, want: "project"},
		"below the project":           {files: map[string]string{"work/.npmrc": reg("project"), "work/package.json": "{}", "work/a/b/x": ""}, dir: "work/a/b", want: "project"},
		"node_modules makes one":      {files: map[string]string{"work/.npmrc": reg("project"), "work/node_modules/x": "", "work/a/.npmrc": reg("below")}, dir: "work/a", want: "project"},
		"not of a folder in it":       {files: map[string]string{"work/.npmrc": reg("project"), "work/package.json": "{}", "work/a/.npmrc": reg("below")}, dir: "work/a", want: "project"},
		"workspace":                   {files: map[string]string{"work/.npmrc": reg("root"), "work/package.json": `{"workspaces":["packages/*"]}`, "work/packages/a/package.json": "{}", "work/packages/a/.npmrc": reg("member")}, dir: "work/packages/a", want: "root"},
		"workspace, an object":        {files: map[string]string{"work/.npmrc": reg("root"), "work/package.json": `{"workspaces":{"packages":["./packages/**/"]}}`, "work/packages/x/a/package.json": "{}"}, dir: "work/packages/x/a", want: "root"},
		"workspace, one of two":       {files: map[string]string{"work/.npmrc": reg("root"), "work/package.json": `{"workspaces":["{a,b}"]}`, "work/b/package.json": "{}"}, dir: "work/b", want: "root"},
		"no workspace of it":          {files: map[string]string{"work/.npmrc": reg("root"), "work/package.json": `{"workspaces":["packages/*","!packages/a"]}`, "work/packages/a/package.json": "{}", "work/packages/a/.npmrc": reg("member")}, dir: "work/packages/a", want: "member"},
		"variable":                    {files: map[string]string{"work/.npmrc": reg("project")}, env: map[string]string{"npm_config_registry": "https://env.example.com/"}, want: "env"},
		"variable in capitals":        {env: map[string]string{"NPM_CONFIG_REGISTRY": "https://env.example.com/"}, want: "env"},
		"variable in any case":        {env: map[string]string{"Npm_Config_Registry": "https://env.example.com/"}, want: "env"},
		"empty variable":              {files: map[string]string{".npmrc": reg("user")}, env: map[string]string{"npm_config_registry": ""}, want: "user"},
		"scope":                       {files: map[string]string{".npmrc": "@acme:" + reg("acme") + reg("user")}, scope: "@acme", want: "acme"},
		"another scope":               {files: map[string]string{".npmrc": "@acme:" + reg("acme") + reg("user")}, scope: "@other", want: "user"},
		"scope of a variable":         {files: map[string]string{".npmrc": "@acme:" + reg("acme")}, env: map[string]string{"npm_config_@acme:registry": "https://env.example.com/"}, scope: "@acme", want: "env"},
		"user config elsewhere":       {files: map[string]string{".npmrc": reg("user"), "other/rc": reg("other")}, env: map[string]string{"NPM_CONFIG_USERCONFIG": "ROOT/other/rc"}, want: "other"},
		"user config named at home":   {files: map[string]string{".npmrc": reg("user"), "other/rc": reg("other")}, env: map[string]string{"npm_config_userconfig": "~/other/rc"}, want: "other"},
		"user config by the project":  {files: map[string]string{".npmrc": reg("user"), "other/rc": reg("other"), "work/.npmrc": "userconfig=ROOT/other/rc\n"}, want: "other"},
		"global config elsewhere":     {files: map[string]string{"other/rc": reg("other")}, env: map[string]string{"npm_config_globalconfig": "ROOT/other/rc"}, want: "other"},
		"global config by the prefix": {files: map[string]string{"p/etc/npmrc": reg("prefix"), ".npmrc": "prefix=ROOT/p\n"}, env: map[string]string{"npm_config_globalconfig": ""}, want: "prefix"},
		"no project if global":        {files: map[string]string{"work/.npmrc": reg("project"), ".npmrc": reg("user")}, env: map[string]string{"npm_config_global": "true"}, want: "user"},
		"no project if at global":     {files: map[string]string{"work/.npmrc": reg("project"), ".npmrc": reg("user")}, env: map[string]string{"npm_config_location": "global"}, want: "user"},
		"from a variable":             {files: map[string]string{".npmrc": "registry=https://${WHERE}.example.com/\n"}, env: map[string]string{"WHERE": "there"}, want: "there"},
		"key from a variable":         {files: map[string]string{".npmrc": "${SCOPE}:" + reg("acme")}, env: map[string]string{"SCOPE": "@acme"}, scope: "@acme", want: "acme"},
		"from none":                   {files: map[string]string{".npmrc": "registry=https://r${NONE_SUCH?}.example.com/\n"}, want: "r"},
		"in quotes":                   {files: map[string]string{".npmrc": `registry = "https://quoted.example.com/"` + "\n"}, want: "quoted"},
		"in single quotes":            {files: map[string]string{".npmrc": "registry='https://quoted.example.com/'\n"}, want: "quoted"},
		"with a comment":              {files: map[string]string{".npmrc": "; registry=https://no.example.com/\n# x\nregistry=https://r.example.com/ ; why\n"}, want: "r"},
		"lines of Windows":            {files: map[string]string{".npmrc": "\uFEFFregistry=https://r.example.com/\r\nx=1\r\n"}, want: "r"},
		"the last of two":             {files: map[string]string{".npmrc": reg("one") + reg("two")}, want: "two"},
		"in a section":                {files: map[string]string{".npmrc": "[x]\n" + reg("no"), "etc/npmrc": reg("global")}, want: "global"},
		"home without a file":         {files: map[string]string{"work/package.json": `{"devEngines":{"packageManager":{"name":"pnpm"}}}`, "etc/npmrc": reg("global")}, want: "global"},
		"nothing":                     {},
	} {
		t.Run(name, func(t *testing.T) {
			root := npmHome(t, tt.files)
			for key, value := range tt.env {
				t.Setenv(key, strings.ReplaceAll(value, "ROOT", root))
			}
			dir := filepath.Join(root, "work")
			if tt.dir != "" {
				dir = filepath.Join(root, tt.dir)
			}
			want := "https://" + tt.want + ".example.com/"
			got, err := readNPMConfig(t, dir).Registry(t.Context(), tt.scope)
			if name == "nothing" || tt.want == "" {
				if n, e := User(t.Context()); e == nil && n != nil {
					if err != nil || !strings.HasPrefix(got, "https://") {
						t.Errorf("npm's own: %s, %v", got, err)
					}
				}
				return
			}
			if err != nil || got != want {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
			if !testenv.Full() {
				return
			}
			n := realNPM(t)
			key := "registry"
			if tt.scope != "" && tt.want != "user" {
				key = tt.scope + ":registry"
			}
			cmd := exec.Command(n.node, n.cli, "config", "get", key)
			cmd.Dir = dir
			out, err := cmd.Output()
			if err != nil { // it is too strict with a workspace, or with devEngines
				t.Logf("npm itself says nothing: %v", err)
			} else if said := strings.TrimSpace(string(out)); said != want {
				t.Errorf("npm itself says %s; want %s", said, want)
			}
		})
	}
}

// TestParseNPMRC: the INI format of npm, with the values that npm's own parser gives.
func TestParseNPMRC(t *testing.T) {
	for text, want := range map[string]string{
		"a=1\nb = 2 \n":               `{"a":"1","b":"2"}`,
		"a\nb=\n":                     `{"a":true,"b":""}`,
		"a=true\nb=false\nc=null":     `{"a":true,"b":false,"c":null}`,
		"a[]=1\na[]=2\n":              `{"a":["1","2"]}`,
		"a=1\na[]=2\n":                `{"a":["1","2"]}`,
		"a[]=1\na=2\n":                `{"a":["1","2"]}`,
		"a=x;y\nb=x\\;y\nc=x\\ny":     `{"a":"x","b":"x;y","c":"x\\ny"}`,
		"a=\"x;\\ny\"\nb='x;y'":       `{"a":"x;\ny","b":"x;y"}`,
		"a=\"x\nb='\nc=\"":            `{"a":"\"x","b":"","c":"\""}`,
		"  ;x\n#y\n\n =1\n=2\n a = 1": `{"":"1","a":"1"}`,
		"a=1\n[s]\na=2\n[t]\nb=1":     `{"a":"1"}`,
		"[x=1\n":                      `{"[x":"1"}`,
		"a=x=y":                       `{"a":"x=y"}`,
		"//h/:_authToken=a\\":         `{"//h/:_authToken":"a\\"}`,
		"a='1'\nb=\"true\"":           `{"a":"1","b":true}`,
	} {
		got, err := json.Marshal(parseNPMRC(text))
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	r := newNPMReader(".", []string{"A=1", "B=", "C=${A}"})
	for text, want := range map[string]string{
		"x${A}y": "x1y", "${B}": "", "${C}": "${A}", "${NO}": "${NO}", "${NO?}": "", "${A?}": "1", `\${A}`: "${A}", `\\${A}`: `\1`, `\\\${A}`: `\${A}`,
		"${A": "${A", "${}": "${}", "$A": "$A", "${A}${A}": "11", `\x`: `\x`, "${${A}}": "${1}", "${A??}": "${A??}",
	} {
		if got, _ := r.expand(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestNPMCredentials: what goes to which URL.
func TestNPMCredentials(t *testing.T) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	root := npmHome(t, map[string]string{".npmrc": "registry=https://r.example.com/npm/\n@acme:registry=https://acme.example.com/a/b/\n" +
		"//r.example.com/npm/:_authToken=r-token\n//r.example.com/npm/deep/:_authToken=deep-token\n" +
		"//acme.example.com/a/:_auth=" + base64.StdEncoding.EncodeToString([]byte("me:secret")) + "\n" +
		"//port.example.com:8443/:_authToken=port-token\n//bare.example.com:_authToken=bare-token\n" +
		"//user.example.com/:username=me\n//user.example.com/:_password=" + base64.StdEncoding.EncodeToString([]byte("p:w")) + "\n" +
		"//both.example.com/:_auth=aaaa\n//both.example.com/:_authToken=token\n//half.example.com/:username=me\n" +
		"//junk.example.com/:username=me\n//junk.example.com/:_password=%%%\n//var.example.com/:_authToken=${SOME_TOKEN}\n//none.example.com/:_authToken=${NO_SUCH_TOKEN}\n" +
		"  //space.example.com/:_authToken = \"quoted-token\" \n//CAPS.example.com/:_authToken=caps-token\n//[::1]:4873/:_authToken=six-token\n//127.0.0.1:4873/:_authToken=four-token\n" +
		"//slash.example.com/npm:_authToken=slash-token\n//old.example.com/:always-auth=true\n//old.example.com/:email=me@example.com\n//old.example.com/:_authToken=old-token\n" +
		"//helper.example.com/:tokenHelper=/nonexistent/helper\n//dollar.example.com/:_authToken=a$b\n//twice.example.com/:_authToken=one\n//twice.example.com/:_authToken=two\n" +
		"//empty.example.com/:_authToken=\n//empty.example.com/:_auth=bWU6c2VjcmV0\n//enc.example.com/a%20b/:_authToken=enc-token\n"})
	t.Setenv("SOME_TOKEN", "from-variable")
	t.Setenv("npm_config_//env.example.com/:_authToken", "env-token")
	c := readNPMConfig(t, filepath.Join(root, "work"))
	tried, held := 0, 0
	for _, tt := range []struct{ url, registry, want string }{
		{"https://r.example.com/npm/x", "", "Bearer r-token"},
		{"https://r.example.com:443/npm/x", "", "Bearer r-token"},
		{"https://R.example.com/npm/@s%2fx", "", "Bearer r-token"},
		{"https://r.example.com/npm/deep/x.tgz", "", "Bearer deep-token"},
		{"https://r.example.com/npm/deeper/x.tgz", "", "Bearer r-token"},
		{"https://r.example.com/npm", "", ""},
		{"https://r.example.com/npmx/y", "", ""},
		{"https://r.example.com/files/x.tgz", "", ""},
		{"https://r.example.com/files/x.tgz", "https://r.example.com/npm/", "Bearer r-token"},
		{"http://r.example.com/files/x.tgz", "https://r.example.com/npm/", ""},
		{"https://r.example.com:8443/npm/x", "https://r.example.com/npm/", ""},
		{"https://r.example.com.evil.example/npm/x", "https://r.example.com/npm/", ""},
		{"https://evil.example/r.example.com/npm/x", "https://r.example.com/npm/", ""},
		{"https://cdn.example.com/x.tgz", "https://r.example.com/npm/", ""},
		{"https://r.example.com/npm/../other/x", "", ""},
		{"https://r.example.com/npm/%2e%2e/other/x", "", ""},
		{"https://acme.example.com/a/b/x", "", basic("me:secret")},
		{"https://acme.example.com/z", "https://acme.example.com/a/b/", basic("me:secret")},
		{"https://port.example.com:8443/x", "", "Bearer port-token"},
		{"https://port.example.com/x", "", ""},
		{"https://bare.example.com/x", "", "Bearer bare-token"},
		{"https://user.example.com/x", "", basic("me:p:w")},
		{"https://both.example.com/x", "", "Bearer token"},
		{"https://half.example.com/x", "", ""},
		{"https://junk.example.com/x", "", ""},
		{"https://var.example.com/x", "", "Bearer from-variable"},
		{"https://env.example.com/x", "", "Bearer env-token"},
		{"https://space.example.com/x", "", "Bearer quoted-token"},
		{"https://caps.example.com/x", "", ""}, // npm looks for what new URL says, in small letters
		{"http://[::1]:4873/x", "", "Bearer six-token"},
		{"http://127.0.0.1:4873/@a%2fx/-/x.tgz", "", "Bearer four-token"},
		{"http://127.0.0.1:48730/x", "", ""},
		{"https://slash.example.com/npm/x", "", "Bearer slash-token"},
		{"https://old.example.com/x", "", "Bearer old-token"},
		{"https://helper.example.com/x", "", ""},
		{"https://dollar.example.com/x", "", "Bearer a$b"},
		{"https://twice.example.com/x", "", "Bearer two"},
		{"https://empty.example.com/x", "", basic("me:secret")},
		{"https://enc.example.com/a%20b/x", "", "Bearer enc-token"},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Credential(u, tt.registry)
		if tried++; got.Authorization != tt.want {
			t.Errorf("%s of %q: %q, want %q", tt.url, tt.registry, got.Authorization, tt.want)
		} else {
			held++
		}
		for _, secret := range []string{"token=", "secret", "r-token"} {
			if strings.Contains(got.Name, secret) {
				t.Errorf("%s names a secret: %s", tt.url, got.Name)
			}
		}
	}
	testenv.Held(t, "an address, and the credentials of .npmrc: it is sent the one that npm sends there, or none", "", tried, held)
	u, _ := url.Parse("https://none.example.com/x")
	if got := c.Credential(u, ""); !strings.Contains(got.Name, "NO_SUCH_TOKEN is not set") {
		t.Errorf("a variable that is not set: %+v", got)
	}
	if c := c.CredentialFor("https://me:pw@r.example.com/npm/x", ""); c.Authorization != "" {
		t.Errorf("a URL with a user: %+v", c)
	}

	fake.Write(t, filepath.Join(root, ".npmrc"), "_authToken=x\n")
	_, err := ReadConfig(t.Context(), root, User, nil)
	fake.WantFault(t, err, fault.Machine, "_authToken without a registry")
	if hint := fault.Hint(err); hint != "run: npm config fix" {
		t.Errorf("hint %q", hint)
	}
}

func TestNPMRegistry(t *testing.T) {
	root := npmHome(t, map[string]string{".npmrc": "registry=https://r.example.com/\n@acme:registry=https://acme.example.com/\n@in:registry=https://me:pw@in.example.com/\n" +
		"@bad:registry=ftp://x.example.com/\n@worse:registry=https://me:SECRET@\n@flag:registry\n"})
	c := readNPMConfig(t, filepath.Join(root, "work"))
	got, err := c.Registries(t.Context(), "@acme", "@other")
	if want := map[string]string{"": "https://r.example.com/", "@acme": "https://acme.example.com/", "@other": "https://r.example.com/"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, tt := range []struct{ name, ours, want string }{
		{"x", "", "https://r.example.com/"}, {"x", "https://ours.example.com/", "https://ours.example.com/"}, {"@acme/x", "https://ours.example.com/", "https://acme.example.com/"},
		{"@other/x", "https://ours.example.com/", "https://ours.example.com/"}, {"@in/x", "", "https://me:pw@in.example.com/"},
	} {
		if got, err := c.RegistryOf(t.Context(), tt.name, tt.ours); err != nil || got != tt.want {
			t.Errorf("%+v: %s, %v", tt, got, err)
		}
	}
	for _, scope := range []string{"@bad", "@worse", "@flag"} {
		_, err := c.Registry(t.Context(), scope)
		fake.WantFault(t, err, fault.Machine, `no valid registry for "`+scope+`"`)
		if strings.Contains(err.Error(), "SECRET") || !strings.Contains(fault.Hint(err), "[registries] npm") {
			t.Errorf("%v; hint %s", err, fault.Hint(err))
		}
	}
	if _, err := c.Registry(t.Context(), "acme"); err == nil {
		t.Error("a scope without @ is taken")
	}
}

func TestWithoutUser(t *testing.T) {
	for in, want := range map[string]string{
		"https://me:pass@example.com/x@y": "https://example.com/x@y", "https://example.com": "https://example.com", "https://a@b@example.com/": "https://example.com/",
	} {
		if got := withoutUser(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestNPMProxy(t *testing.T) {
	for name, tt := range map[string]struct {
		rc, url, want string
		env           map[string]string
	}{
		"none":                  {"", "https://r.example.com/", "", nil},
		"https-proxy":           {"https-proxy=http://p.example.com:1\nproxy=http://q.example.com:2\n", "https://r.example.com/", "http://p.example.com:1", nil},
		"proxy":                 {"proxy=http://q.example.com:2\n", "https://r.example.com/", "http://q.example.com:2", nil},
		"before the variable":   {"proxy=http://q.example.com:2\n", "https://r.example.com/", "http://q.example.com:2", map[string]string{"HTTPS_PROXY": "http://v.example.com:3"}},
		"the variable":          {"proxy=null\n", "https://r.example.com/", "http://v.example.com:3", map[string]string{"HTTPS_PROXY": "http://v.example.com:3"}},
		"false":                 {"proxy=false\n", "https://r.example.com/", "", nil},
		"variable of npm":       {"", "https://r.example.com/", "http://n.example.com:4", map[string]string{"NPM_CONFIG_PROXY": "http://n.example.com:4"}},
		"noproxy":               {"proxy=http://q.example.com:2\nnoproxy=other.example.com, example.com\n", "https://r.example.com/", "", nil},
		"noproxy of a domain":   {"proxy=http://q.example.com:2\nnoproxy=.example.com\n", "https://r.example.com/", "", nil},
		"noproxy, a list":       {"proxy=http://q.example.com:2\nnoproxy[]=a.example.com\nnoproxy[]=r.example.com\n", "https://r.example.com/", "", nil},
		"noproxy of another":    {"proxy=http://q.example.com:2\nnoproxy=xample.com,r.example.com.evil.example\n", "https://r.example.com/", "http://q.example.com:2", nil},
		"noproxy of a variable": {"proxy=http://q.example.com:2\n", "https://r.example.com/", "", map[string]string{"npm_config_noproxy": "r.example.com"}},
		"loopback as well":      {"proxy=http://q.example.com:2\n", "https://127.0.0.1:9/", "http://q.example.com:2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
				t.Setenv(name, "")
			}
			root := npmHome(t, map[string]string{".npmrc": tt.rc})
			for key, value := range tt.env {
				t.Setenv(key, value)
			}
			o, err := readNPMConfig(t, root).Options(remote.Options{})
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(tt.url)
			p, err := o.Proxy(u)
			got := ""
			if p != nil {
				got = p.String()
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// TestNPMAuthorities: the registry is believed with cafile, ca or
// NODE_EXTRA_CA_CERTS, and not without.
func TestNPMAuthorities(t *testing.T) {
	s := fake.NewTLS(t)
	s.Package(fake.Package{Name: "x", Version: "1.0.0"})
	pem := s.CertificatePEM()
	line := strings.ReplaceAll(pem, "\n", `\n`)
	for name, tt := range map[string]struct {
		rc  string
		env map[string]string
		ok  bool
	}{
		"nothing":             {"", nil, false},
		"cafile":              {"cafile=ROOT/ca.pem\n", nil, true},
		"cafile at home":      {"cafile=~/ca.pem\n", nil, true},
		"cafile of a folder":  {"cafile=../ca.pem\n", nil, true},
		"ca":                  {"ca=\"" + line + "\"\n", nil, true},
		"ca, a list":          {"ca[]=\"" + line + "\"\nca[]=\"" + line + "\"\n", nil, true},
		"variable of npm":     {"", map[string]string{"npm_config_cafile": "ROOT/ca.pem"}, true},
		"ca by a variable":    {"", map[string]string{"npm_config_ca": pem}, true},
		"NODE_EXTRA_CA_CERTS": {"", map[string]string{"NODE_EXTRA_CA_CERTS": "ROOT/ca.pem"}, true},
		"no verification":     {"strict-ssl=false\n", map[string]string{"NODE_TLS_REJECT_UNAUTHORIZED": "0"}, false},
		"null":                {"cafile=null\nca=null\n", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NODE_EXTRA_CA_CERTS", "")
			root := npmHome(t, map[string]string{".npmrc": tt.rc, "ca.pem": pem})
			for key, value := range tt.env {
				t.Setenv(key, strings.ReplaceAll(value, "ROOT", root))
			}
			o, err := readNPMConfig(t, filepath.Join(root, "work")).Options(remote.Options{Attempts: 1})
			if err != nil {
				t.Fatal(err)
			}
			_, err = remote.New(o).NPMDocument(t.Context(), s.URL+"/", "x", false)
			if (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
		})
	}
	for rc, says := range map[string]string{"cafile=ROOT/.npmrc\n": "has no certificate", "ca=junk\n": "ca of npm's configuration"} {
		root := npmHome(t, map[string]string{".npmrc": rc})
		_, err := readNPMConfig(t, root).Options(remote.Options{})
		fake.WantFault(t, err, fault.Machine, says)
	}
}

// TestNPMClientCertificate: it is shown to the registry that it is for, and to
// nobody else, not where a redirect leads either.
func TestNPMClientCertificate(t *testing.T) {
	mine, other := fake.NewTLS(t), fake.NewTLS(t)
	for _, s := range []*fake.Server{mine, other} {
		s.Package(fake.Package{Name: "x", Version: "1.0.0"})
	}
	mine.Fault("/away", fake.Redirect(302, other.URL+"/x"))
	certified := func(s *fake.Server) (all []bool) {
		for _, r := range s.Requests("") {
			all = append(all, r.Certified)
		}
		return all
	}
	cert, key := fake.ClientCertificate()
	host := strings.TrimPrefix(mine.URL, "https:")
	root := npmHome(t, map[string]string{"ca.pem": mine.CertificatePEM(), "c.pem": cert, "k.pem": key,
		".npmrc": "cafile=ROOT/ca.pem\nregistry=" + mine.URL + "/\n" + host + "/:certfile=ROOT/c.pem\n" + host + "/:keyfile=ROOT/k.pem\n"})
	o, err := readNPMConfig(t, root).Options(remote.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := remote.New(o)
	for _, url := range []string{mine.URL + "/", other.URL + "/"} {
		if _, err := c.NPMDocument(t.Context(), url, "x", false); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Document(t.Context(), mine.URL+"/away", "application/json", 1<<20); err != nil {
		t.Fatal(err)
	}
	if got, want := certified(mine), []bool{true, true}; !slices.Equal(got, want) {
		t.Errorf("shown to its registry: %v, want %v", got, want)
	}
	if got, want := certified(other), []bool{false, false}; !slices.Equal(got, want) {
		t.Errorf("shown to another: %v, want %v", got, want)
	}
	// Without a folder of its own: cert and key, for the registry's host.
	line := func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }
	fake.Write(t, filepath.Join(root, ".npmrc"), fmt.Sprintf("cafile=%s/ca.pem\nregistry=%s/\ncert=\"%s\"\nkey=\"%s\"\n", root, mine.URL, line(cert), line(key)))
	if o, err = readNPMConfig(t, root).Options(remote.Options{Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{mine.URL + "/", other.URL + "/"} {
		if _, err := remote.New(o).NPMDocument(t.Context(), url, "x", false); err != nil {
			t.Fatal(err)
		}
	}
	if m, n := certified(mine), certified(other); !m[len(m)-1] || n[len(n)-1] {
		t.Errorf("cert and key: %v, %v", m, n)
	}
}
