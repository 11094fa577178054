package gotool

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// newsPath is a module of which some versions are retracted, and newsPlain its first version.
const newsPath = "example.com/Tool"

var newsPlain = fake.Module{Path: newsPath, Version: "v1.0.0"}

// newsProxy serves the versions of a module, and two of Go itself.
func newsProxy(t *testing.T) (*Client, *fake.Server, Config) {
	t.Helper()
	g, err := Find(t.Context())
	if err != nil {
		t.Skipf("no go to try with: %v", err)
	}
	s := fake.New(t)
	const path = newsPath
	s.Module(newsPlain)
	s.Module(fake.Module{Path: path, Version: "v1.1.0"})
	s.Module(fake.Module{Path: path, Version: "v1.2.0-rc.1"})
	s.Module(fake.Module{Path: path, Version: "v1.3.0", Mod: "// Deprecated: use another\nmodule " + path + "\n\ngo 1.21\n\nretract [v1.1.0, v1.2.0] // it loses data\n"})
	s.Module(fake.Module{Path: "golang.org/toolchain", Version: "v0.0.1-go1.26.6.linux-amd64"})
	s.Module(fake.Module{Path: "golang.org/toolchain", Version: "v0.0.1-go1.26.7.linux-amd64"})
	return g, s, Config{Proxy: s.GoProxy(), SumDB: s.SumDB()}
}

// TestGoVersions: which versions there are, and what their author says of them.
func TestGoVersions(t *testing.T) {
	g, s, c := newsProxy(t)
	got, err := g.Versions(t.Context(), c, t.TempDir(), newsPath)
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []News{
		{Version: "1.0.0", Deprecated: "use another"}, {Version: "1.1.0", Deprecated: "use another", Retracted: "retracted by its author"},
		{Version: "1.2.0-rc.1", Deprecated: "use another", Retracted: "retracted by its author"}, {Version: "1.3.0", Deprecated: "use another"},
	} {
		if got[i] != want {
			t.Errorf("%+v, want %+v", got[i], want)
		}
	}
	if got, err := g.Versions(t.Context(), c, t.TempDir(), "golang.org/toolchain"); err != nil || len(got) != 2 || got[1].Version != "1.26.7" {
		t.Errorf("Go itself: %+v, %v", got, err)
	}
	if got, err := g.Versions(t.Context(), c, t.TempDir(), "example.com/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a module that is not there: %+v, %v", got, err)
	}
	list := "/go/example.com/!tool/@v/list"
	s.Fault(list, fake.HTML())
	_, err = g.Versions(t.Context(), c, t.TempDir(), newsPath)
	fake.WantFault(t, err, fault.Upstream, "go module example.com/Tool has the version v1.3.0, and lists none: "+s.URL+list)
}

// TestGoNews: what authors, the proxy and the checksum database say of modules,
// without a download of one.
func TestGoNews(t *testing.T) {
	g, s, c := newsProxy(t)
	old := module.Version{Path: newsPath, Version: "v1.1.0"}
	first := module.Version{Path: newsPath, Version: "v1.0.0"}
	none := module.Version{Path: newsPath, Version: "v1.9.0"}
	goTool := module.Version{Path: "golang.org/toolchain", Version: "v0.0.1-go1.26.6.linux-amd64"}
	news, err := g.News(t.Context(), c, t.TempDir(), []module.Version{old, none, first, goTool})
	if err != nil || len(news) != 4 {
		t.Fatalf("%+v, %v", news, err)
	}
	zip, mod := newsPlain.Sums()
	if news[0].Retracted != "retracted by its author: it loses data" || news[0].Deprecated != "use another" || news[0].Err != nil || !news[0].Committed.Equal(fake.Released) {
		t.Errorf("%+v", news[0])
	}
	if !errors.Is(news[1].Err, fs.ErrNotExist) || fault.Of(news[1].Err) != fault.Upstream {
		t.Errorf("%+v", news[1])
	}
	if news[2].Sum != zip || news[2].ModSum != mod || news[2].Retracted != "" || news[2].Err != nil {
		t.Errorf("%+v, want %s and %s", news[2], zip, mod)
	}
	if news[3].Sum == "" || news[3].Err != nil {
		t.Errorf("%+v", news[3])
	}
	for _, r := range s.Requests("") {
		if strings.HasSuffix(r.Path, ".zip") {
			t.Errorf("downloaded %s", r.Path)
		}
	}
	// Another go.mod than the checksum database knows.
	changed := newsPlain
	changed.Mod = "module " + newsPath + "\n\ngo 1.22\n"
	s.Module(changed)
	if news, err := g.News(t.Context(), c, t.TempDir(), []module.Version{first}); err != nil || fault.Of(news[0].Err) != fault.Integrity {
		t.Errorf("%+v, %v", news, err)
	}
	c.SumDB = "off"
	if news, err := g.News(t.Context(), c, t.TempDir(), []module.Version{first}); err != nil || news[0].Err != nil || news[0].Sum != "" || news[0].ModSum == mod {
		t.Errorf("without the database: %+v, %v", news, err)
	}
}
