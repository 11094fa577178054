package ui

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// Context returns the context of a program. It is cancelled when the user stops
// the program: by Ctrl-C, by SIGTERM or by closing the terminal, unless the
// program ignores that (nohup). A write to a pipe without a reader fails instead of killing
// the program. Logs of libraries are discarded, because servers can influence
// what they contain.
func Context() (ctx context.Context, stop func()) {
	log.SetOutput(io.Discard)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // children would inherit signal.Ignore
	return signal.NotifyContext(context.Background(), signals...)
}
