package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var scratch string // a folder for all tests

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "docs-test-"); err != nil {
		panic(err)
	}
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
				{"lockgen add ts-prot", "ts-proto"},
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
