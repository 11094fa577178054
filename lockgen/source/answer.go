package source

import (
	"io/fs"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// An Answer is what a source says today of one locked file.
type Answer struct {
	record
	Expected string // of Digest
	Unproved string // why a digest cannot be told without a download
	Err      error  // no answer; fs.ErrNotExist: it is gone
}

// A record is what an index says of one file or version.
type record struct {
	Digest     string // in the form of the lock, or several, separated by spaces; "" for none
	Yanked     string // why it was withdrawn, "" where it was not
	Deprecated string // what its publisher says to those who use it, "" for nothing
}

func names(v *lock.Version) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, f := range v.Files {
			if !yield(f.Name) {
				return
			}
		}
	}
}

// A listing is the answer about one package.
type listing struct {
	said map[string]record
	err  error
}

// goneHint is for what upstream has no more.
const goneHint = "it stays usable from a cache and from a mirror (lockgen mirror); which newer versions there are: lockgen outdated"

// answer is what a listing says of one entry.
func (l listing) answer(entry, gone, expected string) Answer {
	if l.err != nil {
		return Answer{Err: l.err}
	}
	entryOf, ok := l.said[entry]
	if !ok {
		return Answer{Err: fault.Errorf(fault.Upstream, goneHint, "%s: %w", gone, fs.ErrNotExist)}
	}
	return Answer{record: entryOf, Expected: expected}
}

// questions are how many are asked of one source at once.
const questions = 8

// each asks for several things at a time.
func each(keys []string, ask func(key string) (map[string]record, error)) map[string]listing {
	answers := make([]listing, len(keys))
	var wg sync.WaitGroup
	slots := make(chan struct{}, questions)
	for i, key := range keys {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i].said, answers[i].err = ask(key)
		})
	}
	wg.Wait()
	found := map[string]listing{}
	for i, key := range keys {
		found[key] = answers[i]
	}
	return found
}
