package source

import (
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// An Answer is what a source now says about one locked file.
type Answer struct {
	Record
	Expected string // of Digest
	Unproved string // why a digest is only known after a download
	Err      error  // no answer; fs.ErrNotExist: it was removed
}

// A Record is what an index says about one file or version.
type Record struct {
	Digest     string // in the form of the lock, or several, separated by spaces; "" for none
	Yanked     string // why it was withdrawn; "" if it was not
	Deprecated string // the publisher's message to its users; "" for none
}

// Names returns the packages that the files of a version belong to.
func Names(v *lock.Version) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, f := range v.Files {
			if !yield(f.Name) {
				return
			}
		}
	}
}

// A Listing is the answer about one package: the records of its files or
// versions.
type Listing struct {
	said map[string]Record
	Err  error
}

// GoneHint is the hint for something that upstream no longer has.
const GoneHint = "it stays usable from a cache and from a mirror (lockgen mirror); which newer versions there are: lockgen outdated"

// Answer returns what a listing says about one entry.
func (l Listing) Answer(entry, gone, expected string) Answer {
	if l.Err != nil {
		return Answer{Err: l.Err}
	}
	entryOf, ok := l.said[entry]
	if !ok {
		return Answer{Err: fault.Missingf(fault.Upstream, GoneHint, "%s", gone)}
	}
	return Answer{Record: entryOf, Expected: expected}
}

// Questions limits the concurrent requests to one source.
const Questions = 8

// Each asks about several keys, some at a time.
func Each(keys []string, ask func(key string) (map[string]Record, error)) map[string]Listing {
	answers := make([]Listing, len(keys))
	var wg sync.WaitGroup
	slots := make(chan struct{}, Questions)
	for i, key := range keys {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i].said, answers[i].Err = ask(key)
		})
	}
	wg.Wait()
	found := map[string]Listing{}
	for i, key := range keys {
		found[key] = answers[i]
	}
	return found
}
