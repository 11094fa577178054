package main

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// versionCases are about which versions there are and what is said of them. Of
// kinds without an honest clock, this machine's first sight counts: so each case
// looks at a version when it is published. What other cases publish with other
// bytes has other versions, for the checksum database of Go knows the first.
func versionCases() []conformanceCase {
	return []conformanceCase{
		{"a range waits", (*ring).rangeWaits},
		{"a range leaves out what is not good", (*ring).rangeLeavesOut},
		{"add without a version", (*ring).addsNewest},
		{"a version that is not there", (*ring).namesNearest},
		{"nothing new", (*ring).nothingNew},
		{"upstream: it is there", (*ring).upstreamThere},
		{"upstream: a document is gone", (*ring).upstreamDocumentGone},
		{"upstream: a document is out of order", (*ring).upstreamOutOfOrder},
		{"upstream: the file is gone", (*ring).upstreamFileGone},
		{"upstream: other bytes", (*ring).upstreamOtherBytes},
		{"upstream: withdrawn", (*ring).upstreamWithdrawn},
	}
}

func (r *ring) rangeWaits(_ string) {
	now := time.Now()
	r.now = now.AddDate(0, 0, -100)
	r.offers("1.3.0", r.now)
	r.asks("^1", "", arm)
	r.ok("outdated")
	r.now = now
	r.offers("1.6.0", now.Add(-3*time.Hour))
	r.ok("outdated") // first sight
	r.ok("update")
	r.ok("check")
	r.onlyVersion("1.3.0")
	r.now = now.Add(time.Hour)
	if stdout, _ := r.ok("outdated"); !strings.Contains(stdout, "1.6.0: ") || !strings.Contains(stdout, "may be locked from") {
		r.t.Errorf("outdated does not say what is held back, and until when:\n%s", stdout)
	}
	// Nothing but what is too young.
	r.asks(">=1.6", "", arm)
	r.fails(fault.Policy, []string{"every version", "1.6.0: ", "lockgen add tool@1.6.0"}, "update")
	r.now = now.AddDate(0, 0, 8)
	r.ok("update")
	r.onlyVersion("1.6.0")
}

func (r *ring) rangeLeavesOut(_ string) {
	now := time.Now()
	r.now = now.AddDate(0, 0, -100)
	if r.stand.kind == lock.Pip {
		r.offers("1.5.0rc1", r.now)
	} else {
		r.offers("1.5.0-rc.1", r.now)
	}
	if r.stand.withdraws != "" || r.stand.name == "github" {
		r.stand.publish(r, release{version: "1.7.0", salt: "a", platforms: []string{arm, win}, released: r.now, withdrawn: true})
	}
	for _, spec := range []string{"^1", "latest"} {
		r.now = now.AddDate(0, 0, -100)
		r.asks(spec, "", arm)
		r.ok("outdated")
		r.now = now
		r.ok("update", "--all")
		r.onlyVersion("1.2.0")
	}
}

func (r *ring) addsNewest(_ string) {
	r.asks("1.2.0", "", arm)
	r.locks()
	now := time.Now()
	r.now = now.AddDate(0, 0, -100)
	r.offers("1.3.0", r.now)
	r.ok("outdated")
	r.asks("^1", "", arm) // a person looks at it
	r.ok("outdated")
	r.asks("1.2.0", "", arm)
	r.now = now
	r.ok("add", "tool")
	if l := r.locked(); l.Plugins["tool"]["1.3.0"] == nil || !strings.Contains(r.read("plugins.toml"), `"1.3.0"`) {
		r.t.Errorf("locked %v\n%s", l.Plugins["tool"], r.read("plugins.toml"))
	}
}

func (r *ring) namesNearest(_ string) {
	for _, version := range []string{"1.3.0", "1.6.0", "1.9.0"} {
		r.offers(version, time.Time{})
	}
	r.locks()
	r.fails(fault.Upstream, []string{"has no version 1.99.0: the newest is 1.9.0 (nothing", "lockgen add tool@1.9.0"}, "add", "tool@1.99.0")
	text := r.fails(fault.Upstream, []string{"has no version 1.3.99: the newest is 1.9.0, the nearest are 1.3.0 and 1.6.0 (nothing", "lockgen update tool@1.3.0"}, "update", "tool@1.3.99")
	for _, not := range []string{"npm view", "pip index", "cargo search", "go list"} {
		if strings.Contains(text, not) {
			r.t.Errorf("it says to run %s:\n%s", not, text)
		}
	}
	r.ok("add", "tool@1.6.0")
}

// requestsOfUpdate are the most that an update with nothing new may make, of kinds for
// which it is more than one for each plugin.
var requestsOfUpdate = map[string]int{
	lock.OCI:   2, // the list, and the tag
	lock.Maven: 4, // the list, the POM, the checksum and the signature
	lock.NPM:   5, // the list, the document of each package; of node, a wheel, the page and the metadata
	lock.Pip:   4, // the page of each project, and the metadata of each wheel
}

