package maven

import (
	"archive/zip"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Repository is a Maven repository.
type Repository struct {
	ID         string
	URL        string // may contain credentials: redact it before printing it
	Credential remote.Credential
}

// A Config has the repositories that the user's mvn is configured with. No
// program is run to read it.
type Config struct {
	repositories []Repository // as declared, without mirrors
	mirrors      []mirror
	servers      []server
	proxies      []proxy
}

// settings are a settings.xml (https://maven.apache.org/settings.html).
type settings struct {
	XMLName  xml.Name          `xml:"settings"`
	Mirrors  []mirror          `xml:"mirrors>mirror"`
	Servers  []server          `xml:"servers>server"`
	Proxies  []proxy           `xml:"proxies>proxy"`
	Profiles []settingsProfile `xml:"profiles>profile"`
	Active   []string          `xml:"activeProfiles>activeProfile"`
}

type mirror struct {
	ID      string `xml:"id"`
	URL     string `xml:"url"`
	Of      string `xml:"mirrorOf"`
	Blocked string `xml:"blocked"`
}

type server struct {
	ID       string `xml:"id"`
	Username string `xml:"username"`
	Password string `xml:"password"`
	Headers  []struct {
		Name  string `xml:"name"`
		Value string `xml:"value"`
	} `xml:"configuration>httpHeaders>property"`
}

type proxy struct {
	Active   string `xml:"active"`
	Host     string `xml:"host"`
	Port     string `xml:"port"`
	Username string `xml:"username"`
	Password string `xml:"password"`
	Direct   string `xml:"nonProxyHosts"`
}

type settingsProfile struct {
	ID           string             `xml:"id"`
	Activation   activation         `xml:"activation"`
	Repositories []repositoryOfPOMs `xml:"repositories>repository"`
}

type repositoryOfPOMs struct {
	ID       string `xml:"id"`
	URL      string `xml:"url"`
	Releases struct {
		Enabled string `xml:"enabled"`
	} `xml:"releases"`
}

const settingsHint = "correct settings.xml of mvn, or set in plugins.toml below [registries]: maven = \"https://…\""

// ReadConfig reads the configuration of mvn: the user's ~/.m2/settings.xml,
// that of the mvn on PATH, and the built-in repository of that mvn. Errors are
// of class [fault.Machine] and name the file.
func ReadConfig() (*Config, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	return readConfig(home, mavenHome(), os.Getenv)
}

// mavenHome returns the folder of the mvn on PATH, or else MAVEN_HOME, or "".
func mavenHome() string {
	if name, err := exec.LookPath("mvn"); err == nil {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			dir := filepath.Dir(filepath.Dir(real))
			if _, err := os.Stat(filepath.Join(dir, "lib")); err == nil {
				return dir
			}
		}
	}
	return os.Getenv("MAVEN_HOME")
}

func readConfig(home, installed string, env func(string) string) (*Config, error) {
	c := &Config{}
	var files []string
	if home != "" {
		files = append(files, filepath.Join(home, ".m2", "settings.xml"))
	}
	if installed != "" {
		files = append(files, filepath.Join(installed, "conf", "settings.xml"))
	}
	for _, name := range files { // the user's first, which takes precedence
		s, err := readSettings(name, func(s string) string { return expand(s, home, env) })
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		for _, m := range s.Mirrors {
			if !slices.ContainsFunc(c.mirrors, func(o mirror) bool { return o.ID == m.ID }) {
				c.mirrors = append(c.mirrors, m)
			}
		}
		for _, x := range s.Servers {
			if !slices.ContainsFunc(c.servers, func(o server) bool { return o.ID == x.ID }) {
				c.servers = append(c.servers, x)
			}
		}
		c.proxies = append(c.proxies, s.Proxies...)
		c.add(s.repositories())
	}
	own, err := builtin(installed)
	if err != nil {
		return nil, err
	}
	c.add(own)
	// Without an mvn, only the name of its built-in repository is known; a
	// mirror may replace it.
	if !slices.ContainsFunc(c.repositories, func(r Repository) bool { return r.ID == central }) {
		c.repositories = append(c.repositories, Repository{ID: central})
	}
	return c, nil
}

// central is mvn's name for its built-in repository.
const central = "central"

func (c *Config) add(list []Repository) {
	for _, r := range list {
		if !slices.ContainsFunc(c.repositories, func(o Repository) bool { return o.ID == r.ID }) {
			c.repositories = append(c.repositories, r)
		}
	}
}

// readSettings reads one file; it returns nil if the file does not exist.
func readSettings(name string, expand func(string) string) (*settings, error) {
	data, err := input.File(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Errorf(fault.Machine, "make it readable", "settings of mvn: %w", err)
	}
	s := &settings{}
	if err := decode(data, s); err != nil {
		return nil, fault.Errorf(fault.Machine, "correct it; to see how mvn reads it, run: mvn help:effective-settings", "settings of mvn, %s: %w", name, err)
	}
	for _, list := range s.texts() {
		*list = expand(text(*list))
	}
	return s, nil
}

