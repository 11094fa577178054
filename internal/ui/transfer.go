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

// A Transfer shows the progress of a run: how many plugins and files are done, the
// download rate, the time left, and what is running now. On a terminal it is drawn
// below the messages. Elsewhere it is printed when nothing else was printed for half
// a minute. Each plugin whose files have arrived gets one message, see
// [Transfer.Tell]; with Verbose each file and step does too. A quiet UI shows nothing.
// The methods may be called by several goroutines, and do nothing on a nil Transfer.
type Transfer struct {
	ui    *UI
	title string

	mu                sync.Mutex    // not held while a message is printed, which waits for the drawing
	began             time.Time     // when there was first something to show, zero before
	stop, ended       chan struct{} // of the drawing
	plugins, finished int
	files, arrived    int
	unknown           int   // files to come whose size is unknown
	total, done       int64 // bytes; total is of the files whose size is known
	steps             []*step
	parts             []*part
	samples           []sample // of done, for the rate
}

// A step is work that takes some time.
type step struct {
	what  string
	began time.Time
}

// A part is the progress of one plugin.
type part struct {
	plugin  string
	began   time.Time
	coming  []string // files that are being downloaded
	arrived int
	bytes   int64    // of the files that arrived
	did     []string // other work that was done
}

// A sample is the number of bytes that had arrived at a time.
type sample struct {
	at   time.Time
	done int64
}

type pluginKey struct{}

// For returns a context for work that is done for a plugin.
func For(ctx context.Context, plugin string) context.Context {
	return context.WithValue(ctx, pluginKey{}, plugin)
}

// Transfer starts to show downloads and other work. Offline, files only come from
// folders. The caller must call Done.
func (u *UI) Transfer(offline bool) *Transfer {
	if offline {
		return u.Progress("copying")
	}
	return u.Progress("downloading")
}

// Progress is Transfer with another title, such as "pushing". The caller must call
// Done.
func (u *UI) Progress(title string) *Transfer { return &Transfer{ui: u, title: title} }

// lock locks the progress for a change.
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

// part returns the progress of the plugin of ctx. The caller holds the lock.
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

// Plugins announces n plugins. The caller must call [Transfer.Finish] or
// [Transfer.Ended] for each.
func (t *Transfer) Plugins(n int) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.plugins += n
}

// Begin starts the clock for the plugin of ctx.
func (t *Transfer) Begin(ctx context.Context) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.part(ctx)
}

// Announce announces a file to be downloaded for the plugin of ctx, with its size in
// bytes, or 0 if that is unknown.
func (t *Transfer) Announce(ctx context.Context, size int64) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.part(ctx)
	t.announce(1, size)
}

// Withdraw takes an announcement back, because the file is in the cache.
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

// Grow adds bytes to the total, for work other than files.
func (t *Transfer) Grow(size int64) {
	if t == nil {
		return
	}
	defer t.lock()()
	t.total += size
}

// Expect reports that the download of a file for the plugin of ctx begins. The file
// may have been announced with that size. The caller must call arrived with the
// actual size when the file is complete.
func (t *Transfer) Expect(ctx context.Context, name string, size int64) (arrived func(size int64)) {
	if t == nil {
		return func(int64) {}
	}
	unlock := t.lock()
	p := t.part(ctx)
	under := t.underWay()
	if t.arrived+under >= t.files { // nobody announced it
		t.announce(1, size)
	}
	// A pause is no part of the rate.
	if now := time.Now(); under == 0 && now.Sub(t.samples[len(t.samples)-1].at) > time.Second {
		t.samples = []sample{{now, t.done}}
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

// underWay counts the files that are being downloaded. The caller holds the lock.
func (t *Transfer) underWay() int {
	n := 0
	for _, p := range t.parts {
		n += len(p.coming)
	}
	return n
}

// Add counts bytes that arrived. A negative number takes back bytes that have to be
// downloaded again.
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

// Step shows work in progress until end is called.
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

// Did records work that was done for the plugin of ctx besides downloads, such as
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

// Finish reports that the plugin of ctx, one of those announced, is ready. It
// prints the line of [Transfer.Tell].
func (t *Transfer) Finish(ctx context.Context) {
	t.Ended()
	t.Tell(ctx)
}

// Ended reports that the work on one of the announced plugins is over.
func (t *Transfer) Ended() {
	if t == nil {
		return
	}
	defer t.lock()()
	t.finished++
}

// Tell prints one line that says what was downloaded and done for the plugin of ctx,
// and how long that took. It prints nothing if nothing was done.
func (t *Transfer) Tell(ctx context.Context) {
	if t == nil {
		return
	}
	unlock := t.lock()
	p := t.part(ctx)
	unlock()
	t.tell(p)
}

// tell is [Transfer.Tell] for what was done since the last call.
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

// Done prints the lines that are still missing and ends the drawing. Calling it
// again does nothing.
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
