package manifest

import (
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// DefaultReleaseAge is minimum-release-age for a manifest without it.
const DefaultReleaseAge = 7 * 24 * time.Hour

// A Policy is what [policy] of a manifest allows and requires. It does not
// affect the format of a lock, only what may be locked.
type Policy struct {
	// BuildScripts lists the plugins whose closure may run code while they are
	// compiled, sorted.
	BuildScripts []string
	// IgnoreScripts lists the npm packages that may be locked although they
	// have install scripts, which are never run; sorted.
	IgnoreScripts []string
	// MinimumAge is how old a version that lockgen chooses must be; 0 disables
	// the rule.
	MinimumAge time.Duration
	Exceptions []Exception
	// Allow lists what may be locked, see [Policy.AllowsPackage] and
	// [Policy.AllowsHost]; nil for everything.
	Allow []string
	// PublisherTimes lists kinds, out of [lock.Go] and [lock.OCI], for which
	// times set by publishers count as release times, since their registries
	// have none. For kinds that are not listed, a version is as old as this
	// machine has known it.
	PublisherTimes []string
	// MinTrust is the weakest trust that a locked version may have, one of
	// [lock.Trusts]; "" for any.
	MinTrust string
	// TrustedRoot is the file with the roots that signatures are verified with,
	// relative to the manifest; "" to verify none.
	TrustedRoot string
}

// An Exception allows one exact version to be locked although it is too recent.
type Exception struct {
	Name    string // a package, or KIND:NAME
	Version string
	Reason  string
	Until   time.Time // when it expires
}

// Except returns the exception for a version of a package that is valid now, or
// else an expired one.
func (p *Policy) Except(kind, name, version string, now time.Time) (in, ended *Exception) {
	for i := range p.Exceptions {
		e := &p.Exceptions[i]
		of, ok := strings.CutPrefix(e.Name, kind+":")
		if !ok {
			of = e.Name
		}
		if e.Version != version || lock.KindOf(kind).Normal(of) != lock.KindOf(kind).Normal(name) {
			continue
		}
		if now.Before(e.Until) {
			return e, nil
		}
		ended = e
	}
	return nil, ended
}

// AllowsPackage reports whether a package of an ecosystem, or an OCI repository
// HOST/REPO, may be locked: an entry KIND:NAME must equal it, or an entry that
// ends with /* must be its scope, namespace or module prefix.
func (p *Policy) AllowsPackage(kind, name string) bool {
	if p.Allow == nil {
		return true
	}
	want := kind + ":" + lock.KindOf(kind).Normal(name)
	if strings.Contains(name, "*") || strings.Contains("/"+name+"/", "/../") || strings.Contains("/"+name+"/", "/./") {
		return false
	}
	for _, entry := range p.Allow {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok && len(want) > len(prefix) && strings.HasPrefix(want, prefix) || entry == want {
			return true
		}
	}
	return false
}

// AllowsHost reports whether files of kinds http and oci may come from a
// server: there must be an entry host:HOST, or host:HOST:PORT unless the port
// is the scheme's default.
func (p *Policy) AllowsHost(u *url.URL) bool {
	if p.Allow == nil {
		return true
	}
	host, err := hostPort(u)
	return err == nil && slices.Contains(p.Allow, "host:"+host)
}

// hostEntry returns the entry of allow for the server of a URL, "host:HOST" or
// "host:HOST:PORT".
func hostEntry(u *url.URL) string {
	host, err := hostPort(u)
	if err != nil {
		return "host:?"
	}
	return "host:" + host
}

func hostPort(u *url.URL) (string, error) {
	host, err := syntax.NormalHost(u.Hostname())
	if err != nil {
		return "", err
	}
	if port := u.Port(); port != "" && !(u.Scheme == "https" && port == "443") && !(u.Scheme == "http" && port == "80") {
		host += ":" + port
	}
	return host, nil
}

var policyKeys = []string{"allow", "build-scripts", "exceptions", "ignore-scripts", "min-trust", "minimum-release-age", "publisher-times", "trusted-root"}

func (d *decoder) policy(v any) {
	p := &d.m.Policy
	p.MinimumAge = DefaultReleaseAge
	if v == nil {
		return
	}
	table := d.table([]string{"policy"}, v)
	d.known([]string{"policy"}, table, policyKeys...)
	at := func(key string) []string { return []string{"policy", key} }
	if v, ok := table["minimum-release-age"]; ok {
		age, err := ParseAge(d.str(at("minimum-release-age"), v))
		p.MinimumAge = age
		d.check(at("minimum-release-age"), err)
	}
	if v, ok := table["ignore-scripts"]; ok {
		p.IgnoreScripts = d.strs(at("ignore-scripts"), v)
		for _, name := range p.IgnoreScripts {
			d.check(at("ignore-scripts"), lock.KindOf(lock.NPM).CheckPackage(name))
		}
		slices.Sort(p.IgnoreScripts)
	}
	if v, ok := table["publisher-times"]; ok {
		p.PublisherTimes = d.strs(at("publisher-times"), v)
		for _, kind := range p.PublisherTimes {
			if !lock.KindOf(kind).PublisherTimes {
				panic(d.errorf(at("publisher-times"), `write publisher-times = ["go", "oci"], or one of them`,
					"source %q has no release times set by publishers: its registry records them", kind))
			}
		}
	}
	if v, ok := table["min-trust"]; ok {
		p.MinTrust = d.str(at("min-trust"), v)
		if !slices.Contains(lock.Trusts, p.MinTrust) {
			hint := fault.DidYouMean(p.MinTrust, lock.Trusts, "use one of, weakest first: "+strings.Join(lock.Trusts, ", "))
			panic(d.errorf(at("min-trust"), hint, "unknown trust %q", p.MinTrust))
		}
	}
	if v, ok := table["trusted-root"]; ok {
		p.TrustedRoot = d.str(at("trusted-root"), v)
		if path.Clean(p.TrustedRoot) != p.TrustedRoot || !filepath.IsLocal(filepath.FromSlash(p.TrustedRoot)) {
			panic(d.errorf(at("trusted-root"), "write the path of a file below this folder, such as trusted_root.json", "%q is no such path", p.TrustedRoot))
		}
	}
	if v, ok := table["allow"]; ok {
		for _, s := range d.strs(at("allow"), v) {
			entry, err := ParseAllow(s)
			d.check(at("allow"), err)
			p.Allow = append(p.Allow, entry)
		}
	}
	if v, ok := table["exceptions"]; ok {
		d.exceptions(at("exceptions"), v)
	}
	if v, ok := table["build-scripts"]; ok {
		d.buildScripts(at("build-scripts"), v)
	}
}

func (d *decoder) buildScripts(at []string, v any) {
	list := d.strs(at, v)
	names := slices.Sorted(maps.Keys(d.m.Plugins))
	for _, name := range list {
		if !slices.Contains(names, name) {
			hint := fault.DidYouMean(name, names, "use the name of a plugin in [plugins]")
			panic(d.errorf(at, hint, "build-scripts has %q, which is not in [plugins]", name))
		}
	}
	d.m.Policy.BuildScripts = slices.Sorted(slices.Values(list))
}

// maxAge limits minimum-release-age: anything longer is a mistake.
const maxAge = 3650 * 24 * time.Hour

// ParseAge parses 7d, 12h, 2w or 0.
func ParseAge(s string) (time.Duration, error) {
	const hint = `write a number of hours, days or weeks: "36h", "7d", "2w"; "0" switches the rule off`
	switch s {
	case "0":
		return 0, nil
	case "":
		return 0, fault.Errorf(fault.Usage, hint, "the age is empty")
	}
	unit, ok := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 20)
	if !ok || err != nil || s[0] == '+' {
		return 0, fault.Errorf(fault.Usage, hint, "%q is not an age", s)
	}
	if age := time.Duration(n) * unit; age <= maxAge {
		return age, nil
	}
	return 0, fault.Errorf(fault.Usage, hint, "an age of %q is longer than ten years", s)
}

