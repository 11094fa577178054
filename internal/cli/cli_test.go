package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// state is one run of the program of the tests.
type state struct {
	place, bundle string
	all, offline  bool
	did           string
}

func sample() *Program[state] {
	does := func(what string) func(context.Context, *state, []string) error {
		return func(_ context.Context, s *state, args []string) error {
			s.did = fmt.Sprintf("%s%q place=%s bundle=%s all=%t offline=%t", what, args, s.place, s.bundle, s.all, s.offline)
			return nil
		}
	}
	return &Program[state]{
		Name: "tool", Long: "tool does things.", Example: "tool get x",
		Flags: func(f *pflag.FlagSet, s *state) {
			f.StringVar(&s.place, "place", "", "the `PLACE` to look in")
			f.BoolVar(&s.offline, "offline", false, "make no connection")
			f.Lookup("offline").Hidden = true
		},
		Values: func(s *state, verb, flag, name string) []string {
			switch {
			case flag == "" && name == "NAME":
				return []string{"ant", "ant@1", "ant@2", "ape", s.place + "bee"}
			case flag == "bundle":
				return []string{"beasts", "of-" + verb}
			}
			return nil
		},
		Others: [][2]string{{"fetch", "tool get NAME"}},
		Topics: fstest.MapFS{"policy.md": {Data: []byte("# Policy\n\nAll of it.\n\n## First Part\n\n```\n# no heading\n```\n\n### Below\n\n## Second\n\nend\n\n## [plugins.NAME], and `go_out`: C++\n\nlast\n")}, "birds/owl.md": {Data: []byte("# Owls\n")}, "notes.txt": {}},
		Verbs: []*Verb[state]{
			{Name: "get", Args: "NAME", Short: "get it", Long: "It gets.", Example: "tool get x", JSON: true, Uses: []string{"offline"}, Run: does("get"),
				Flags: func(f *pflag.FlagSet, s *state) {
					f.StringVar(&s.bundle, "bundle", "", "a `BUNDLE`")
					f.String("out", "", "a `DIR`")
					f.String("in", "", "a `FILE`")
				}},
			{Name: "run", Args: "NAME [ARG…]", Short: "run it", Long: "It runs.", Example: "tool run x -- y", Passes: true, Run: does("run"), Uses: []string{"offline"}},
			{Name: "cache verify", Short: "verify it", Long: "It verifies.", Example: "tool cache verify", Run: does("verify"),
				Flags: func(f *pflag.FlagSet, s *state) { f.BoolVar(&s.all, "all", false, "all of it") }},
			{Name: "cache clear", Short: "clear it", Long: "It clears.", Example: "tool cache clear", Run: func(context.Context, *state, []string) error {
				return fault.Errorf(fault.Usage, "", "not so")
			}},
		},
	}
}

