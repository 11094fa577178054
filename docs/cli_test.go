package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

var scratch string // a folder for all tests

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "docs-test-"); err != nil {
		panic(err)
	}
	testenv.Overlap()
	status := m.Run()
	os.RemoveAll(scratch)
	os.Exit(status)
}

var build = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-o", scratch+"/", "../fetch", "../lockgen").CombinedOutput()
})

// programs returns a folder with lockgen and fetch.
func programs(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the manual shows commands of a Unix shell")
	}
	if out, err := build(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return scratch
}

// completions ask a shell to complete a command line of words that are divided
// by one blank each, and print a candidate a line.
var completions = map[string]string{
	// What readline does, see "Programmable Completion" of the manual: words end
	// at COMP_WORDBREAKS, and these are words of their own.
	"bash": `source <("$1" completion bash)
COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=() rest=$2
while [[ $rest ]]; do
    if [[ $rest =~ ^[=@:]+ || $rest =~ ^[^\ =@:]+ ]]; then COMP_WORDS+=("$BASH_REMATCH"); rest=${rest#"$BASH_REMATCH"}; fi
    if [[ $rest == ' '* ]]; then rest=${rest# }; [[ $rest ]] || COMP_WORDS+=(""); fi
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_"$1"
printf '%s\n' "${COMPREPLY[@]}"`,
	"fish": `$1 completion fish | source; complete -C "$2" | string replace -r '\t.*' ''; true`,
	// Without a terminal there is no completion system; _describe and _files say
	// what they were given.
	"zsh": `compdef() { }
_describe() { print -rl -- ${(P)2%%:*} }
_files() { [[ $1 == -/ ]] && print -l $words[CURRENT]*(N/) || print -l $words[CURRENT]*(N) }
source <($1 completion zsh)
words=("${(@s: :)2}"); CURRENT=${#words}
_$1`,
	"pwsh": `Invoke-Expression (& $args[0] completion powershell | Out-String)
(TabExpansion2 -inputScript $args[1] -cursorColumn $args[1].Length).CompletionMatches | ForEach-Object { $_.CompletionText }`,
}

// TestCompletion: the scripts of both programs complete in the real shells.
func TestCompletion(t *testing.T) {
	for shell, program := range completions {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip("skipped: no "+shell+":", err)
			}
			if out, err := exec.Command(path, "-c", "exit 0").CombinedOutput(); err != nil {
				t.Skipf("skipped: %s does not run: %v\n%s", path, err, out)
			}
			w := newWorld(t, programs(t))
			w.write("file.toml", "")
			if err := os.Mkdir(filepath.Join(w.dir, "dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct{ line, want string }{
				{"fetch ge", "get"},
				{"fetch cache ", "clear verify"},
				{"fetch get ", "script tool"},
				{"fetch get --offline to", "tool"},
				{"fetch get tool@", "tool@1.0.0"},
				{"fetch run --platform linux-x", "linux-x86_64"},
				{"fetch run --platform=linux-x", "--platform=linux-x86_64"},
				{"fetch stats --res", "--reset"},
				{"fetch --lock fi", "file.toml"},
				{"fetch --cache-dir d", "dir/"},
				{"lockgen rem", "remove"},
				{"lockgen explain --up", "--upstream"},
				{"lockgen update s", "script"},
				{"lockgen update t", "tool"},
				{"lockgen tree to", "tool"},
				{"lockgen why tool-", "tool-wheel"},
				{"lockgen explain tool --why tool-", "tool-wheel"},
				{"lockgen sbom --format s", "spdx"},
				{"lockgen add mypy-prot", "mypy-protobuf"},
				{"lockgen help doc", "doctor"},
				{"lockgen completion fi", "fish"},
			} {
				name, _, _ := strings.Cut(tt.line, " ")
				flag := "-c"
				args := []string{flag, program, shell, name, tt.line}
				switch shell {
				case "fish":
					args = []string{flag, "set 1 $argv[1]; set 2 $argv[2]; " + program, name, tt.line}
				case "pwsh":
					args = []string{"-NoProfile", "-CommandWithArgs", program, name, tt.line}
				}
				cmd := exec.Command(path, args...)
				cmd.Dir = w.dir
				cmd.Env = []string{"PATH=" + w.bin + ":" + os.Getenv("PATH"), "HOME=" + w.vacant, "BUCK2_PROTOBUF_CACHE_DIR=" + w.cache}
				out, err := cmd.CombinedOutput()
				got := strings.Fields(strings.ReplaceAll(string(out), "dir/", "dir")) // some leave the slash to the display
				want := strings.Fields(strings.ReplaceAll(tt.want, "dir/", "dir"))
				if shell == "bash" { // it replaces what is behind the last of = and @
					for i := range want {
						if at := strings.LastIndexAny(tt.line, "=@"); at >= 0 {
							want[i] = want[i][strings.LastIndexAny(want[i], "=@")+1:]
						}
					}
				}
				if !sameWords(got, want) || err != nil {
					t.Errorf("%q: %v (%v), want %v", tt.line, got, err, want)
				}
			}
		})
	}
}

