package ui

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// Context returns the context of a program, which ends when the user stops it:
// by Ctrl-C, SIGTERM or a terminal that is closed, unless the program was told
// to outlive that (nohup). A pipe whose reader has gone does not end the
// program where it stands: the write fails. What libraries would log goes
// nowhere, for servers have a say in it.
func Context() (ctx context.Context, stop func()) {
	log.SetOutput(io.Discard)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // not Ignore, which children would inherit
	return signal.NotifyContext(context.Background(), signals...)
}
