package proc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/child"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Command is one run of a foreign program. Its output is captured up to a limit.
// When the context ends or the time is over, the program and everything that it
// started are killed.
type Command struct {
	Name    string        // for messages, such as "npm ci"
	Path    string        // the program, absolute
	Args    []string      //
	Dir     string        // working directory
	Env     []string      // the whole environment, never inherited
	Stdin   []byte        // nil means empty
	Limit   int           // most bytes of standard output, 0 for 16 MiB
	Timeout time.Duration // 0 for 10 minutes
	Offline bool          // without a network, if the system can do that
	Serve   *Loopback     // the registry that an offline program may reach; may be nil
	Class   fault.Class   // of a failure
	Hint    string        // of a failure
	Library string        // in the place of Hint, see [fault.ForLibrary]; "" for none
	// Progress is called with each line of standard error as it arrives. It returns
	// true for a line that only reports progress, which is then left out of error
	// messages. May be nil.
	Progress func(line string) bool
}

// An ExitError is a program that ran and failed.
type ExitError struct {
	Name   string
	Status string // "exit status 1", "signal: killed"
	Tail   string // the last lines of standard error or, if empty, of standard output; redacted and escaped
	Raw    string // more of the same output, unchanged: not for messages
}

func (e *ExitError) Error() string {
	if e.Tail == "" {
		return e.Name + ": " + e.Status
	}
	return e.Name + ": " + e.Status + ": " + e.Tail
}

type watched struct{}

// Watch returns a context in which f is called for each program that starts, with
// the name and the arguments of its [Command]. It may be called from several
// goroutines at once.
func Watch(ctx context.Context, f func(name string, args []string)) context.Context {
	return context.WithValue(ctx, watched{}, f)
}

