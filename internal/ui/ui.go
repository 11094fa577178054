// Package ui is how lockgen and fetch speak.
//
// Results go to stdout, talk goes to stderr behind the program's name. Messages
// begin in lower case and end without a period; an error is followed by a hint
// that mends it and the paragraph of docs/troubleshooting.md that explains it. With JSON set, results and the final error are JSON on stdout
// and nothing else is. A progress bar is drawn only on a terminal. What comes
// from outside is escaped before it reaches the terminal.
package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/term"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A UI speaks for one run of one program. Its methods may be called by several
// goroutines at once.
type UI struct {
	Program string
	JSON    bool // results and the final error as JSON
	Quiet   bool // no talk, no progress
	Verbose bool // details as well

	mu       sync.Mutex
	out, err io.Writer
	bar      *Transfer // drawn now, or nil
}

// New returns a UI that writes results to stdout and talk to stderr.
func New(program string, stdout, stderr io.Writer) *UI {
	return &UI{Program: program, out: stdout, err: stderr}
}

// Result prints one line of the result, or several.
func (u *UI) Result(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	fmt.Fprintf(u.out, format+"\n", args...)
}

// Data prints the whole result as indented JSON.
func (u *UI) Data(v any) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	enc := json.NewEncoder(u.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Say tells the user what is going on, unless Quiet.
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

// Warn tells of something that did not stop the work. It is said even when
// Quiet.
func (u *UI) Warn(format string, args ...any) {
	u.talk("warning: ", format, args...)
}

// Fail reports the error that ends the program and returns its exit status; a
// nil error is silence and status 0.
func (u *UI) Fail(err error) int {
	if err == nil {
		return 0
	}
	class, mend := fault.Of(err), fault.Mend(err)
	if u.JSON {
		type failure struct {
			Class   string `json:"class"`
			Exit    int    `json:"exit"`
			Message string `json:"message"`
			Mend    string `json:"mend,omitempty"`
			Help    string `json:"help,omitempty"`
		}
		_ = u.Data(map[string]failure{"error": {class.String(), int(class), err.Error(), mend, Help(err)}})
		return int(class)
	}
	if class == fault.Interrupted {
		u.talk("", "interrupted; nothing was changed")
		return int(class)
	}
	u.talk("error: ", "%v", err)
	if mend != "" {
		u.talk("hint: ", "%s", mend)
	}
	if class == fault.Internal {
		u.talk("hint: ", "this is a fault of %s itself; please report it", u.Program)
	}
	u.talk("help: ", "%s", Help(err))
	return int(class)
}

// Help names the paragraph that explains an error, "" where there is none.
func Help(err error) string {
	topic := fault.TopicOf(err)
	if topic == "" {
		return ""
	}
	return "docs/troubleshooting.md#" + string(topic)
}

func (u *UI) talk(kind, format string, args ...any) {
	text := Escape(fmt.Sprintf(format, args...))
	u.mu.Lock()
	defer u.mu.Unlock()
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i == 0 {
			fmt.Fprintf(&b, "%s: %s%s\n", u.Program, kind, line)
		} else {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	if u.bar != nil {
		u.bar.print(b.String())
		return
	}
	_, _ = io.WriteString(u.err, b.String())
}

// Escape makes text from outside harmless for a terminal: control characters
// except the line feed and the tab, and what reorders text, are written as
// escapes.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// terminal reports whether the talk goes to a terminal that can redraw a line.
func (u *UI) terminal() bool {
	f, ok := u.err.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	// Some pseudo-terminals have no size; nothing can be drawn there.
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0 && height > 0
}
