package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// A Transfer shows what a run does: how many plugins and files are done, how fast
// bytes come and how long the rest takes, and what goes on now. On a terminal that
// stands below the talk and is drawn again and again. Elsewhere it is told when
// nothing else was for half a minute. A plugin whose files have come is one line of
// the talk, see [Transfer.Tell]; with Verbose each file and step is as well. Nothing is
// shown when the UI is quiet. Its methods may be called by several goroutines, and
// do nothing on a nil Transfer.
type Transfer struct {
	ui    *UI
	title string

	mu                sync.Mutex    // not held during talk, which waits for the drawing
	began             time.Time     // when there was something to show, zero before
	stop, ended       chan struct{} // of the drawing
	plugins, finished int
	files, arrived    int
	unknown           int   // files to come whose size nobody knows
	total, done       int64 // bytes; total is of the files whose size is known
	steps             []*step
	parts             []*part
	samples           []sample // of done, for the rate
}

// A step is something that takes its time.
type step struct {
	what  string
	began time.Time
}

// A part is what one plugin takes.
type part struct {
	plugin  string
	began   time.Time
	coming  []string // files on their way
	arrived int
	bytes   int64    // of those that arrived
	did     []string // what else was done
}

// A sample is how many bytes had come at a time.
type sample struct {
	at   time.Time
	done int64
}

type pluginKey struct{}

// For returns a context in which work is done for a plugin.
func For(ctx context.Context, plugin string) context.Context {
	return context.WithValue(ctx, pluginKey{}, plugin)
}

// Transfer begins to show downloads and other work. The caller must call Done.
func (u *UI) Transfer() *Transfer { return u.Progress("downloading") }

// Progress begins to show work on bytes, with a title such as "pushing". The caller
// must call Done.
func (u *UI) Progress(title string) *Transfer { return &Transfer{ui: u, title: title} }

// lock begins a change of what is shown.
func (t *Transfer) lock() (unlock func()) {
	t.mu.Lock()
	if t.began.IsZero() {
		t.began = time.Now()
		t.samples = []sample{{t.began, 0}}
		if !t.ui.Quiet {
			t.stop, t.ended = make(chan struct{}), make(chan struct{})
			go t.show(t.stop, t.ended)
		}
	}
	return t.mu.Unlock
}

// part is what is known of the plugin that ctx is for. The caller holds the lock.
func (t *Transfer) part(ctx context.Context) *part {
	plugin, _ := ctx.Value(pluginKey{}).(string)
	for _, p := range t.parts {
		if p.plugin == plugin {
			return p
		}
	}
	t.parts = append(t.parts, &part{plugin: plugin, began: time.Now()})
	return t.parts[len(t.parts)-1]
}

// Plugins announces plugins, each of which ends by [Transfer.Finish] or
// [Transfer.Ended].
func (t *Transfer) Plugins(n int) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.plugins += n
}

// Begin tells that the time begins that the plugin of ctx takes.
func (t *Transfer) Begin(ctx context.Context) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.part(ctx)
}

// Announce tells of a file that has to be brought for the plugin of ctx, and its size
// in bytes, 0 where that is not known yet.
func (t *Transfer) Announce(ctx context.Context, size int64) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.part(ctx)
	t.announce(1, size)
}

// Withdraw takes an announcement back: the file is here.
func (t *Transfer) Withdraw(size int64) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.announce(-1, -size)
}

func (t *Transfer) announce(files int, size int64) {
	t.files += files
	t.total += size
	if size == 0 {
		t.unknown += files
	}
}

// Grow adds bytes to what is to be done, beside files.
func (t *Transfer) Grow(size int64) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.total += size
}

// Expect tells that a file begins to come, for the plugin of ctx, which may have been
// announced with that size. The caller calls arrived when it is here, with the size
// that it has.
func (t *Transfer) Expect(ctx context.Context, name string, size int64) (arrived func(size int64)) {
	if t == nil {
		return func(int64) {}
	}
	unlock := t.lock()
	p := t.part(ctx)
	if under := t.underWay(); t.arrived+under >= t.files { // nobody announced it
		t.announce(1, size)
	}
	p.coming = append(p.coming, name)
	unlock()
	if size > 0 {
		t.ui.Detail("%s %s (%s)", t.title, name, Size(size))
	} else {
		t.ui.Detail("%s %s", t.title, name)
	}
	return func(got int64) {
		defer t.lock()()
		if size == 0 {
			t.announce(0, got)
			t.unknown--
		}
		if i := slices.Index(p.coming, name); i >= 0 {
			p.coming = slices.Delete(p.coming, i, i+1)
		}
		t.arrived++
		p.arrived++
		p.bytes += got
	}
}