func (r *ring) nothingNew(_ string) {
	now := time.Now()
	r.now = now.AddDate(0, 0, -100)
	r.asks("^1", "", arm)
	r.ok("outdated")
	r.now = now
	r.locks()
	r.ok("outdated")
	r.server.Forget()
	r.ok("outdated")
	ours, clients := r.byClient()
	most := 1
	if r.stand.base != nil {
		most = 2 // what it runs on
	}
	if len(ours) > most || len(ours)+len(clients) == 0 {
		r.t.Errorf("outdated asks %d times for %d plugins", len(ours), most)
	}
	r.onCondition("outdated", ours, clients)
	r.ok("update", "--all")
	first := r.read("plugins.lock.toml")
	r.server.Forget()
	r.ok("update", "--all")
	ours, clients = r.byClient()
	r.onCondition("update --all", ours, clients)
	if len(ours) > cmp.Or(requestsOfUpdate[r.stand.kind], most) {
		r.t.Errorf("an update with nothing new asks %d times: %v", len(ours), ours)
	}
	// Go takes every module into a module cache of its own.
	if n := r.server.Count(r.artifact); n != 0 && r.stand.kind != lock.Go {
		r.t.Errorf("%d downloads of %s", n, r.artifact)
	}
	if r.read("plugins.lock.toml") != first {
		r.t.Error("another lock")
	}
}

func (r *ring) upstreamThere(_ string) {
	r.locks()
	r.server.Forget()
	r.ok("check", "--upstream")
	if r.server.Count("") == 0 {
		r.t.Error("nobody was asked")
	}
}

func (r *ring) upstreamDocumentGone(_ string) {
	r.locks()
	r.server.Fault(r.document, fake.Status(404))
	r.fails(fault.Upstream, []string{"is deleted"}, "check", "--upstream")
}

func (r *ring) upstreamOutOfOrder(name string) {
	r.locks()
	r.server.Fault(r.document, fake.Status(500))
	if r.stand.kind == lock.HTTP || r.stand.kind == lock.Maven {
		r.server.Fault(r.artifact, fake.Status(500))
	}
	if text := r.fails(fault.Upstream, []string{"is unreachable"}, "check", "--upstream"); strings.Contains(text, "is deleted") {
		r.t.Errorf("%s:\n%s", name, text)
	}
}

func (r *ring) upstreamFileGone(_ string) {
	switch r.stand.kind {
	case lock.NPM, lock.Pip, lock.Cargo:
		r.t.Skip("its index says whether it is there")
	}
	r.locks()
	r.server.Fault(r.artifact, fake.Status(404))
	r.fails(fault.Upstream, []string{"is deleted"}, "check", "--upstream")
}

func (r *ring) upstreamOtherBytes(_ string) {
	switch {
	case r.stand.kind == lock.Go:
		r.t.Skip("the checksum database does not forget the first; other go.mod files: TestGoNews of internal/gotool")
	case r.stand.kind == lock.HTTP:
		r.locks()
		r.server.Fault(r.artifact, fake.WrongBytes())
		r.fails(fault.Integrity, []string{"is replaced"}, "check", "--upstream", "--verify")
		return
	}
	r.locks()
	r.stand.publish(r, release{version: "1.2.0", salt: "b", platforms: []string{arm, win}})
	r.fails(fault.Integrity, []string{"is replaced", "locked with"}, "check", "--upstream")
}

func (r *ring) upstreamWithdrawn(_ string) {
	if r.stand.withdraws == "" {
		r.t.Skip("nothing is withdrawn there")
	}
	r.locks()
	r.stand.publish(r, release{version: "1.2.0", salt: "a", platforms: []string{arm, win}, withdrawn: true})
	_, talk := r.ok("check", "--upstream")
	want := r.stand.withdraws
	if want == "retracted" {
		want = "yanked: retracted by its author: not good"
	}
	if !strings.Contains(talk, "is "+want) {
		r.t.Errorf("%q is not in\n%s", want, talk)
	}
}

// offers publishes another version for all platforms.
func (r *ring) offers(version string, released time.Time) {
	r.stand.publish(r, release{version: version, salt: "a", platforms: []string{arm, win}, released: released})
}

// onlyVersion demands that exactly one version of the plugin is locked.
func (r *ring) onlyVersion(version string) {
	r.t.Helper()
	if l := r.locked().Plugins["tool"]; len(l) != 1 || l[version] == nil {
		r.t.Errorf("locked %v, want %s", l, version)
	}
}

// byClient tells our own requests from those of client programs.
func (r *ring) byClient() (ours, clients []fake.Request) {
	for _, q := range r.server.Requests("") {
		if q.Header.Get("User-Agent") == "buck2-protobuf" {
			ours = append(ours, q)
		} else {
			clients = append(clients, q)
		}
	}
	return ours, clients
}

// onCondition demands that our requests were on condition.
func (r *ring) onCondition(what string, ours, clients []fake.Request) {
	r.t.Helper()
	r.t.Logf("%s with nothing new: %d requests on condition, %d of client programs", what, len(ours), len(clients))
	for _, q := range ours {
		if strings.HasSuffix(q.Path, ".asc") { // a signature that is not there has nothing to compare
			continue
		}
		if q.Method != http.MethodGet || q.Header.Get("If-None-Match") == "" {
			r.t.Errorf("%s: %s %s without a condition", what, q.Method, q.Path)
		}
	}
}
