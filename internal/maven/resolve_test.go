package maven

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// repo is the documents of a repository by their path.
type repo map[string]string

// pom puts the POM of GROUP:ARTIFACT:VERSION, with what is inside it.
func (r repo) pom(gav, inside string) {
	part := strings.Split(gav, ":")
	c := Coordinate{Group: part[0], Artifact: part[1], Version: part[2], Ext: "pom"}
	r[c.Path()] = fmt.Sprintf("<?xml version=\"1.0\"?>\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s</project>\n",
		c.Group, c.Artifact, c.Version, inside)
}

// needs are dependencies, GROUP:ARTIFACT:VERSION with more elements behind a space.
func needs(list ...string) string {
	s := "<dependencies>"
	for _, one := range list {
		gav, more, _ := strings.Cut(one, " ")
		part := strings.Split(gav, ":")
		s += "<dependency><groupId>" + part[0] + "</groupId><artifactId>" + part[1] + "</artifactId>"
		if len(part) > 2 {
			s += "<version>" + part[2] + "</version>"
		}
		s += more + "</dependency>"
	}
	return s + "</dependencies>"
}

func managed(list ...string) string {
	return "<dependencyManagement>" + needs(list...) + "</dependencyManagement>"
}

func (r repo) closure(t *testing.T, root string) ([]string, error) {
	t.Helper()
	part := strings.Split(root, ":")
	resolver := &Resolver{Java: 17, Document: func(_ context.Context, path string) ([]byte, error) {
		if doc, ok := r[path]; ok {
			return []byte(doc), nil
		}
		return nil, fault.Missingf(fault.Upstream, "", "%s", path)
	}}
	nodes, err := resolver.Closure(t.Context(), Coordinate{Group: part[0], Artifact: part[1], Version: part[2], Ext: "jar"})
	var list []string
	for _, n := range nodes {
		s := n.String()
		if !n.File {
			s += " (" + n.Ext + ")"
		}
		list = append(list, s)
	}
	return list, err
}

