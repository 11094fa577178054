package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// An element is what the tests want of one of a page.
type element struct {
	name, text string
	attr       map[string]string
}

// elements returns all elements of a page, with the text in and below them.
func elements(t *testing.T, page string) (all []element) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var text func(n *html.Node) string
	text = func(n *html.Node) string {
		if n.Type == html.TextNode {
			return n.Data
		}
		s := ""
		for c := range n.ChildNodes() {
			s += text(c)
		}
		return s
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			e := element{name: n.Data, text: text(n), attr: map[string]string{}}
			for _, a := range n.Attr {
				e.attr[a.Key] = a.Val
			}
			all = append(all, e)
		}
	}
	return all
}

// contained demands what holds of every page: it loads nothing, leads nowhere,
// and runs the one script that its policy names.
func contained(t *testing.T, page string) []element {
	t.Helper()
	all := elements(t, page)
	policy, ids := "", map[string]bool{}
	for _, e := range all {
		if e.name == "meta" && e.attr["http-equiv"] == "Content-Security-Policy" {
			policy = e.attr["content"]
		}
		if id := e.attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("two elements have the id %s", id)
			}
			ids[id] = true
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("policy %q", policy)
	}
	count := map[string]int{}
	for _, e := range all {
		count[e.name]++
		switch e.name {
		case "script", "style":
			sum := sha256.Sum256([]byte(e.text))
			if want := e.name + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("%s is not in the policy %s", want, policy)
			}
		case "img", "iframe", "object", "embed", "link", "base", "form", "svg", "audio", "video":
			t.Errorf("an element %s", e.name)
		}
		for key, value := range e.attr {
			switch {
			case strings.HasPrefix(key, "on"), key == "src", key == "style", key == "srcdoc", key == "action":
				t.Errorf("%s has %s=%q", e.name, key, value)
			case key == "href":
				if id, ok := strings.CutPrefix(value, "#"); !ok || !ids[id] {
					t.Errorf("a link to %q", value)
				}
			}
		}
	}
	if count["script"] != 1 || count["style"] != 1 {
		t.Errorf("%d scripts, %d styles", count["script"], count["style"])
	}
	return all
}

func TestReport(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it makes many pages")
	p := own(t)
	if out, talk := p.ok("report", "--html", p.path("r.html")); out != "" || !strings.Contains(talk, "wrote ") {
		t.Error(out, talk)
	}
	page := p.read("r.html")
	other := own(t)
	other.ok("report", "--html", other.path("r.html"))
	if out, talk := p.ok("report", "--html", "-"); strings.TrimSpace(out) != strings.TrimSpace(p.read("r.html")) || strings.Contains(talk, "wrote ") {
		t.Errorf("to standard output: %d bytes, and %s", len(out), talk)
	}
	if other.read("r.html") != page {
		t.Error("other bytes in another folder")
	}
	cover(t, contained(t, page), p.locked())
	for _, text := range []string{"Bundles", "typescript", "the digests in the registry", "ts-poet", "runs what windows-x86_64 has"} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q", text)
		}
	}
	for _, text := range []string{"Changed since", "Newer versions"} {
		if strings.Contains(page, text) {
			t.Errorf("%q without being asked for", text)
		}
	}
	p.write("old.toml", strings.Replace(strings.Replace(p.read("plugins.lock.toml"), `ts-proto", version = "2.7.2"`, `ts-proto", version = "2.7.1"`, 1), `plugins.ts-proto."2.7.2"`, `plugins.ts-proto."2.7.1"`, 3))
	p.ok("report", "--html", p.path("r.html"), "--since", p.path("old.toml"))
	if page := p.read("r.html"); !strings.Contains(page, "Changed since") || !strings.Contains(page, `<span class="version">2.7.1</span> → <span class="version">2.7.2</span>`) {
		t.Error("no difference")
	}
	p.ok("report", "--html", p.path("r.html"), "--since", p.path("plugins.lock.toml"))
	if !strings.Contains(p.read("r.html"), "Both pin the same") {
		t.Error("a difference to itself")
	}
	p.write("keep.html", "mine")
	p.fails(fault.Usage, []string{"--html FILE"}, "report")
	p.fails(fault.Usage, []string{"would replace"}, "report", "--html", p.path("plugins.toml"))
	p.fails(fault.Machine, []string{"not in a git repository"}, "report", "--html", p.path("keep.html"), "--since", "HEAD")
	p.fails(fault.Upstream, []string{"offline"}, "report", "--html", p.path("new.html"), "--outdated", "--offline")
	if p.read("keep.html") != "mine" {
		t.Error("a page was written without what it was asked for")
	}
}

