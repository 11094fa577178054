package pkgmgr

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestMain lets a link to the test binary be a program: what its name says, as
// the file NAME.says beside it tells, one word or line each.
func TestMain(m *testing.M) {
	me := strings.TrimSuffix(os.Args[0], ".exe")
	says, err := os.ReadFile(me + ".says")
	if err != nil {
		os.Exit(m.Run())
	}
	os.Exit(fakeTool(strings.TrimSpace(string(says)), me))
}

// fakeTool is a program that does one thing.
func fakeTool(says, me string) int {
	word, rest, _ := strings.Cut(says, " ")
	switch word {
	case "print":
		fmt.Println(rest)
	case "complain": // on stderr, then fail
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(rest, `\e`, "\x1b"))
		return 3
	case "flood":
		for {
			if _, err := fmt.Println(strings.Repeat("x", 1<<10)); err != nil {
				return 1
			}
		}
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "dial":
		_, err := net.Dial("tcp", rest)
		fmt.Println(err)
	case "stdin":
		data, err := io.ReadAll(os.Stdin)
		fmt.Println(len(data), err)
	case "hang", "leave": // with a child that hangs as well and holds the pipes
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "FAKE_CHILD=1")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if os.Getenv("FAKE_CHILD") == "" {
			if err := child.Start(); err != nil {
				return 1
			}
			if err := os.WriteFile(me+".pid", fmt.Append(nil, child.Process.Pid), 0o600); err != nil {
				return 1
			}
		}
		if word == "leave" && os.Getenv("FAKE_CHILD") == "" {
			fmt.Println("left")
			return 0
		}
		time.Sleep(time.Minute)
	}
	return 0
}

// fakes makes programs in a new folder and returns it. Says is by name.
func fakes(t *testing.T, says map[string]string) string {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range says {
		link := filepath.Join(dir, name)
		if err := os.WriteFile(link+".says", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "windows" {
			link += ".exe"
		}
		if err := place(me, link); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tool is a command that runs one fake program.
func tool(t *testing.T, says string) command {
	dir := fakes(t, map[string]string{"tool": says})
	return command{name: "tool", path: filepath.Join(dir, "tool"), dir: dir, class: fault.Upstream, mend: "mend it"}
}

// wantFault checks the class of an error and what its text says.
func wantFault(t *testing.T, err error, class fault.Class, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want class %s and %q", class, texts)
	}
	if got := fault.Of(err); got != class {
		t.Errorf("class %s, want %s: %v", got, class, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
}

func TestRun(t *testing.T) {
	ctx := t.Context()
	out, err := tool(t, "print hello").run(ctx)
	if err != nil || strings.TrimSpace(string(out)) != "hello" {
		t.Errorf("print: %q, %v", out, err)
	}
	out, err = tool(t, "stdin").run(ctx)
	if err != nil || strings.TrimSpace(string(out)) != "0 <nil>" {
		t.Errorf("standard input is not empty: %q, %v", out, err)
	}

	t.Setenv("NPM_TOKEN", "secret")
	c := tool(t, "env")
	c.env = []string{"ONLY=this"}
	out, err = c.run(ctx)
	if err != nil || !strings.Contains(string(out), "ONLY=this") || strings.Contains(string(out), "secret") {
		t.Errorf("environment: %q, %v", out, err)
	}
	c.env = nil
	if out, err = c.run(ctx); err != nil || strings.Contains(string(out), "secret") {
		t.Errorf("no environment means ours: %q, %v", out, err)
	}

	_, err = tool(t, `complain GET https://me:pw@h/x?sig=abc failed, \e[31m_authToken=npm_abcdefghijklmnopqrstuvwx`).run(ctx)
	wantFault(t, err, fault.Upstream, "tool: exit status 3", "https://***@h/x?***", `\u001b[31m`, "_authToken=***")
	for _, secret := range []string{"pw", "abc", "\x1b"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in: %v", secret, err)
		}
	}
	if got := fault.Mend(err); got != "mend it" {
		t.Errorf("mend %q", got)
	}

	c = tool(t, "flood")
	c.limit = 1 << 20
	_, err = c.run(ctx)
	wantFault(t, err, fault.Upstream, "more than 1048576 bytes")

	c = tool(t, "print")
	c.path += "-missing"
	_, err = c.run(ctx)
	wantFault(t, err, fault.Upstream, "tool-missing")
}

func TestRunEndsWithAllItStarted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("looks for a process in the way of Unix")
	}
	for _, how := range []string{"cancel", "timeout", "end"} {
		t.Run(how, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := tool(t, map[string]string{"cancel": "hang", "timeout": "hang", "end": "leave"}[how])
			c.timeout = time.Minute
			if how == "timeout" {
				c.timeout = 2 * time.Second
			}
			done := make(chan error, 1)
			start := time.Now()
			go func() {
				_, err := c.run(ctx)
				done <- err
			}()
			var pid int
			for pid == 0 {
				if time.Since(start) > 20*time.Second {
					t.Fatal("the child did not start")
				}
				time.Sleep(20 * time.Millisecond)
				data, _ := os.ReadFile(c.path + ".pid")
				fmt.Sscan(string(data), &pid)
			}
			if how == "cancel" {
				cancel()
			}
			err := <-done
			switch how {
			case "cancel":
				wantFault(t, err, fault.Interrupted, "tool: context canceled")
			case "end":
				if err != nil {
					t.Error(err)
				}
			default:
				wantFault(t, err, fault.Upstream, "did not end within 2s")
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("took %s", d)
			}
			for alive(pid) {
				if time.Since(start) > 20*time.Second {
					t.Fatalf("its child %d lives on", pid)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

func TestRunOffline(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux takes the network from a program")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := tool(t, "dial "+l.Addr().String())
	out, err := c.run(t.Context())
	if err != nil || strings.TrimSpace(string(out)) != "<nil>" {
		t.Fatalf("with a network: %q, %v", out, err)
	}
	c.offline = true
	out, err = c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(out)) == "<nil>" {
		t.Skip("this machine does not let a program go without network")
	}
	if !strings.Contains(string(out), "unreachable") {
		t.Errorf("without a network: %q", out)
	}
}

func TestAtLeast(t *testing.T) {
	for _, test := range []struct {
		version string
		yes, ok bool
	}{
		{"11.10.0", true, true}, {"11.9.9", false, true}, {"11.10", true, true}, {"12", true, true}, {"11", false, true},
		{"9.99.0", false, true}, {"100.0.0-pre.1", true, true}, {"11.10.0+ds1", true, true},
		{"", false, false}, {"v11.10.0", false, false}, {"eleven", false, false}, {"11.x", false, false},
	} {
		if yes, ok := atLeast(test.version, 11, 10); yes != test.yes || ok != test.ok {
			t.Errorf("atLeast(%q) = %v, %v, want %v, %v", test.version, yes, ok, test.yes, test.ok)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h/a":                        "https://***@h/a",
		"see https://h/a?x=1 now":                "see https://h/a?*** now",
		"//h/:_authToken=abc":                    "//h/:_authToken=***",
		"Authorization: Bearer abcdef":           "Authorization: ***",
		"got npm_0123456789abcdefghij in .npmrc": "got *** in .npmrc",
		"@bufbuild/protobuf@2.17.0 is fine":      "@bufbuild/protobuf@2.17.0 is fine",
	} {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}