// TestClosure: each case is a repository and what Maven makes of it.
func TestClosure(t *testing.T) {
	t.Parallel()
	const optional, test, provided, runtime = " <optional>true</optional>", " <scope>test</scope>", " <scope>provided</scope>", " <scope>runtime</scope>"
	for name, tt := range map[string]struct {
		poms map[string]string
		more map[string]string
		want string
	}{
		"the nearest counts, then the first": {
			poms: map[string]string{"g:p:1": needs("g:a:1", "g:b:1", "g:c:1"), "g:a:1": needs("g:x:2"), "g:b:1": needs("g:x:3"), "g:c:1": needs("g:y:1"), "g:y:1": "", "g:x:2": needs("g:z:1"), "g:z:1": needs("g:b:9")},
			want: "g:p:1 g:a:1 g:b:1 g:c:1 g:x:2 g:y:1 g:z:1",
		},
		"optional, test and provided stay out": {
			poms: map[string]string{"g:p:1": needs("g:a:1"+runtime, "g:t:1"+test, "g:o:1"+optional, "g:v:1"+provided, "g:s:1 <scope>system</scope>"), "g:a:1": needs("g:o:1"+optional, "g:t:1"+test)},
			want: "g:p:1 g:a:1",
		},
		"parents give versions, properties and dependencies": {
			poms: map[string]string{
				"g:top:1":  "<properties><x.version>1</x.version><own>0</own></properties>" + needs("g:common:${own}"),
				"g:up:2":   "<parent><groupId>g</groupId><artifactId>top</artifactId><version>1</version></parent><properties><own>5</own></properties>" + managed("g:a:${x.version}"),
				"g:p:3":    "<parent><groupId>g</groupId><artifactId>up</artifactId><version>2</version></parent><properties><x.version>7</x.version></properties>" + needs("g:a", "g:self:${project.version}", "g:q:${project.parent.version}"),
				"g:a:7":    "",
				"g:self:3": "", "g:q:2": "", "g:common:5": "",
			},
			want: "g:p:3 g:a:7 g:self:3 g:q:2 g:common:5",
		},
		"group and version are the parent's": {
			poms: map[string]string{"h:up:4": "", "g:p:1": needs("h:kid:4")},
			more: map[string]string{"h/kid/4/kid-4.pom": "<project><parent><groupId>h</groupId><artifactId>up</artifactId><version>4</version></parent><artifactId>kid</artifactId></project>"},
			want: "g:p:1 h:kid:4",
		},
		"imports, of which the POM's own word and the first count": {
			poms: map[string]string{
				"g:bom1:1": managed("g:a:1", "g:b:1"), "g:bom2:1": managed("g:b:2", "g:c:2", "g:d:2"),
				"g:p:1": managed("g:bom1:1 <type>pom</type><scope>import</scope>", "g:bom2:1 <type>pom</type><scope>import</scope>", "g:c:3") + needs("g:a", "g:b", "g:c", "g:e:1"),
				"g:a:1": "", "g:b:1": "", "g:c:3": "", "g:e:1": needs("g:d:1"), "g:d:2": "",
			},
			want: "g:p:1 g:a:1 g:b:1 g:c:3 g:e:1 g:d:2",
		},
		"what the root manages counts deep below, scopes and exclusions too": {
			poms: map[string]string{
				"g:p:1": managed("g:x:9", "g:y:1"+test, "g:z:1 <exclusions><exclusion><groupId>*</groupId><artifactId>w</artifactId></exclusion></exclusions>") + needs("g:a:1"),
				"g:a:1": needs("g:x:1", "g:y:1", "g:z:1"), "g:x:9": "", "g:z:1": needs("g:w:1", "g:v:1"), "g:v:1": "",
			},
			want: "g:p:1 g:a:1 g:x:9 g:z:1 g:v:1",
		},
		"exclusions hold for all below": {
			poms: map[string]string{"g:p:1": needs("g:a:1 <exclusions><exclusion><groupId>g</groupId><artifactId>x</artifactId></exclusion></exclusions>"), "g:a:1": needs("g:b:1"), "g:b:1": needs("g:x:1", "g:y:1"), "g:y:1": ""},
			want: "g:p:1 g:a:1 g:b:1 g:y:1",
		},
		"relocated, and once only": {
			poms: map[string]string{
				"g:p:1": needs("old:a:1", "old:b:1"), "old:a:1": "<distributionManagement><relocation><groupId>new</groupId></relocation></distributionManagement>", "new:a:1": needs("g:x:1"),
				"old:b:1": "<distributionManagement><relocation><groupId>new</groupId><artifactId>a</artifactId></relocation></distributionManagement>", "g:x:1": "",
			},
			want: "g:p:1 new:a:1 g:x:1",
		},
		"ranges": {
			poms: map[string]string{"g:p:1": needs("g:a:[1,2)", "g:b:[1.5]"), "g:a:1.9": "", "g:b:1.5": ""},
			more: map[string]string{"g/a/maven-metadata.xml": "<metadata><groupId>g</groupId><artifactId>a</artifactId><versioning><versions><version>1</version><version>1.10-SNAPSHOT</version><version>1.9</version><version>2</version></versions></versioning></metadata>"},
			want: "g:p:1 g:a:1.9 g:b:1.5",
		},
		"POMs without a file, classifiers and types": {
			poms: map[string]string{"g:p:1": needs("g:all:1 <type>pom</type>", "g:n:1 <classifier>linux</classifier>", "g:n:1", "g:t:1 <type>test-jar</type>", "g:t:1 <type>test-jar</type><classifier>testlib</classifier>", "g:d:1 <type>zip</type>"), "g:all:1": needs("g:a:1"), "g:a:1": "", "g:n:1": "", "g:t:1": "", "g:d:1": ""},
			want: "g:p:1 g:all:1 (pom) g:n:1:linux g:n:1 g:t:1:tests g:t:1:testlib g:d:1 (zip) g:a:1",
		},
		"profiles that are active everywhere": {
			poms: map[string]string{
				"g:p:1": needs("g:a:${v}") + "<profiles><profile><id>d</id><activation><activeByDefault>true</activeByDefault></activation><properties><v>1</v></properties></profile></profiles>",
				"g:a:1": "<profiles><profile><id>new</id><activation><jdk>[11,)</jdk></activation>" + needs("g:n:1") + "</profile><profile><id>old</id><activation><jdk>1.8</jdk></activation>" + needs("g:o:1") + "</profile>" +
					"<profile><id>no</id><activation><property><name>!set</name></property></activation>" + needs("g:u:1") + "</profile></profiles>",
				"g:n:1": "", "g:u:1": "",
			},
			want: "g:p:1 g:a:1 g:n:1 g:u:1",
		},
		"one dependency twice is the later one": {
			poms: map[string]string{"g:p:1": needs("g:a:1", "g:b:1", "g:a:2"), "g:a:2": "", "g:b:1": ""},
			want: "g:p:1 g:a:2 g:b:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := repo{}
			for gav, inside := range tt.poms {
				r.pom(gav, inside)
			}
			maps.Copy(r, tt.more)
			got, err := r.closure(t, "g:p:"+strings.Split(strings.Fields(tt.want)[0], ":")[2])
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("%v\n got %s\nwant %s", err, strings.Join(got, " "), tt.want)
			}
		})
	}
}

