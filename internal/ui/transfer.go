package ui

import (
	"fmt"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A Transfer shows the progress of a set of downloads: one bar on a terminal,
// one line a file elsewhere, nothing when the UI is quiet.
type Transfer struct {
	ui       *UI
	title    string
	progress *mpb.Progress // nil where no bar is drawn
	bar      *mpb.Bar
	total    atomic.Int64
	done     atomic.Int64
}

// Transfer begins to show a set of downloads. The caller must call Done.
func (u *UI) Transfer() *Transfer { return u.Progress("downloading") }

// Progress begins to show work on bytes by a bar with that title, such as
// "pushing", on a terminal only. The caller must call Done.
func (u *UI) Progress(title string) *Transfer {
	t := &Transfer{ui: u, title: title}
	if u.Quiet || !u.terminal() {
		return t
	}
	t.progress = mpb.New(mpb.WithOutput(u.err), mpb.WithWidth(40))
	t.bar = t.progress.AddBar(0,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(u.Program+": "+title+" ")),
		mpb.AppendDecorators(
			decor.CountersKibiByte("% .1f / % .1f"),
			decor.Name(" "),
			decor.AverageSpeed(decor.SizeB1024(0), "% .1f"),
		),
	)
	u.mu.Lock()
	u.bar = t
	u.mu.Unlock()
	return t
}

// Expect announces a file and its size in bytes, 0 where it is not known yet.
func (t *Transfer) Expect(name string, size int64) { t.expect(t.title, name, size) }

// Download is Expect for a file that has to be downloaded before other work.
func (t *Transfer) Download(name string, size int64) { t.expect("downloading", name, size) }

func (t *Transfer) expect(title, name string, size int64) {
	t.Grow(size)
	if t.bar != nil {
		return
	}
	if size > 0 {
		t.ui.Say("%s %s (%s)", title, name, Size(size))
	} else {
		t.ui.Say("%s %s", title, name)
	}
}

// Grow adds bytes to what is to be done.
func (t *Transfer) Grow(size int64) {
	total := t.total.Add(size)
	if t.bar != nil {
		t.bar.SetTotal(total, false)
	}
}

// Size writes a number of bytes as people read it.
func Size(n int64) string {
	switch {
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// Add counts bytes that have arrived; a negative number takes bytes back that
// have to be fetched again.
func (t *Transfer) Add(n int64) {
	done := t.done.Add(n)
	if t.bar == nil {
		return
	}
	if done > t.total.Load() {
		t.bar.SetTotal(done, false)
	}
	t.bar.SetCurrent(done)
}

// Done takes the bar away.
func (t *Transfer) Done() {
	if t.bar == nil {
		return
	}
	t.ui.mu.Lock()
	t.ui.bar = nil
	t.ui.mu.Unlock()
	t.bar.Abort(true)
	t.progress.Wait()
}

// print writes talk above the bar. The caller holds the lock of the UI.
func (t *Transfer) print(s string) {
	_, _ = t.progress.Write([]byte(s))
}