// do runs the program and returns what it did and printed.
func do(args ...string) (did, stdout string, err error) {
	var out, talk bytes.Buffer
	s := &state{}
	run, err := sample().Parse(ui.New("tool", &out, &talk), s, args)
	if err == nil {
		err = run(context.Background())
	}
	return s.did, out.String() + talk.String(), err
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ args, did string }{
		{"get x", `get["x"] place= bundle= all=false offline=false`},
		{"get x --place p --bundle=b", `get["x"] place=p bundle=b all=false offline=false`},
		{"--place p -q get x", `get["x"] place=p bundle= all=false offline=false`},
		{"--bundle get get x", `get["x"] place= bundle=get all=false offline=false`},
		{"-qv --place=get get x", `get["x"] place=get bundle= all=false offline=false`},
		{"get -- x --place", `get["x" "--place"] place= bundle= all=false offline=false`},
		{"cache verify", `verify[] place= bundle= all=false offline=false`},
		{"--all cache --place p verify --offline", `verify[] place=p bundle= all=true offline=true`}, // hidden, and harmless
		{"run x", `run["x"] place= bundle= all=false offline=false`},
		{"run x --version", `run["x" "--version"] place= bundle= all=false offline=false`},
		{"run x --help -q y", `run["x" "--help" "-q" "y"] place= bundle= all=false offline=false`},
		{"run --offline x --place p", `run["x" "--place" "p"] place= bundle= all=false offline=true`},
		{"run x -- --place p", `run["x" "--place" "p"] place= bundle= all=false offline=false`},
		{"run x --place p -- --place q -- r", `run["x" "--place" "q" "--" "r"] place=p bundle= all=false offline=false`},
		{"run x y -- z", `run["x" "y" "--" "z"] place= bundle= all=false offline=false`},
		{"run x --other -- z", `run["x" "--other" "--" "z"] place= bundle= all=false offline=false`},
		{"run x --version -- z", `run["x" "--version" "--" "z"] place= bundle= all=false offline=false`},
		{"run x --", `run["x"] place= bundle= all=false offline=false`},
		{"-q=true get x", `get["x"] place= bundle= all=false offline=false`},
		{"get - x", `get["-" "x"] place= bundle= all=false offline=false`},
		{"run -- x y", `run["x" "y"] place= bundle= all=false offline=false`},
		{"run", `run[] place= bundle= all=false offline=false`},
	} {
		did, said, err := do(strings.Fields(tt.args)...)
		if did != tt.did || said != "" || err != nil {
			t.Errorf("%s: did %s, want %s; said %q, %v", tt.args, did, tt.did, said, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ args, message, hint string }{
		{"", "no command given; commands are\n  get           get it\n", "run: tool help"},
		{"gte x", `unknown command "gte"`, "did you mean get? commands are get, run, cache verify, cache clear, help, version, completion"},
		{"helo", `unknown command "helo"`, "did you mean help?"},
		{"fetch x", `unknown command "fetch"`, "write: tool get NAME; commands are get, run"},
		{"help fetch", `unknown command or topic "fetch"`, "write: tool get NAME; commands are get, run"},
		{"frobnicate", `unknown command "frobnicate"`, "commands are get, run"},
		{"cache", "tool cache needs one of: verify, clear", "run: tool help cache"},
		{"cache clean", `tool cache has no command "clean"`, "did you mean clear?"},
		{"cache verify x", `tool cache verify takes no arguments, got "x"`, "run: tool help cache verify"},
		{"get --bundel b x", "unknown flag: --bundel", "did you mean --bundle? otherwise run: tool help get"},
		{"--plaec p get x", "unknown flag: --plaec", "did you mean --place? otherwise run: tool help"},
		{"get --all x", "--all is a flag of tool cache verify", "run: tool help get"},
		{"--all get x", "--all is a flag of tool cache verify", "run: tool help get"},
		{"get --place", "flag needs an argument: --place", "run: tool help get"},
		{"--place", "flag needs an argument: --place", "run: tool help"},
		{"get -x", "unknown shorthand flag: 'x' in -x", "run: tool help get"},
		{"-x get", "unknown shorthand flag: 'x' in -x", "run: tool help"},
		{"get x --color red", "write one of auto, always, never", "run: tool help get"},
		{"run --bogus x", "unknown flag: --bogus", "run: tool help run"},
		{"help polcy", `unknown command or topic "polcy"`, "did you mean policy?"},
		{"help notes", `unknown command or topic "notes"`, "topics are birds/owl, policy"},
		{"help policy#third", `unknown command or topic "policy#third"`, "topics are birds/owl, policy"},
		{"help gte", `unknown command "gte"`, "did you mean get?"},
		{"- get", `unknown command "-"`, "commands are get"},
		{"-é get", "unknown shorthand flag", "run: tool help"},
		{"--=x get", "bad flag syntax", "run: tool help"},
		{"help gte verify", `unknown command or topic "gte verify"`, "commands are get"},
		{"help cache vrify", `tool cache has no command "vrify"`, "did you mean verify?"},
		{"cache clear", "not so", "run: tool help cache clear"},
	} {
		did, said, err := do(strings.Fields(tt.args)...)
		if fault.Of(err) != fault.Usage || did != "" || said != "" || err == nil {
			t.Errorf("%s: did %q, said %q, %v; want an error of the command line", tt.args, did, said, err)
		} else if !strings.Contains(err.Error(), tt.message) || !strings.Contains(fault.Hint(err), tt.hint) {
			t.Errorf("%s: %v\nhint %s\nwant %s\nhint %s", tt.args, err, fault.Hint(err), tt.message, tt.hint)
		}
	}
}

// TestHelp: each way to ask for help gives the same text, and asking is never an
// error.
func TestHelp(t *testing.T) {
	for _, tt := range []struct {
		args []string // each as good as the others
		want []string
	}{
		{[]string{"help", "--help", "-h"}, []string{"usage: tool COMMAND [flags]", "  cache verify  verify it\n", "      --place PLACE ", "help TOPIC", ":\n  birds/owl policy\n", "  130  interrupted"}},
		{[]string{"help get", "get --help", "get x -h", "--help get", "--place p get --help", "get --version=false -h"},
			[]string{"usage: tool get NAME [flags]\n\nget it\n\nIt gets.\n\nexamples:\n  tool get x\n\nflags:\n      --bundle BUNDLE     a BUNDLE\n", "      --offline           make no connection\n\nflags of every command:\n      --place PLACE ", "print the result, or the error, as JSON"}},
		{[]string{"help run", "run --help", "run -h x"}, []string{"usage: tool run [flags] NAME [ARG…]\n", "      --json              print an error as JSON\n"}},
		{[]string{"help cache", "cache --help", "-h cache"}, []string{"usage: tool cache verify [flags]\n", "usage: tool cache clear [flags]\n"}},
		{[]string{"help cache verify", "cache verify -h"}, []string{"usage: tool cache verify [flags]\n"}},
		{[]string{"help policy", "help docs/policy.md"}, []string{"# Policy\n", "end\n"}},
		{[]string{"help policy#pluginsname-and-go_out-c", "help policy#pluginsNAME-and-go_out-c"}, []string{"## [plugins.NAME], and `go_out`: C++\n\nlast\n"}},
		{[]string{"help policy#first-part", "help docs/policy.md#first-part"}, []string{"## First Part\n\n```\n# no heading\n```\n\n### Below\n"}},
		{[]string{"help birds/owl", "help docs/birds/owl.md"}, []string{"# Owls\n"}},
		{[]string{"help policy#second"}, []string{"## Second\n\nend\n"}},
		{[]string{"help help"}, []string{"usage: tool help [COMMAND|TOPIC] [flags]\n"}},
	} {
		first := ""
		for _, args := range tt.args {
			did, said, err := do(strings.Fields(args)...)
			if err != nil || did != "" {
				t.Errorf("%s: did %q, %v", args, did, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(said, want) {
					t.Errorf("%s: %q is not in\n%s", args, want, said)
				}
			}
			if first == "" {
				first = said
			}
			if said != first {
				t.Errorf("%s differs from %s:\n%s", args, tt.args[0], said)
			}
		}
	}
	if _, said, _ := do("help", "cache", "verify"); strings.Contains(said, "--offline") {
		t.Errorf("a flag that does nothing there is shown:\n%s", said)
	}
}

// TestCheck: the faults that a table can have are found.
func TestCheck(t *testing.T) {
	if err := sample().Check(&state{}); err != nil {
		t.Errorf("the good one: %v", err)
	}
	for want, spoil := range map[string]func(p *Program[state]){
		"get: no text":              func(p *Program[state]) { p.Verbs[0].Long = "" },
		"run: a line of 81 columns": func(p *Program[state]) { p.Verbs[1].Long = strings.Repeat("x", 81) },
		"run uses --bundle, which":  func(p *Program[state]) { p.Verbs[1].Uses = []string{"bundle"} },
		"--bundle takes a value in one verb": func(p *Program[state]) {
			p.Verbs[1].Flags = func(f *pflag.FlagSet, s *state) { f.Bool("bundle", false, "b") }
		},
		"-b takes a value": func(p *Program[state]) {
			p.Verbs[1].Flags = func(f *pflag.FlagSet, s *state) { f.StringP("b", "b", "", "b") }
		},
		"--b has no text": func(p *Program[state]) {
			p.Verbs[1].Flags = func(f *pflag.FlagSet, s *state) { f.Bool("b", false, "") }
		},
	} {
		p := sample()
		spoil(p)
		if err := p.Check(&state{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestComplete: the words that may stand behind others; the last is the one that
// is typed.
func TestComplete(t *testing.T) {
	for _, tt := range []struct{ typed, want string }{
		{"", "get run cache help version completion"},
		{"c", "cache completion"},
		{"-q g", "get"},
		{"--place p ru", "run"},
		{"cache ", "verify clear"},
		{"cache c", "clear"},
		{"get ", "ant ape bee"},
		{"get a", "ant ape"},
		{"get ant@", "ant@1 ant@2"},
		{"get ant@2", "ant@2"},
		{"get --place z ", "ant ape zbee"}, // flags count
		{"--place z get ", "ant ape zbee"},
		{"get ant ", ""},
		{"get -- a", "ant ape"},
		{"get --b", "--bundle"},
		{"get ant --j", "--json"},
		{"get --off", "--offline"},
		{"cache verify --off", ""}, // hidden there
		{"cache verify --a", "--all"},
		{"get --bundle ", "beasts of-get"},
		{"get --bundle=b", "--bundle=beasts"},
		{"get --color a", "auto always"},
		{"get --color=n", "--color=never"},
		{"--color ", "auto always never"},
		{"--bundle ", "beasts of-"},
		{"get --out ", ":dirs"},
		{"get --in=x", ":files"},
		{"run ", "ant ape bee"},
		{"run --of", "--offline"},
		{"run ant -", ":files"}, // not ours
		{"run ant x", ":files"},
		{"run ant --place ", ":files"},
		{"help ca", "cache"},
		{"help cache v", ""},
		{"help pol", "policy"},
		{"completion ", "bash zsh fish powershell"},
		{"gte ", ""},
		{"get --bogus x ", "ant ape bee"}, // running it will say
	} {
		words := strings.Split(tt.typed, " ")
		words[len(words)-1] = "=" + words[len(words)-1]
		_, said, err := do(append([]string{"__complete"}, words...)...)
		var got []string
		for line := range strings.Lines(said) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			got = append(got, word)
		}
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("%q: %v (%v), want %s", tt.typed, got, err, tt.want)
		}
	}
}

// TestCompletion: only shells that we know have a script.
func TestCompletion(t *testing.T) {
	for _, shell := range shells {
		if _, said, err := do("completion", shell); err != nil || !strings.Contains(said, "tool __complete") && !strings.Contains(said, " __complete ") || strings.Contains(said, "PROGRAM") {
			t.Errorf("%s: %v\n%s", shell, err, said)
		}
	}
	for args, hint := range map[string]string{"completion": "run: tool completion bash", "completion fisch": "did you mean fish?", "completion bash zsh": "run: tool completion bash"} {
		if _, _, err := do(strings.Fields(args)...); fault.Of(err) != fault.Usage || !strings.Contains(fault.Hint(err), hint) {
			t.Errorf("%s: %v, hint %s, want %s", args, err, fault.Hint(err), hint)
		}
	}
}

// FuzzParse: no command line ends otherwise than by running something or by an
// error with a class and a hint.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "get x --place p", "--bundle get get x", "run x -- y", "-q=true cache verify", "--=", "-é", "- -- -", "help cache x", "__complete get =", "__complete --place =", "__complete", "completion x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		did, said, err := do(strings.Split(line, " ")...)
		switch {
		case err != nil && (fault.Of(err) != fault.Usage || fault.Hint(err) == "" || strings.Contains(err.Error(), "%!")):
			t.Errorf("%q: %v, hint %q", line, err, fault.Hint(err))
		case err == nil && did == "" && said == "" && !strings.HasPrefix(line, "__complete"):
			t.Errorf("%q: nothing", line)
		}
	})
}

// TestRefusedInColour: --color holds for a command line that cannot be read as well.
func TestRefusedInColour(t *testing.T) {
	for args, coloured := range map[string]bool{
		"frobnicate --color always": true, "--color=always get --bogus": true, "gte": false, "gte --color": false, "gte --color red": false,
		"gte --color=always --color=never": false, "gte -- --color always": false, "run --bogus --color always": true, "cache clean --color always": true,
	} {
		var out, talk bytes.Buffer
		u := ui.New("tool", &out, &talk)
		_, err := sample().Parse(u, &state{}, strings.Fields(args))
		if err == nil {
			t.Errorf("%s is not refused", args)
			continue
		}
		if u.Fail(err); strings.HasPrefix(talk.String(), "tool: \x1b[1;31merror: \x1b[0m") != coloured {
			t.Errorf("%s: %q", args, talk.String())
		}
	}
}
