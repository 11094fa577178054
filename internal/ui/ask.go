package ui

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// Confirm asks a yes-or-no question and reports whether the answer was yes. Asked
// is false if nobody can be asked: with JSON or Quiet, or if standard input or
// stderr is not a terminal. The error is non-nil only if ctx ends before the
// answer.
func (u *UI) Confirm(ctx context.Context, question string) (yes, asked bool, err error) {
	in := u.In
	if in == nil {
		if u.JSON || u.Quiet || !u.terminal() || !term.IsTerminal(int(os.Stdin.Fd())) {
			return false, false, nil
		}
		in = os.Stdin
	}
	lines := strings.Split(plain.Escape(question), "\n")
	u.mu.Lock()
	_, _ = io.WriteString(u.err, u.Program+": "+strings.Join(lines, "\n    ")+" [y/N] ")
	u.mu.Unlock()
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		_, _ = io.WriteString(u.err, "\n")
		return false, true, ctx.Err()
	case line := <-answer:
		return line == "y" || line == "yes", true, nil
	}
}
