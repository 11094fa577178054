package ui

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// Confirm asks a question that is answered by yes or no, and reports whether the
// answer was yes. Asked is false where nobody can be asked: with JSON or Quiet, or
// where standard input or the talk is no terminal.
func (u *UI) Confirm(question string) (yes, asked bool) {
	in := u.In
	if in == nil {
		if u.JSON || u.Quiet || !u.terminal() || !term.IsTerminal(int(os.Stdin.Fd())) {
			return false, false
		}
		in = os.Stdin
	}
	u.mu.Lock()
	_, _ = io.WriteString(u.err, u.Program+": "+plain.Escape(fmt.Sprintf("%s [y/N] ", question)))
	u.mu.Unlock()
	line, _ := bufio.NewReader(in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, true
	}
	return false, true
}