// Run runs the program and returns its standard output, even if it failed. Then
// the error has the class of the command and wraps an [*ExitError]. The error of a
// cancelled context is returned without a class.
func (c Command) Run(ctx context.Context) ([]byte, error) {
	limit, timeout := c.Limit, c.Timeout
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
	stderr := &Tail{child.Tail{Limit: 16 << 10}}
	lines := &lineWriter{progress: c.Progress, rest: stderr}
	start := func(offline bool) (*child.Process, error) {
		cmd := exec.CommandContext(run, c.Path, c.Args...)
		cmd.Dir, cmd.Env = c.Dir, c.Env
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if c.Progress != nil {
			cmd.Stderr = lines
		}
		if c.Stdin != nil {
			cmd.Stdin = bytes.NewReader(c.Stdin)
		}
		if cmd.Env == nil {
			cmd.Env = []string{} // nil would inherit our environment
		}
		served := func() error { return nil }
		switch {
		case offline && c.Serve != nil:
			var err error
			if served, err = cutOffWith(cmd, c.Serve); err != nil {
				return nil, err
			}
		case offline && !CutOff(cmd):
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
	p, err := start(c.Offline)
	if err != nil && c.Offline {
		p, err = start(false)
	}
	if err == nil {
		if f, ok := ctx.Value(watched{}).(func(string, []string)); ok {
			f(c.Name, c.Args)
		}
		err = p.Wait()
		lines.flush()
	}
	cause := context.Cause(run)
	switch {
	case err == nil:
		return stdout.Bytes(), nil
	case errors.Is(cause, child.ErrTimeout):
		return nil, c.late(timeout, stderr)
	case errors.Is(cause, child.ErrTooMuch):
		return nil, c.fail("%s wrote more than %d bytes of output", c.Name, limit)
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, fmt.Errorf("%s: %w", c.Name, context.Canceled)
	case ctx.Err() != nil: // the time of the whole command is over, so this program hangs
		return nil, fault.Errorf(fault.Machine, c.Hint, "%s was ended%s: %w", c.Name, after(stderr), ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said := stderr
		if said.Lines() == "" { // pnpm and Yarn print errors to stdout
			said = TailOf(stdout.Bytes(), limit)
		}
		return stdout.Bytes(), c.fail("%w", &ExitError{Name: c.Name, Status: exit.ProcessState.String(), Tail: said.Lines(), Raw: string(stderr.Bytes())})
	}
	return nil, c.fail("%s: %w", c.Name, err)
}

// late returns the failure of a run that took too long. Of the bytes of the program
// that says nothing: it hangs, or this machine is slow.
func (c Command) late(timeout time.Duration, stderr *Tail) error {
	if c.Class == fault.Integrity {
		c.Class = fault.Machine
		c.Hint = cmp.Or(c.Hint, "run this again when the machine and its disk are less busy; if it hangs again, use another version, or report it to its publisher")
	}
	return fault.About(fault.AboutTime, c.fail("%s did not end within %s%s", c.Name, timeout, after(stderr)))
}

// fail returns the failure of a run, with its hint and the one for a library.
func (c Command) fail(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	class := c.Class
	var machine error // what this machine lacks
	var exit *ExitError
	if errors.As(err, &exit) && class != fault.Integrity { // the output of a plugin is not trusted
		if machine = refusedBySystem(exit.Raw); machine == nil {
			if how, ok := distrusts(c, exit.Raw+exit.Tail); ok {
				return fault.About(fault.AboutProxy, fault.Errorf(fault.Upstream, how, "%w", err))
			}
		}
	} else if fault.IsMachine(err) {
		machine = err
	}
	if machine != nil {
		class = fault.Machine
	}
	failure := fault.Errorf(class, c.remedy(c.Hint, machine), "%w", err)
	if c.Library == "" {
		return failure
	}
	return fault.ForLibrary(c.remedy(c.Library, machine), failure)
}

// remedy returns the hint for a failure: first what this machine lacks, if anything,
// then what the command says.
func (c Command) remedy(own string, machine error) string {
	switch {
	case machine != nil && c.Class == fault.Machine && own != "":
		return fault.MachineHint(machine) + "; or " + own
	case machine != nil:
		return fault.MachineHint(machine)
	case own != "":
		return own
	}
	return "read its output; " + map[fault.Class]string{
		fault.Upstream:  "check the network, the registry and the settings of " + c.program() + ", then run this again",
		fault.Integrity: "use another version, or report it to its publisher",
	}[c.Class]
}

// program returns the name of the program in one word.
func (c Command) program() string {
	word, _, _ := strings.Cut(c.Name, " ")
	return word
}

func after(t *Tail) string {
	if s := t.Lines(); s != "" {
		return ": " + s
	}
	return ""
}

// A lineWriter passes on the lines that are not progress.
type lineWriter struct {
	progress func(line string) bool
	rest     *Tail
	buf      []byte // an incomplete line
}

// maxLine is how many bytes of a line are kept.
const maxLine = 16 << 10

// Write implements [io.Writer].
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			end = len(p)
		}
		w.buf = append(w.buf, p[:end]...)
		if p[end-1] == '\n' || len(w.buf) > maxLine {
			w.flush()
		}
		p = p[end:]
	}
	return n, nil
}

// flush passes on the incomplete line.
func (w *lineWriter) flush() {
	if len(w.buf) > 0 && !w.progress(strings.TrimRight(string(w.buf), "\r\n")) {
		_, _ = w.rest.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// Tail keeps the last bytes.
type Tail struct{ child.Tail }

// TailOf keeps the last bytes of data, at most limit.
func TailOf(data []byte, limit int) *Tail {
	t := &Tail{child.Tail{Limit: limit}}
	_, _ = t.Write(data)
	return t
}

// Lines joins the last eight lines that are not empty or decoration.
func (t *Tail) Lines() string {
	var lines []string
	for line := range strings.Lines(string(t.Bytes())) {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "-=^ ") == "" || strings.Contains(line, "Log files were not written") {
			continue
		}
		lines = append(lines, redact.Line(line))
	}
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	return strings.Join(lines, "; ")
}

// Exited reports whether err is a program that ran and failed.
func Exited(err error) bool {
	var exit *ExitError
	return errors.As(err, &exit)
}

// ErrCompile is matched by the error for a program that does not compile.
var ErrCompile = errors.New("it does not compile")
