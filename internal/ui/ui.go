// Package ui prints for lockgen and fetch.
//
// Results go to stdout. Messages go to stderr, after the name of the program;
// they begin in lower case and end without a period. An error is followed by a
// hint and by the section of docs/troubleshooting.md that explains it. With
// JSON set, the results and the final error are JSON, and stdout has nothing
// else. Progress is drawn only on a terminal, where messages are broken between
// words.
//
// Everything that a program prints goes through a UI. It writes only what is
// [plain.Printable]. If a result cannot be written, [UI.Fail] reports that.
package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// A UI prints for one run of one program. Its methods may be called by several
// goroutines at once.
type UI struct {
	Program string
	Verb    string // the running verb, which names the schema of JSON output; see [UI.Data]
	JSON    bool   // results and the final error are JSON
	Quiet   bool   // no messages except warnings and errors, no progress
	Verbose bool   // details as well

	// In is where [UI.Confirm] reads answers. Nil means standard input, if that and
	// stderr are terminals.
	In io.Reader

	mu       sync.Mutex
	out, err io.Writer
	color    bool      // of the words error, warning and hint
	bar      *Transfer // drawn below the messages, or nil
	screen   *mpb.Progress
	row      *mpb.Bar
	said     time.Time // time of the last message
	lost     error     // why a result could not be written
}

// New returns a UI that writes results to stdout and messages to stderr.
func New(program string, stdout, stderr io.Writer) *UI {
	return &UI{Program: program, out: stdout, err: stderr}
}

// Result prints one line of the result, or several. It escapes unprintable
// characters; for text that must not change, see [UI.Exact].
func (u *UI) Result(format string, args ...any) {
	_ = u.write(plain.Escape(fmt.Sprintf(format, args...)) + "\n")
}

// Exact prints one line of the result that another program reads, such as a
// path. A line with unprintable characters is an error of class [fault.Machine],
// because an escaped path would be another path; what names the line in the
// message.
func (u *UI) Exact(what, line string) error {
	if plain.Escape(line) != line || strings.Contains(line, "\n") {
		return fault.Errorf(fault.Machine, "set BUCK2_PROTOBUF_CACHE_DIR to a path of printable characters, or read it with --json",
			"%s has characters that are not printable: %s", what, line)
	}
	return u.write(line + "\n")
}

// Data prints the whole result as indented JSON: an object whose first key names
// its schema, "schema": "buck2-protobuf/PROGRAM-VERB/v1". The JSON Schema is
// schemas/output/PROGRAM-VERB.v1.schema.json. Removing a key or changing its meaning
// needs a new number; adding a key does not.
func (u *UI) Data(v any) error { return u.data(u.Program+"-"+strings.ReplaceAll(u.Verb, " ", "-"), v) }

func (u *UI) data(shape string, v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(text, []byte("{"))
	if !ok {
		return fmt.Errorf("the result of %s %s is not an object", u.Program, u.Verb)
	}
	head := fmt.Appendf(nil, `{"schema":"buck2-protobuf/%s/v1"`, shape)
	if !bytes.HasPrefix(rest, []byte("}")) {
		head = append(head, ',')
	}
	var b bytes.Buffer
	if err := json.Indent(&b, append(head, rest...), "", "  "); err != nil {
		return err
	}
	return u.write(string(plain.JSON(b.Bytes())))
}

// marshal is json.Marshal without HTML escapes, and with a line feed.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// write writes a result. It keeps the first error for [UI.Fail].
func (u *UI) write(s string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, err := io.WriteString(u.out, s); err != nil && u.lost == nil {
		u.lost = fault.Errorf(fault.Machine, "see where standard output goes: is the disk full, or has its reader ended?", "cannot write the result: %w", err)
	}
	return u.lost
}

// Say prints a message, unless Quiet.
func (u *UI) Say(format string, args ...any) {
	if !u.Quiet {
		u.talk("", format, args...)
	}
}

// Detail is Say for Verbose runs.
func (u *UI) Detail(format string, args ...any) {
	if u.Verbose && !u.Quiet {
		u.talk("", format, args...)
	}
}