// texts returns all values that may contain variables.
func (s *settings) texts() (list []*string) {
	for i := range s.Mirrors {
		m := &s.Mirrors[i]
		list = append(list, &m.ID, &m.URL, &m.Of, &m.Blocked)
	}
	for i := range s.Servers {
		x := &s.Servers[i]
		list = append(list, &x.ID, &x.Username, &x.Password)
		for i := range x.Headers {
			list = append(list, &x.Headers[i].Name, &x.Headers[i].Value)
		}
	}
	for i := range s.Proxies {
		x := &s.Proxies[i]
		list = append(list, &x.Active, &x.Host, &x.Port, &x.Username, &x.Password, &x.Direct)
	}
	for i := range s.Profiles {
		p := &s.Profiles[i]
		list = append(list, &p.ID, &p.Activation.Default)
		for i := range p.Repositories {
			r := &p.Repositories[i]
			list = append(list, &r.ID, &r.URL, &r.Releases.Enabled)
		}
	}
	for i := range s.Active {
		list = append(list, &s.Active[i])
	}
	return list
}

// expand replaces ${env.NAME} and ${user.home}; unknown variables stay.
func expand(s, home string, env func(string) string) string {
	return expression().ReplaceAllStringFunc(s, func(x string) string {
		name := x[2 : len(x)-1]
		if variable, ok := strings.CutPrefix(name, "env."); ok && env(variable) != "" {
			return env(variable)
		}
		if name == "user.home" && home != "" {
			return home
		}
		return x
	})
}

// repositories returns those of the active profiles.
func (s *settings) repositories() (list []Repository) {
	active := func(p settingsProfile) bool { return slices.Contains(s.Active, p.ID) }
	if !slices.ContainsFunc(s.Profiles, active) {
		active = func(p settingsProfile) bool { return p.Activation.Default == "true" }
	}
	for _, p := range s.Profiles {
		for _, r := range p.Repositories {
			if active(p) && r.Releases.Enabled != "false" {
				list = append(list, Repository{ID: r.ID, URL: r.URL})
			}
		}
	}
	return list
}

// superPOM is the path, in mvn's libraries, of the POM that all others inherit.
const superPOM = "org/apache/maven/model/pom-4.0.0.xml"

// builtin returns the repositories that are built into an mvn.
func builtin(installed string) ([]Repository, error) {
	if installed == "" {
		return nil, nil
	}
	libraries, err := filepath.Glob(filepath.Join(installed, "lib", "*.jar"))
	if err != nil {
		return nil, err
	}
	// The model is in maven-model-builder, or in another library since version
	// 4.
	slices.SortStableFunc(libraries, func(a, b string) int {
		is := func(name string) int {
			if strings.Contains(filepath.Base(name), "model-builder") {
				return 0
			}
			return 1
		}
		return is(a) - is(b)
	})
	for _, name := range libraries {
		if data := inJar(name, superPOM); data != nil {
			var p struct {
				Repositories []repositoryOfPOMs `xml:"repositories>repository"`
			}
			if err := decode(data, &p); err != nil {
				return nil, fault.Errorf(fault.Machine, "install mvn again", "%s in %s: %w", superPOM, name, err)
			}
			var list []Repository
			for _, r := range p.Repositories {
				list = append(list, Repository{ID: text(r.ID), URL: text(r.URL)})
			}
			return list, nil
		}
	}
	return nil, nil
}

// inJar returns a small file from a local jar, or nil if it is not there.
func inJar(name, file string) []byte {
	r, err := zip.OpenReader(name)
	if err != nil {
		return nil
	}
	defer r.Close()
	f, err := r.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil
	}
	return data
}

// Repositories returns the repositories to ask, in order. Ours, from
// plugins.toml, replaces all of them unless it is ""; it gets the credential of
// the server in settings.xml with the same URL. Errors are of class
// [fault.Machine], or [fault.Policy] for http. They do not contain credentials.
func (c *Config) Repositories(ours string) ([]Repository, error) {
	if ours != "" {
		r := Repository{ID: "plugins.toml", URL: ours}
		for _, m := range c.mirrors { // which servers have the same URL
			if strings.TrimSuffix(m.URL, "/") == strings.TrimSuffix(ours, "/") {
				r.ID = m.ID
			}
		}
		for _, known := range c.repositories {
			if strings.TrimSuffix(known.URL, "/") == strings.TrimSuffix(ours, "/") {
				r.ID = known.ID
			}
		}
		r, err := c.with(r)
		return []Repository{r}, err
	}
	var list []Repository
	for _, r := range c.repositories {
		if m := c.mirrorOf(r); m != nil {
			if m.Blocked == "true" {
				return nil, fault.Errorf(fault.Policy, settingsHint, "settings.xml of mvn blocks the repository %s (mirror %s)", r.ID, m.ID)
			}
			r = Repository{ID: m.ID, URL: m.URL}
		}
		if r.URL == "" {
			continue
		}
		if slices.ContainsFunc(list, func(o Repository) bool { return o.URL == r.URL }) {
			continue
		}
		r, err := c.with(r)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		return nil, fault.Errorf(fault.Usage, `set in plugins.toml below [registries]: maven = "https://…", the URL of a Maven repository; or install mvn`,
			"no Maven repository is configured: there is no mvn, and no mirror in ~/.m2/settings.xml")
	}
	return list, nil
}