// cover demands that the elements of a page have every version of a lock, its closure and
// its platforms.
func cover(t *testing.T, all []element, l *lock.Lock) {
	t.Helper()
	rows, cells, states := 0, 0, map[string]int{}
	for _, e := range all {
		if id := e.attr["data-of"]; id != "" {
			rows++
		}
		if e.name == "td" && e.attr["class"] == "platform" {
			cells++
			for _, state := range []string{"locked", "emulated", "unavailable"} {
				if strings.HasSuffix(e.text, state) {
					states[state]++
				}
			}
		}
		name, ok := strings.CutPrefix(e.attr["id"], "plugin-")
		if !ok {
			continue
		}
		for plugin, versions := range l.Plugins {
			for version, v := range versions {
				if plugin+"-"+version != name {
					continue
				}
				for key := range v.Files {
					if pkg, at := v.PackageOf(key); !strings.Contains(e.text, pkg+" "+at) {
						t.Errorf("the closure of %s has no %s %s", name, pkg, at)
					}
				}
			}
		}
	}
	want := map[string]int{}
	versions := 0
	for _, list := range l.Plugins {
		for _, v := range list {
			versions++
			for _, c := range v.Platforms {
				switch {
				case c.Emulate != "":
					want["emulated"]++
				case c.Unavailable != "":
					want["unavailable"]++
				default:
					want["locked"]++
				}
			}
		}
	}
	if rows != versions || rows < 20 || cells != 6*rows || fmt.Sprint(states) != fmt.Sprint(want) {
		t.Errorf("%d rows of %d, %d cells, %v want %v", rows, versions, cells, states, want)
	}
}

// injected is markup for every place where a careless page would take it for its
// own.
const injected = `</script></style></title>"'><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>{{.}}` + "${x}`"

// hostile is a place whose lock and manifest hold [injected] wherever a lock may.
func hostile(t *testing.T) *place {
	t.Helper()
	p := kinds(t)
	l := p.locked()
	v := l.Plugins["deep"]["2.0.0"]
	v.Package = injected
	v.Files["node_modules/evil"] = func() lock.File {
		f := v.Files["node_modules/b"]
		f.Name, f.Version = injected, "1"+injected
		return f
	}()
	own := v.Files["node_modules/evil"]
	own.Version = "2.0.0"
	v.Files["node_modules/own"] = own
	v.Platforms["macos-aarch64"] = lock.Cell{Unavailable: injected + "\u202e"}
	pulled := l.Plugins["pulled"]["7"]
	pulled.Package = "registry.example.com/" + injected
	f := pulled.Files["pulled-linux"]
	f.Name, f.Version = injected, injected
	pulled.Files = map[string]lock.File{"x'&{{.}}.bin": f}
	p.lockOf(l)
	p.write("old.toml", string(lock.Print(&lock.Lock{Schema: lock.Schema})))
	return p
}

// TestReportEscapes: what a lock holds is text of the page, wherever it stands.
func TestReportEscapes(t *testing.T) {
	t.Parallel()
	p := hostile(t)
	p.ok("report", "--html", p.path("r.html"), "--since", p.path("old.toml"))
	page := p.read("r.html")
	places := 0
	for _, e := range contained(t, page) {
		if e.name == "code" || e.name == "li" || e.name == "dd" || e.name == "div" || e.name == "span" {
			if strings.Contains(e.text, injected) {
				places++
			}
		}
	}
	if places < 10 || strings.Contains(page, "\u202e") {
		t.Errorf("the text is in %d places", places)
	}
}

// TestReportOutdated: the page has what the sources say.
func TestReportOutdated(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	p.ok("report", "--html", p.path("r.html"), "--outdated")
	out, _ := p.ok("outdated", "--json")
	var got struct {
		Entries []struct{ Name, Locked, Released string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	page := p.read("r.html")
	dated := 0
	for _, e := range got.Entries {
		if e.Released != "" {
			dated++
			if !strings.Contains(page, `<time datetime="`+e.Released+`">`) {
				t.Errorf("%s: no %s", e.Name, e.Released)
			}
		}
	}
	if !strings.Contains(page, "Newer versions") || dated == 0 {
		t.Errorf("%d entries with a date\n%s", dated, out)
	}
	contained(t, page)
}

// TestReportInChromium: the page as a browser shows it, dark and light, at two
// widths: nothing overflows, search and switches work, axe-core finds no
// violation, and nothing of a hostile lock runs.
func TestReportInChromium(t *testing.T) {
	testenv.OnlyFull(t, "it downloads axe-core and starts Chromium a dozen times")
	t.Parallel()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := testenv.Find(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("skipped: no chromium that runs")
	}
	npm := testenv.Program(t, "npm")
	dir := t.TempDir()
	cmd := exec.Command(npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir, "axe-core@4.14.1")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("axe-core: %v\n%s", err, out)
	}
	axe, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	p := hostile(t)
	plain := own(t)
	plain.write("old.toml", p.read("old.toml"))
	for name, p := range map[string]*place{"own": plain, "hostile": p} {
		p.ok("report", "--html", p.path("r.html"), "--since", p.path("old.toml"))
		for _, width := range []int{1280, 420} {
			for _, scheme := range []string{"dark", "light"} {
				t.Run(fmt.Sprint(name, " ", width, " ", scheme), func(t *testing.T) {
					page := p.read("r.html")
					dom, log := browse(t, browser, page, width, scheme)
					if button := map[string]string{"dark": ">Light</button>", "light": ">Dark</button>"}[scheme]; !strings.Contains(dom, button) {
						t.Errorf("the script did not run: no %s", button)
					}
					if strings.Contains(dom, "<title>owned") || strings.Contains(log, "Refused to") {
						t.Errorf("the policy had to help, or did not\n%s", log)
					}
					check(t, browser, page, string(axe), width, scheme)
				})
			}
		}
	}
}

// browse returns a page as a browser has it after its scripts, and what the
// browser says.
func browse(t *testing.T, browser, page string, width int, scheme string) (dom, log string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	prefers := map[string]string{"dark": "0", "light": "1"}[scheme]
	args := []string{"--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars", "--enable-logging=stderr",
		"--user-data-dir=" + filepath.Join(dir, "user"), "--blink-settings=preferredColorScheme=" + prefers, fmt.Sprintf("--window-size=%d,900", width),
		"--virtual-time-budget=60000", "--dump-dom", "file://" + file}
	if os.Getuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...)
	}
	cmd := exec.Command(browser, args...)
	cmd.WaitDelay = time.Minute
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	return string(out), talk.String()
}