// Warn prints a warning: a problem that did not stop the work. It is printed even
// if Quiet.
func (u *UI) Warn(format string, args ...any) {
	u.talk("warning: ", format, args...)
}

// Fail prints the error that ends the program and returns its exit status. For
// nil it prints nothing and returns 0, unless a result could not be written.
func (u *UI) Fail(err error) int {
	u.mu.Lock()
	lost := u.lost
	u.mu.Unlock()
	if err == nil {
		err = lost
	}
	if err == nil {
		return 0
	}
	class, hint := fault.Of(err), fault.Hint(err)
	if u.JSON {
		if u.data("error", map[string]Failure{"error": FailureOf(err)}) == nil {
			return int(class)
		} // otherwise the message on stderr remains
	}
	if class == fault.Interrupted {
		u.talk("", "interrupted; nothing was changed")
		return int(class)
	}
	u.talk("error: ", "%v", err)
	if hint != "" {
		u.talk("hint: ", "%s", hint)
	}
	if class == fault.Internal {
		u.talk("hint: ", "this is a bug in %s; please report it", u.Program)
	}
	u.talk("help: ", "%s", Help(err))
	return int(class)
}

// A Failure is an error as JSON.
type Failure struct {
	Class   string `json:"class"`
	Exit    int    `json:"exit"` // the exit status
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // how to fix it
	Mend    string `json:"mend,omitempty"` // the hint under its old name, until version 1.0
	Help    string `json:"help,omitempty"` // the URL of the section that explains it
}

// FailureOf returns the JSON form of an error.
func FailureOf(err error) Failure {
	class, hint := fault.Of(err), fault.Hint(err)
	return Failure{class.String(), int(class), err.Error(), hint, hint, Help(err)}
}

// Help returns the URL of the section that explains an error, or "" if there is
// none.
func Help(err error) string {
	topic := fault.TopicOf(err)
	if topic == "" {
		return ""
	}
	return build.Read().Page("docs/troubleshooting.md#" + string(topic))
}

// SetColor sets whether the words error, warning and hint are coloured: "always",
// "never" or "auto". For "auto", NO_COLOR turns colours off (https://no-color.org);
// otherwise CLICOLOR_FORCE, if set and not 0, turns them on
// (https://bixense.com/clicolors); otherwise a terminal gets colours.
func (u *UI) SetColor(when string) {
	force := os.Getenv("CLICOLOR_FORCE")
	switch {
	case when != "auto":
		u.color = when == "always"
	case os.Getenv("NO_COLOR") != "":
		u.color = false
	default:
		u.color = force != "" && force != "0" || u.terminal()
	}
}

// paint returns the SGR sequence (ECMA-48, 8.3.117) for a kind of message, or "".
func paint(kind string) string {
	switch kind {
	case "error: ":
		return "\x1b[1;31m"
	case "warning: ":
		return "\x1b[1;33m"
	case "hint: ":
		return "\x1b[1;36m"
	}
	return ""
}

func (u *UI) talk(kind, format string, args ...any) {
	text, word := plain.Escape(fmt.Sprintf(format, args...)), kind
	if start := paint(kind); u.color && start != "" {
		kind = start + kind + "\x1b[0m"
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	columns := 0
	if u.terminal() {
		columns, _ = u.size()
	}
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		head := "    "
		if i == 0 {
			head = u.Program + ": " + kind
		}
		for i, part := range breakLine(line, columns, len(u.Program)+2+len(word)) {
			if i > 0 {
				head = "    "
			}
			b.WriteString(head + part + "\n")
		}
	}
	u.said = time.Now()
	if u.screen != nil {
		_, _ = io.WriteString(u.screen, b.String())
		return
	}
	_, _ = io.WriteString(u.err, b.String())
}

// Columns returns the width of the terminal that results go to, or 0 if they do
// not go to a terminal.
func (u *UI) Columns() int {
	f, ok := u.out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// terminal reports whether messages go to a terminal that can redraw a line.
func (u *UI) terminal() bool {
	f, ok := u.err.(*os.File)
	if !ok {
		return false
	}
	// Some pseudo-terminals have no size; nothing can be drawn there.
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0 && understands(f)
}