var (
	npmScope  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^@[a-z0-9~-][a-z0-9._~-]*$`) })
	slashes   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~-]+)+$`) })
	hostForms = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[^/@?#*%\\\s]+$`) })
)

// ParseAllow parses one entry of allow and returns its normal form.
func ParseAllow(s string) (string, error) {
	const forms = "write npm:NAME, npm:@SCOPE/*, pip:NAME, cargo:NAME, go:MODULE, go:HOST/OWNER/*, maven:GROUP:ARTIFACT, oci:HOST/REPO, oci:HOST/NAMESPACE/*, github:OWNER/REPO, github:OWNER/* or host:HOST"
	refuse := func(why string) (string, error) {
		return "", fault.Errorf(fault.Usage, forms, "%q allows nothing: %s", s, why)
	}
	kind, name, ok := strings.Cut(s, ":")
	kinds := append([]string{"host", "github"}, lock.KindNames()...)
	switch {
	case !ok:
		return refuse("it has no kind")
	case lock.KindOf(kind).URLs || kind == "https":
		return refuse("files with a URL are allowed by their host")
	case !slices.Contains(kinds, kind):
		if near := fault.Nearest(kind, kinds); near != "" {
			return "", fault.Errorf(fault.Usage, "did you mean "+near+":? "+forms, "%q allows nothing: the kind %s is unknown", s, kind)
		}
		return refuse("the kind " + kind + " is unknown")
	}
	if kind == "host" {
		host, ok := oneHost(name)
		if !ok {
			return refuse("it is not exactly one host")
		}
		return "host:" + host, nil
	}
	prefix, wild := strings.CutSuffix(name, "/*")
	switch {
	case strings.Contains(prefix, "*"):
		return refuse("* is only allowed at the end, after a slash")
	case strings.Contains("/"+prefix+"/", "/../") || strings.Contains("/"+prefix+"/", "/./"):
		return refuse("one of its names is a dot")
	case lock.KindOf(kind).Scopes && wild:
		if !npmScope().MatchString(prefix) {
			return refuse("only an npm scope has members")
		}
		return s, nil
	case kind == "github":
		owner, repo, ok := strings.Cut(name, "/")
		if !ok || !syntax.IsWord(owner) || repo != "*" && (!syntax.IsWord(repo) || repo == ".") {
			return refuse("it needs an owner and one repository, or *")
		}
		return strings.ToLower(s), nil
	case !lock.KindOf(kind).Paths:
		if err := lock.KindOf(kind).CheckPackage(name); err != nil {
			return refuse(err.Error())
		}
		return kind + ":" + lock.KindOf(kind).Normal(name), nil
	}
	// Never allow a whole host here: anyone can publish on github.com.
	if !slashes().MatchString(prefix) {
		return refuse("it needs a host and an owner or path")
	}
	entry := kind + ":" + lock.KindOf(kind).Normal(prefix)
	if wild {
		entry += "/*"
	}
	return entry, nil
}