// audit runs in the page and writes what it found into an element of its own.
const audit = `
document.querySelectorAll("details").forEach(d => { d.open = true; });
axe.run(document, { resultTypes: ["violations"] }).then(result => {
  const found = {
    violations: result.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary).join(" | ")),
    passes: result.passes.length, width: innerWidth, content: document.documentElement.scrollWidth,
    background: getComputedStyle(document.body).backgroundColor, title: document.title,
  };
  const cards = [...document.querySelectorAll(".cards div")];
  cards.forEach(card => { card.querySelector("dd").textContent = "1023.9 MiB"; }); // the widest
  found.spilt = 0;
  for (let width = 260; width < innerWidth; width += 40) {
    cards[0].parentElement.style.width = width + "px";
    found.spilt += cards.filter(card => card.scrollWidth > card.clientWidth).length;
  }
  cards[0].parentElement.style.width = "";
  const rows = () => [...document.querySelectorAll("tr[data-of]")].filter(r => r.offsetParent !== null).length;
  const press = key => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const search = document.getElementById("search");
  found.all = rows();
  press("/"); found.focused = document.activeElement === search;
  search.value = "windows-sys"; search.dispatchEvent(new Event("input"));
  found.some = rows(); found.said = document.getElementById("shown").textContent;
  press("ArrowDown"); found.on = document.activeElement.textContent;
  press("Escape"); found.again = rows();
  document.getElementById("theme").click(); found.switched = getComputedStyle(document.body).backgroundColor;
  const pre = document.createElement("pre"); pre.id = "found"; pre.textContent = JSON.stringify(found); parent.document.body.append(pre);
});`

// check looks at a page without its policy, which would not let the checks run.
func check(t *testing.T, browser, page, axe string, width int, scheme string) {
	t.Helper()
	start := strings.Index(page, `<meta http-equiv="Content-Security-Policy"`)
	end := start + strings.Index(page[start:], ">") + 1
	page = page[:start] + page[end:]
	page = strings.Replace(page, "</body>", "<script>"+axe+"</script><script>"+audit+"</script></body>", 1)
	// A window has a least width, and a frame has none.
	frame := `<!DOCTYPE html><meta name="color-scheme" content="light dark"><iframe style="border:0" width="` + strconv.Itoa(width) + `" height="900" srcdoc="` + html.EscapeString(page) + `"></iframe>`
	dom, log := browse(t, browser, frame, 1400, scheme)
	var found struct {
		Violations                            []string
		Passes, Width, Content, Spilt         int
		All, Some, Again                      int
		Background, Switched, Title, On, Said string
		Focused                               bool
	}
	for _, e := range elements(t, dom) {
		if e.attr["id"] == "found" {
			if err := json.Unmarshal([]byte(e.text), &found); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found.Passes == 0 {
		t.Fatalf("axe-core did not run\n%s", log)
	}
	for _, v := range found.Violations {
		t.Error(v)
	}
	colours := []string{"rgb(13, 17, 23)", "rgb(255, 255, 255)"}
	if scheme == "light" {
		slices.Reverse(colours)
	}
	if found.Background != colours[0] || found.Switched != colours[1] {
		t.Errorf("the page is %s and then %s", found.Background, found.Switched)
	}
	if found.Width != width || found.Content > width {
		t.Errorf("%d pixels in a window of %d", found.Content, found.Width)
	}
	if found.Spilt > 0 {
		t.Errorf("numbers on top are wider than their boxes, %d times", found.Spilt)
	}
	if !strings.HasPrefix(found.Title, "protoc plugins") || !found.Focused {
		t.Errorf("%+v", found)
	}
	if found.All < 8 || found.Some == 0 || found.Some >= found.All || found.Again != found.All || found.On == "" || found.Said != fmt.Sprintf("%d of %d plugins", found.Some, found.All) {
		t.Errorf("search: %+v", found)
	}
}