// underWay counts the files that come now. The caller holds the lock.
func (t *Transfer) underWay() int {
	n := 0
	for _, p := range t.parts {
		n += len(p.coming)
	}
	return n
}

// Add counts bytes that have arrived; a negative number takes bytes back that
// have to be fetched again.
func (t *Transfer) Add(n int64) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.done += n
	now := time.Now()
	if last := t.samples[len(t.samples)-1]; now.Sub(last.at) < window/20 {
		return
	}
	t.samples = append(t.samples, sample{now, t.done})
	for len(t.samples) > 2 && now.Sub(t.samples[1].at) > window {
		t.samples = t.samples[1:]
	}
}

// Step shows something that takes its time until end is called.
func (t *Transfer) Step(format string, args ...any) (end func()) {
	change, end := t.Steps()
	change(format, args...)
	return end
}

// Steps is Step for work whose description changes.
func (t *Transfer) Steps() (change func(format string, args ...any), end func()) {
	if t == nil {
		return func(string, ...any) {}, func() {}
	}
	s := &step{began: time.Now()}
	change = func(format string, args ...any) {
		what := plain.Line(fmt.Sprintf(format, args...), 200)
		unlock := t.lock()
		first := s.what == ""
		if first {
			t.steps = append(t.steps, s)
		}
		s.what = what
		unlock()
		if first {
			t.ui.Detail("%s", what)
		}
	}
	return change, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.steps = slices.DeleteFunc(t.steps, func(other *step) bool { return other == s })
	}
}

// Did notes what was done for the plugin of ctx beside bringing files, such as
// "compiled", for the line of [Transfer.Tell].
func (t *Transfer) Did(ctx context.Context, what string) {
	if t == nil {
		return
	}
	defer t.lock()()
	if p := t.part(ctx); !slices.Contains(p.did, what) {
		p.did = append(p.did, what)
	}
}

// Finish tells that one of the plugins that were announced is ready, the one of ctx,
// see [Transfer.Tell].
func (t *Transfer) Finish(ctx context.Context) {
	t.Ended()
	t.Tell(ctx)
}

// Ended tells that nothing more happens to one of the plugins that were announced.
func (t *Transfer) Ended() {
	if t == nil {
		return
	}
	defer t.lock()()
	t.finished++
}

// Tell says in one line what was brought and done for the plugin of ctx, if anything
// was, and how long that took.
func (t *Transfer) Tell(ctx context.Context) {
	if t == nil {
		return
	}
	unlock := t.lock()
	p := t.part(ctx)
	unlock()
	t.tell(p)
}

// tell says what was brought and done for a plugin since that was told last.
func (t *Transfer) tell(p *part) {
	t.mu.Lock()
	var did []string
	if p.arrived > 0 {
		did = append(did, fmt.Sprintf("%s (%s)", plain.Count(p.arrived, "file"), Size(p.bytes)))
	}
	did = append(did, p.did...)
	took := time.Since(p.began)
	p.arrived, p.bytes, p.did, p.began = 0, 0, nil, time.Now()
	t.mu.Unlock()
	if len(did) == 0 {
		return
	}
	name := p.plugin
	if name == "" {
		name = t.title
	}
	t.ui.Say("%s: %s, %s", name, strings.Join(did, ", "), elapsed(took))
}

// Done tells of what was not told yet, and ends the drawing. Calling it again does
// nothing.
func (t *Transfer) Done() {
	if t == nil {
		return
	}
	t.mu.Lock()
	parts, stop, ended := t.parts, t.stop, t.ended
	t.parts, t.stop = nil, nil
	t.mu.Unlock()
	for _, p := range parts {
		t.tell(p)
	}
	if stop != nil {
		close(stop)
		<-ended
	}
}
