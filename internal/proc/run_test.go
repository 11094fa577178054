package proc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// tool is a command that runs one fake program.
func tool(t *testing.T, says string) Command {
	dir := fake.Programs(t, map[string]string{"tool": says})
	return Command{Name: "tool", Path: filepath.Join(dir, "tool"), Dir: dir, Class: fault.Upstream, Hint: "repair it"}
}

func TestRun(t *testing.T) {
	ctx := t.Context()
	out, err := tool(t, "print hello").Run(ctx)
	if err != nil || strings.TrimSpace(string(out)) != "hello" {
		t.Errorf("print: %q, %v", out, err)
	}
	out, err = tool(t, "stdin").Run(ctx)
	if err != nil || strings.TrimSpace(string(out)) != "0 <nil>" {
		t.Errorf("standard input is not empty: %q, %v", out, err)
	}

	t.Setenv("NPM_TOKEN", "secret")
	c := tool(t, "env")
	c.Env = []string{"ONLY=this"}
	out, err = c.Run(ctx)
	if err != nil || !strings.Contains(string(out), "ONLY=this") || strings.Contains(string(out), "secret") {
		t.Errorf("environment: %q, %v", out, err)
	}
	c.Env = nil
	if out, err = c.Run(ctx); err != nil || strings.Contains(string(out), "secret") {
		t.Errorf("no environment means ours: %q, %v", out, err)
	}

	_, err = tool(t, `complain GET https://me:pw@h/x?sig=abc failed, \e[31m_authToken=npm_abcdefghijklmnopqrstuvwx`).Run(ctx)
	fake.WantFault(t, err, fault.Upstream, "tool: exit status 3", "https://***@h/x?***", `\u001b[31m`, "_authToken=***")
	for _, secret := range []string{"pw", "abc", "\x1b"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in: %v", secret, err)
		}
	}
	if got := fault.Hint(err); got != "repair it" {
		t.Errorf("hint %q", got)
	}

	c = tool(t, "flood")
	c.Limit = 1 << 20
	_, err = c.Run(ctx)
	fake.WantFault(t, err, fault.Upstream, "more than 1048576 bytes")

	c = tool(t, "print")
	c.Path += "-missing"
	_, err = c.Run(ctx)
	fake.WantFault(t, err, fault.Upstream, "tool-missing")
}

// TestProgress: lines that tell progress are handed over as they are, and are no part
// of what a failed program said.
func TestProgress(t *testing.T) {
	c := tool(t, "complain 1 of 2\ntrouble\r\n2 of 2\nmore\n"+strings.Repeat("x", maxLine+10)+"\nend")
	var lines []string
	c.Progress = func(line string) bool {
		lines = append(lines, line)
		return strings.HasSuffix(line, " of 2")
	}
	_, err := c.Run(t.Context())
	var exit *ExitError
	if !errors.As(err, &exit) || strings.Contains(exit.Raw, "of 2") || !strings.HasSuffix(exit.Tail, "end") {
		t.Errorf("%.200v", err)
	}
	if len(lines) < 6 || lines[0] != "1 of 2" || lines[1] != "trouble" || lines[2] != "2 of 2" || lines[3] != "more" || lines[len(lines)-1] != "end" {
		t.Errorf("%d lines: %.200q", len(lines), lines)
	}
	w := &lineWriter{progress: c.Progress, rest: TailOf(nil, 100)}
	for _, part := range []string{"a", "b\nc", " of 2", "\nd"} {
		_, _ = w.Write([]byte(part))
	}
	w.flush()
	if got := string(w.rest.Bytes()); got != "ab\nd" {
		t.Errorf("in parts: %q", got)
	}
}

func TestRunEndsWithAllItStarted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("looks for a process in the way of Unix")
	}
	for _, how := range []string{"cancel", "timeout", "timeout of what is not trusted", "end"} {
		t.Run(how, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			says, wait := "hang", time.Minute
			switch how {
			case "end":
				says = "leave"
			case "timeout", "timeout of what is not trusted":
				wait = 2 * time.Second
			}
			c := tool(t, says)
			c.Timeout = wait
			if how == "timeout of what is not trusted" {
				c.Class, c.Hint = fault.Integrity, ""
			}
			done := make(chan error, 1)
			start := time.Now()
			go func() {
				_, err := c.Run(ctx)
				done <- err
			}()
			var pid int
			for pid == 0 {
				if time.Since(start) > time.Minute {
					t.Fatal("the child did not start")
				}
				time.Sleep(20 * time.Millisecond)
				data, _ := os.ReadFile(c.Path + ".pid")
				fmt.Sscan(string(data), &pid)
			}
			if how == "cancel" {
				cancel()
			}
			err := <-done
			switch how {
			case "cancel":
				fake.WantFault(t, err, fault.Interrupted, "tool: context canceled")
			case "end":
				if err != nil {
					t.Error(err)
				}
			case "timeout":
				fake.WantFault(t, err, fault.Upstream, "did not end within 2s")
			default: // which says nothing of its bytes
				fake.WantFault(t, err, fault.Machine, "did not end within 2s")
				if hint := fault.Hint(err); !strings.Contains(hint, "less busy") || fault.TopicOf(err) != fault.AboutTime {
					t.Errorf("topic %s, hint %q", fault.TopicOf(err), hint)
				}
			}
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %s", d)
			}
			for alive(pid) {
				if time.Since(start) > time.Minute {
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
	out, err := c.Run(t.Context())
	if err != nil || strings.TrimSpace(string(out)) != "<nil>" {
		t.Fatalf("with a network: %q, %v", out, err)
	}
	c.Offline = true
	out, err = c.Run(t.Context())
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
		if yes, ok := AtLeast(test.version, 11, 10); yes != test.yes || ok != test.ok {
			t.Errorf("atLeast(%q) = %v, %v, want %v, %v", test.version, yes, ok, test.yes, test.ok)
		}
	}
}
