// Package child runs programs and makes sure that nothing they started outlives
// them. A program leads a process group (on Windows, a job). When it exits, is
// cancelled or runs out of time, the whole group is killed. A process that
// leaves the group is a service that is meant to stay, such as gpg-agent: it is
// neither killed nor waited for.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// linger is how long to wait for processes that still hold the output of a program
// that exited.
const linger = 5 * time.Second

// A Process is a running program.
type Process struct {
	cmd     *exec.Cmd
	group   *group
	streams []*os.File // our ends
	copying sync.WaitGroup
	after   []*os.File // the child's ends, until it runs
}

// Start starts a program. It sets Cancel and WaitDelay of cmd, and on some
// systems fields of SysProcAttr. The caller must call [Process.Wait].
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, group: newGroup(cmd)}
	cmd.Cancel, cmd.WaitDelay = p.Kill, linger
	// With pipes of our own we notice that the program exited even if other
	// processes hold them; those are killed, which closes the pipes.
	var copies []func()
	for _, w := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		if _, file := (*w).(*os.File); *w == nil || file {
			continue
		}
		r, theirs, err := os.Pipe()
		if err != nil {
			p.abandon()
			return nil, err
		}
		p.streams, p.after = append(p.streams, r), append(p.after, theirs)
		to := *w
		*w = theirs
		copies = append(copies, func() {
			_, _ = io.Copy(to, r)
			_, _ = io.Copy(io.Discard, r) // so that the program can keep writing
		})
	}
	if in := cmd.Stdin; in != nil {
		if _, file := in.(*os.File); !file {
			theirs, w, err := os.Pipe()
			if err != nil {
				p.abandon()
				return nil, err
			}
			p.streams, p.after = append(p.streams, w), append(p.after, theirs)
			cmd.Stdin = theirs
			copies = append(copies, func() {
				_, _ = io.Copy(w, in)
				w.Close()
			})
		}
	}
	err := cmd.Start()
	for _, f := range p.after {
		f.Close()
	}
	p.after = nil
	if err != nil {
		p.abandon()
		return nil, err
	}
	p.group.started()
	for _, c := range copies {
		p.copying.Go(c)
	}
	return p, nil
}

func (p *Process) abandon() {
	for _, f := range append(p.streams, p.after...) {
		f.Close()
	}
	p.group.close()
}

// Kill kills the program and its group.
func (p *Process) Kill() error { return p.group.kill() }

// Wait waits for the program to exit, kills what is left of its group, and
// waits until the streams are copied. The error is that of [exec.Cmd.Wait].
func (p *Process) Wait() error {
	err := p.cmd.Wait()
	_ = p.group.kill()
	p.group.close()
	done := make(chan struct{})
	go func() {
		p.copying.Wait()
		close(done)
	}()
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C: // a service holds them
	}
	for _, f := range p.streams {
		f.Close()
	}
	<-done
	return err
}

var (
	// ErrTimeout is matched by the error of a program that took too long.
	ErrTimeout = errors.New("out of time")
	// ErrTooMuch is matched by the error of a program that wrote too much.
	ErrTooMuch = errors.New("too much output")
)

// Output runs a program and returns its standard output and the end of its
// standard error, which is untrusted text. The error is that of [exec.Cmd.Run],
// or it matches [ErrTimeout] if the program runs longer than timeout,
// [ErrTooMuch] if it writes more than limit bytes, or the error of the context.
func Output(ctx context.Context, cmd func(context.Context) *exec.Cmd, timeout time.Duration, limit int) (stdout []byte, stderr string, err error) {
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(timeout, func() { cancel(fmt.Errorf("%w: it did not end within %s", ErrTimeout, timeout)) })
	defer timer.Stop()
	out := &Head{Limit: limit, Full: func() { cancel(fmt.Errorf("%w: more than %d bytes", ErrTooMuch, limit)) }}
	talk := &Tail{Limit: 4 << 10}
	c := cmd(run)
	c.Stdout, c.Stderr = out, talk
	p, err := Start(c)
	if err == nil {
		err = p.Wait()
	}
	if cause := context.Cause(run); err != nil && cause != nil {
		err = cause
	}
	return out.Bytes(), strings.TrimSpace(string(talk.Bytes())), err
}

// Head keeps the first Limit bytes and calls Full if there are more.
type Head struct {
	Limit int
	Full  func()
	buf   bytes.Buffer
}

// Write implements [io.Writer].
func (h *Head) Write(p []byte) (int, error) {
	if h.buf.Len()+len(p) > h.Limit {
		h.Full()
		return 0, ErrTooMuch
	}
	return h.buf.Write(p)
}

// Bytes returns the bytes that were kept.
func (h *Head) Bytes() []byte { return h.buf.Bytes() }

// Tail keeps the last Limit bytes.
type Tail struct {
	Limit int
	buf   []byte
}

// Write implements [io.Writer].
func (t *Tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.Limit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// Bytes returns the bytes that were kept.
func (t *Tail) Bytes() []byte { return t.buf }