// sameWords reports whether two lists have the same words in any order.
func sameWords(a, b []string) bool {
	count := map[string]int{}
	for _, word := range a {
		count[word]++
	}
	for _, word := range b {
		count[word]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return len(a) == len(b)
}

// TestReference: cli.md is what the programs say of themselves.
func TestReference(t *testing.T) {
	t.Parallel()
	const page = "cli.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	intro, _, found := strings.Cut(string(text), "\n## ")
	if !found {
		t.Fatalf("%s has no section", page)
	}
	want := intro + "\n"
	for _, name := range []string{"lockgen", "fetch"} {
		want += reference(t, name, "__markdown") + "\n"
	}
	want = strings.TrimSuffix(want, "\n")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is stale; look at the help and run: UPDATE_GOLDEN=1 go test ./docs -run TestReference", page)
	}
	for _, verb := range []string{"lockgen update", "lockgen help", "fetch get", "fetch cache clear", "fetch completion"} {
		if !strings.Contains(want, "\n### "+verb+"\n") {
			t.Errorf("no section of %s", verb)
		}
	}
}

// TestMan: the manual pages are well formed, and have every verb of cli.md.
func TestMan(t *testing.T) {
	t.Parallel()
	checks := map[string][]string{"man": {"--warnings", "-l"}, "mandoc": {"-Tlint", "-Werror"}}
	page, err := os.ReadFile("cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lockgen", "fetch"} {
		file := filepath.Join(t.TempDir(), name+".1")
		text := reference(t, name, "__man")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		verbs := 0
		for line := range strings.Lines(string(page)) {
			if verb, ok := strings.CutPrefix(line, "### "+name+" "); ok {
				verbs++
				if heading := ".SS " + name + " " + strings.ReplaceAll(strings.TrimSpace(verb), "-", `\-`); !strings.Contains(text, heading) {
					t.Errorf("%s.1 has no %q", name, heading)
				}
			}
		}
		if verbs < 8 {
			t.Errorf("found %d verbs of %s only", verbs, name)
		}
		for tool, args := range checks {
			if _, err := exec.LookPath(tool); err != nil {
				t.Logf("not checked with %s: %v", tool, err)
				continue
			}
			cmd := exec.Command(tool, append(args, file)...)
			var complaints strings.Builder
			cmd.Stderr = &complaints
			shown, err := cmd.Output()
			if tool == "mandoc" { // which complains on stdout
				complaints.Write(shown)
			}
			if err != nil || complaints.Len() > 0 {
				t.Errorf("%s %s.1: %v\n%s", tool, name, err, complaints.String())
			}
		}
	}
}

// reference is what a program says of itself.
func reference(t *testing.T, name, what string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs(t), name), what)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