// oneHost returns the normal form of HOST or HOST:PORT.
func oneHost(name string) (host string, ok bool) {
	u, err := url.Parse("https://" + name)
	if !hostForms().MatchString(name) || err != nil || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	host, err = hostPort(u)
	return host, err == nil
}

func (d *decoder) exceptions(at []string, v any) {
	var list []map[string]any
	switch v := v.(type) {
	case []map[string]any:
		list = v
	case []any:
		for _, e := range v {
			t, ok := e.(map[string]any)
			if !ok {
				list = nil
				break
			}
			list = append(list, t)
		}
	}
	const form = `write: exceptions = [{ name = "x", version = "1.2.3", reason = "…", until = 2026-12-31 }]`
	if list == nil {
		panic(d.errorf(at, form, "exceptions is not a list of tables"))
	}
	keys := []string{"name", "version", "reason", "until"}
	for i, t := range list {
		at := element(at, i)
		d.known(at, t, keys...)
		var e Exception
		for _, key := range keys {
			v, ok := t[key]
			if !ok {
				panic(d.errorf(at, form, "an exception has no %s", key))
			}
			if key == "until" {
				day := d.day(at, v)
				e.Until = day.AddDate(0, 0, 1)
				continue
			}
			s := d.str(in(at, key), v)
			*map[string]*string{"name": &e.Name, "version": &e.Version, "reason": &e.Reason}[key] = s
		}
		if err := CheckExact(e.Version); err != nil {
			d.check(at, fault.Errorf(fault.Usage, "give an exception one exact version", "%w", err))
		}
		if strings.Contains(e.Name, "*") {
			panic(d.errorf(at, "write one package", "an exception for %q: it must be for exactly one package", e.Name))
		}
		if strings.TrimSpace(e.Reason) == "" {
			panic(d.errorf(at, "say why the version cannot wait", "the exception for %s has no reason", e.Name))
		}
		d.m.Policy.Exceptions = append(d.m.Policy.Exceptions, e)
	}
}

// day decodes a date, with or without quotes. It begins at midnight UTC, so
// that the time zone does not matter.
func (d *decoder) day(at []string, v any) time.Time {
	switch v := v.(type) {
	case time.Time:
		if y, m, day := v.Date(); v.Equal(time.Date(y, m, day, 0, 0, 0, 0, v.Location())) {
			return time.Date(y, m, day, 0, 0, 0, 0, time.UTC)
		}
	case string:
		if day, err := time.Parse(time.DateOnly, v); err == nil {
			return day
		}
	}
	panic(d.errorf(at, "write the last day on which it is valid: until = 2026-12-31", "until is not a date"))
}
