package pkgmgr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/child"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// A command is one run of a foreign program. Its output is captured within a
// bound, and it ends with everything that it
// started when the context or its time is over.
type command struct {
	name    string        // what messages call it, "npm ci"
	path    string        // the program, absolute
	args    []string      //
	dir     string        // working directory
	env     []string      // the whole environment, never inherited
	stdin   []byte        // nil for an empty one
	limit   int           // bytes of standard output, 0 for 16 MiB
	timeout time.Duration // 0 for 10 minutes
	offline bool          // without a network, where the system can do that
	serve   *loopback     // what it may reach nevertheless, nil for nothing
	class   fault.Class   // of a failure
	mend    string        // of a failure
}

// An exitError is a program that ran and did not end well.
type exitError struct {
	name   string
	status string // "exit status 1", "signal: killed"
	tail   string // the last lines of standard error, else of standard output, redacted and escaped
	raw    string // more of it, as it came: not for messages
}

func (e *exitError) Error() string {
	if e.tail == "" {
		return e.name + ": " + e.status
	}
	return e.name + ": " + e.status + ": " + e.tail
}

// run returns the standard output, also of a program that failed: then the
// error is of the command's class and wraps an *exitError. A cancelled context
// is returned without a class.
func (c command) run(ctx context.Context) ([]byte, error) {
	limit, timeout := c.limit, c.timeout
	if limit == 0 {
		limit = 16 << 20
	}
	if timeout == 0 {
		timeout = 10 * time.Minute
	}
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(timeout, func() { cancel(child.ErrTimeout) })
	defer timer.Stop()

	stdout := &child.Head{Limit: limit, Full: func() { cancel(child.ErrTooMuch) }}
	stderr := &tail{child.Tail{Limit: 16 << 10}}
	start := func(offline bool) (*child.Process, error) {
		cmd := exec.CommandContext(run, c.path, c.args...)
		cmd.Dir, cmd.Env = c.dir, c.env
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if c.stdin != nil {
			cmd.Stdin = bytes.NewReader(c.stdin)
		}
		if cmd.Env == nil {
			cmd.Env = []string{} // nil would mean ours
		}
		served := func() error { return nil }
		switch {
		case offline && c.serve != nil:
			var err error
			if served, err = cutOffWith(cmd, c.serve); err != nil {
				return nil, err
			}
		case offline && !cutOff(cmd):
			return nil, errors.ErrUnsupported
		}
		p, err := child.Start(cmd)
		if e := served(); err == nil && e != nil {
			_ = p.Kill()
			_ = p.Wait()
			err = e
		}
		return p, err
	}
	p, err := start(c.offline)
	if err != nil && c.offline {
		p, err = start(false)
	}
	if err == nil {
		err = p.Wait()
	}
	cause := context.Cause(run)
	switch {
	case err == nil:
		return stdout.Bytes(), nil
	case errors.Is(cause, child.ErrTimeout):
		return nil, fault.About(fault.AboutTime, c.fail("%s did not end within %s%s", c.name, timeout, after(stderr)))
	case errors.Is(cause, child.ErrTooMuch):
		return nil, c.fail("%s wrote more than %d bytes of output", c.name, limit)
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("%s: %w", c.name, context.Canceled)
	case ctx.Err() != nil: // the time of the whole, so it is this one that hangs
		return nil, fault.Errorf(fault.Machine, c.mend, "%s was ended%s: %w", c.name, after(stderr), ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said := stderr
		if said.lines() == "" { // pnpm and Yarn tell their errors there
			said = tailOf(stdout.Bytes(), limit)
		}
		return stdout.Bytes(), c.fail("%w", &exitError{name: c.name, status: exit.ProcessState.String(), tail: said.lines(), raw: string(stderr.Bytes())})
	}
	return nil, c.fail("%s: %w", c.name, err)
}

func (c command) fail(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	mend := c.mend
	if mend == "" {
		mend = "see what it says; " + map[fault.Class]string{
			fault.Upstream:  "check the network, the registry and the settings of " + c.program() + ", then run this again",
			fault.Integrity: "take another version, or report it to its publisher",
		}[c.class]
	}
	class := c.class
	var exit *exitError
	if errors.As(err, &exit) && class != fault.Integrity { // what a plugin says of itself proves nothing
		if reason := refusedBySystem(exit.raw); reason != nil {
			mend = fault.MachineMend(reason) + otherwise(c)
			class = fault.Machine
		}
	} else if fault.IsMachine(err) {
		class, mend = fault.Machine, fault.MachineMend(err)+otherwise(c)
	}
	return fault.Errorf(class, mend, "%w", err)
}

// otherwise is the mend that the command has for a fault of this machine.
func otherwise(c command) string {
	if c.class != fault.Machine || c.mend == "" {
		return ""
	}
	return "; or " + c.mend
}

// program is what the command runs, in one word.
func (c command) program() string {
	word, _, _ := strings.Cut(c.name, " ")
	return word
}

func after(t *tail) string {
	if s := t.lines(); s != "" {
		return ": " + s
	}
	return ""
}

// tail keeps the last bytes.
type tail struct{ child.Tail }

func tailOf(data []byte, limit int) *tail {
	t := &tail{child.Tail{Limit: limit}}
	_, _ = t.Write(data)
	return t
}

// lines returns the last eight lines that say something, as one.
func (t *tail) lines() string {
	var lines []string
	for line := range strings.Lines(string(t.Bytes())) {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "-=^ ") == "" || strings.Contains(line, "Log files were not written") {
			continue // nothing said
		}
		lines = append(lines, clean(line))
	}
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	return strings.Join(lines, "; ")
}

// clean makes foreign text fit for a message: secrets are taken out, and it is
// one line of at most 500 characters.
func clean(s string) string { return plain.Line(redact(s), 500) }

// secrets finds what package managers print of credentials: the user of a
// URL, its query, an auth setting, and tokens by their known form.
var secrets = sync.OnceValue(func() []secret {
	return []secret{
		{regexp.MustCompile(`(://)[^/\s@'"]+@`), "${1}***@"},
		{regexp.MustCompile(`(://[^\s?'"]+\?)[^\s'"]+`), "${1}***"},
		{regexp.MustCompile(`(?i)((?:_auth|_authtoken|_password|password|passwd|token|secret|authorization)["']?\s*[=:]\s*)(?:bearer\s+|basic\s+)?\S+`), "${1}***"},
		{regexp.MustCompile(`\b(?:npm_|pypi-|gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}`), "***"},
	}
})

// A secret is a pattern and what is shown in its place.
type secret struct {
	form *regexp.Regexp
	with string
}

func redact(s string) string {
	for _, secret := range secrets() {
		s = secret.form.ReplaceAllString(s, secret.with)
	}
	return s
}

// Exited reports whether err is a program that ran and did not end well.
func Exited(err error) bool {
	var exit *exitError
	return errors.As(err, &exit)
}

// ErrCompile is in the error of a program that does not compile.
var ErrCompile = errors.New("it does not compile")