// TestClosureRefused: what cannot be resolved for every machine alike is refused,
// with what is wrong.
func TestClosureRefused(t *testing.T) {
	t.Parallel()
	circle := "<parent><groupId>g</groupId><artifactId>%s</artifactId><version>1</version></parent>"
	for name, tt := range map[string]struct {
		poms  map[string]string
		class fault.Class
		want  []string
	}{
		"no such artifact":    {map[string]string{"g:p:1": needs("g:a:1")}, fault.Upstream, []string{"POM of g:a:1"}},
		"nobody says":         {map[string]string{"g:p:1": needs("g:a:${os.detected.classifier}")}, fault.Usage, []string{"g:p:1", "${os.detected.classifier}", "g:a"}},
		"no version":          {map[string]string{"g:p:1": needs("g:a")}, fault.Usage, []string{"g:p:1", "g:a", "no version"}},
		"a snapshot":          {map[string]string{"g:p:1": needs("g:a:1-SNAPSHOT")}, fault.Policy, []string{"g:a:1-SNAPSHOT"}},
		"parents in a circle": {map[string]string{"g:p:1": fmt.Sprintf(circle, "a"), "g:a:1": fmt.Sprintf(circle, "p")}, fault.Usage, []string{"loop"}},
		"imports itself":      {map[string]string{"g:p:1": managed("g:a:1 <type>pom</type><scope>import</scope>"), "g:a:1": managed("g:p:1 <type>pom</type><scope>import</scope>")}, fault.Usage, []string{"imports itself"}},
		"moved in a circle":   {map[string]string{"g:p:1": needs("g:a:1"), "g:a:1": "<distributionManagement><relocation><artifactId>b</artifactId></relocation></distributionManagement>", "g:b:1": "<distributionManagement><relocation><artifactId>a</artifactId></relocation></distributionManagement>"}, fault.Usage, []string{"loop"}},
		"a profile of the machine": {map[string]string{"g:p:1": "<profiles><profile><id>mac</id><activation><os><family>mac</family></os></activation>" + needs("g:a:1") + "</profile></profiles>"},
			fault.Usage, []string{"profile mac", "depends on the machine"}},
		"a path in a coordinate": {map[string]string{"g:p:1": needs("g:../../x:1")}, fault.Usage, []string{"../../x"}},
		"a path in a version":    {map[string]string{"g:p:1": needs("g:a:1/../2")}, fault.Usage, []string{"1/../2"}},
		"ranges that exclude one another": {map[string]string{"g:p:1": needs("g:a:1", "g:b:1"), "g:a:1": "", "g:b:1": needs("g:a:[2]")},
			fault.Usage, []string{"g:b:1", "[2]", "nearer"}},
		"no POM of it":        {map[string]string{"g:p:1": "</project><project>"}, fault.Upstream, []string{"POM of g:p:1", "malformed"}},
		"an entity":           {map[string]string{"g:p:1": "<name>&evil;</name>"}, fault.Upstream, []string{"POM of g:p:1", "malformed"}},
		"an endless property": {map[string]string{"g:p:1": "<properties><a>${b}</a><b>${a}</b></properties>" + needs("g:a:${a}")}, fault.Usage, []string{"not defined"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := repo{}
			for gav, inside := range tt.poms {
				r.pom(gav, inside)
			}
			_, err := r.closure(t, "g:p:1")
			fake.WantFault(t, err, tt.class, tt.want...)
		})
	}
	r := repo{}
	r.pom("g:p:1", "")
	r["g/p/1/p-1.pom"] = strings.Replace(r["g/p/1/p-1.pom"], "<version>1<", "<version>2<", 1)
	_, err := r.closure(t, "g:p:1")
	fake.WantFault(t, err, fault.Integrity, "the POM of g:p:1 says that it is g:p:2")
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	const doc = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><metadata><groupId>g.h</groupId><artifactId>a</artifactId><versioning><release>9</release><versions><version>1</version><version>2-SNAPSHOT</version><version> 3 </version></versions><lastUpdated>20261019201420</lastUpdated></versioning></metadata>"
	m, err := ParseMetadata("g.h:a", []byte(doc))
	if err != nil || !slices.Equal(m.Versions, []string{"1", "3"}) || m.Updated.Year() != 2026 {
		t.Errorf("%+v %v", m, err)
	}
	for _, bad := range []string{"", "<html>login</html>", "<metadata>", strings.Replace(doc, "g.h", "other", 1), "<project/>", "<metadata/><metadata/>"} {
		_, err := ParseMetadata("g.h:a", []byte(bad))
		fake.WantFault(t, err, fault.Upstream, "g.h:a")
	}
}

// TestCheckPOM: a POM is that of the artifact that it lies beside.
func TestCheckPOM(t *testing.T) {
	t.Parallel()
	c := Coordinate{Group: "g", Artifact: "a", Version: "1"}
	const inherits = "<parent><groupId>g</groupId><artifactId>up</artifactId><version>1</version></parent>"
	for text, class := range map[string]fault.Class{
		"<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version></project>":                                     fault.OK,
		"<project>" + inherits + "<artifactId>a</artifactId></project>":                                                             fault.OK,
		"<project><groupId>g</groupId><artifactId>a</artifactId><version>${revision}</version></project>":                           fault.OK,
		"<project><groupId>g</groupId><artifactId>a</artifactId><version>${v}</version><properties><v>2</v></properties></project>": fault.Integrity,
		"<project><groupId>h</groupId><artifactId>a</artifactId><version>1</version></project>":                                     fault.Integrity,
		"<project><groupId>g</groupId><version>1</version></project>":                                                               fault.Integrity,
		"<project><groupId>g</groupId><artifactId>a</artifactId>":                                                                   fault.Upstream,
		"not XML": fault.Upstream,
	} {
		if err := CheckPOM(c, []byte(text)); (class == fault.OK) != (err == nil) || err != nil && fault.Of(err) != class {
			t.Errorf("%s: %v", text, err)
		}
	}
}