// with adds the credential of the server with the repository's name.
func (c *Config) with(r Repository) (Repository, error) {
	if strings.Contains(r.URL, "${") {
		return r, fault.Errorf(fault.Machine, settingsHint, "settings.xml of mvn: the URL of repository %s is %s, which has an undefined property", r.ID, redact.URL(r.URL))
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		return r, fault.Errorf(fault.Machine, settingsHint, "settings.xml of mvn: repository %s is at %s, which is not the URL of a server", r.ID, redact.URL(r.URL))
	}
	bare := *u
	bare.User = nil
	if err := syntax.CheckURL(bare.String()); err != nil {
		return r, err
	}
	for _, s := range c.servers {
		if s.ID != r.ID || u.User != nil {
			continue
		}
		for _, h := range s.Headers {
			if strings.EqualFold(h.Name, "Authorization") {
				r.Credential = remote.Credential{Name: "server " + s.ID + " of settings.xml", Authorization: h.Value}
			}
		}
		if s.Username == "" || r.Credential.Authorization != "" {
			continue
		}
		if strings.Contains(s.Password, "{") && strings.Contains(s.Password, "}") || strings.Contains(s.Password, "${") {
			return r, fault.Errorf(fault.Machine, "put the login into ~/.netrc and set its URL in plugins.toml, [registries] maven; or give the server an Authorization header, or ${env.NAME} as its password",
				"settings.xml of mvn: the password of server %s is encrypted, so only mvn can read it, or is a variable that is not set", s.ID)
		}
		r.Credential = remote.Credential{Name: "server " + s.ID + " of settings.xml",
			Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(s.Username+":"+s.Password))}
	}
	return r, nil
}

// mirrorOf returns the mirror of a repository, or nil: the one that lists its
// name, or else the first whose pattern matches
// (https://maven.apache.org/guides/mini/guide-mirror-settings.html).
func (c *Config) mirrorOf(r Repository) *mirror {
	for i, m := range c.mirrors {
		if m.Of == r.ID {
			return &c.mirrors[i]
		}
	}
	for i, m := range c.mirrors {
		if mirrors(m.Of, r) {
			return &c.mirrors[i]
		}
	}
	return nil
}

func mirrors(pattern string, r Repository) (fits bool) {
	u, err := url.Parse(r.URL)
	local := err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Scheme == "file")
	for part := range strings.SplitSeq(pattern, ",") {
		switch part = strings.TrimSpace(part); {
		case part == "!"+r.ID:
			return false
		case part == r.ID:
			return true
		case part == "*", part == "external:*" && !local, part == "external:http:*" && !local && err == nil && u.Scheme == "http":
			fits = true
		}
	}
	return fits
}

// Options returns o with the proxy of the settings, if there is one.
func (c *Config) Options(o remote.Options) remote.Options {
	i := slices.IndexFunc(c.proxies, func(p proxy) bool { return p.Active != "false" && p.Host != "" })
	if i < 0 {
		return o
	}
	p := c.proxies[i]
	address := &url.URL{Scheme: "http", Host: p.Host}
	if p.Port != "" {
		address.Host = fmt.Sprintf("%s:%s", p.Host, p.Port)
	}
	if p.Username != "" {
		address.User = url.UserPassword(p.Username, p.Password)
	}
	o.Proxy = func(u *url.URL) (*url.URL, error) {
		for pattern := range strings.FieldsFuncSeq(p.Direct, func(r rune) bool { return r == '|' || r == ',' }) {
			if star(strings.TrimSpace(pattern), u.Hostname()) {
				return nil, nil
			}
		}
		return address, nil
	}
	return o
}

// star matches s against a pattern with *.
func star(pattern, s string) bool {
	part := strings.Split(strings.ToLower(pattern), "*")
	s = strings.ToLower(s)
	if len(part) == 1 {
		return part[0] == s
	}
	if !strings.HasPrefix(s, part[0]) || !strings.HasSuffix(s, part[len(part)-1]) || len(s) < len(part[0])+len(part[len(part)-1]) {
		return false
	}
	s = s[len(part[0]) : len(s)-len(part[len(part)-1])]
	for _, middle := range part[1 : len(part)-1] {
		i := strings.Index(s, middle)
		if i < 0 {
			return false
		}
		s = s[i+len(middle):]
	}
	return true
}
