package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A warm remembers where a plugin was found, so that finding it again costs a
// handful of calls to stat: no lock is parsed, nothing is hashed. Like npm's,
// pip's and make's, the memory rests on size, modification time, change time
// and inode of the lock and of the installed files; anything else than full
// agreement is a miss.
type warm struct {
	name  string // of the file that holds the memory, for [store.Store.Read]
	store *store.Store
}

// memory is what a warm file holds.
type memory struct {
	Place   *install.Program    `json:"place"`
	Folders []int64             `json:"folders"` // see [install.Folders]
	Depends map[string]identity `json:"depends"` // by path, the lock among them
}

// identity tells one state of a file from another.
type identity [4]int64

// warm returns the memory of one question: this lock, spec and platform.
func (a *app) warm(lockPath, spec, platform string) warm {
	h := sha256.Sum256([]byte(strings.Join([]string{lockPath, spec, platform, a.opts.python}, "\x00")))
	return warm{"warm/" + hex.EncodeToString(h[:16]) + ".json", a.store}
}

// load returns what is remembered and still true, or nil.
func (w warm) load() *memory {
	data, err := w.store.Read(w.name)
	if err != nil {
		return nil
	}
	var m memory
	if json.Unmarshal(data, &m) != nil || m.Place == nil || len(m.Depends) < 2 {
		return nil
	}
	for name, want := range m.Depends {
		w.store.Use(name) // before it is looked at
		if got, err := identify(name); err != nil || got != want {
			return nil
		}
	}
	return &m
}

// identify returns the lock's identity before it is read, for save.
func (w warm) identify(lockPath string) (map[string]identity, error) {
	id, err := identify(lockPath)
	if err != nil {
		return nil, err
	}
	return map[string]identity{lockPath: id}, nil
}

// save remembers p. A cache that cannot be written only costs time later, so
// failure is silence.
func (w warm) save(depends map[string]identity, p *install.Program, folders []int64, files []string) {
	for _, name := range files {
		id, err := identify(name)
		if err != nil {
			return
		}
		depends[name] = id
	}
	data, err := json.Marshal(memory{p, folders, depends})
	if err != nil {
		return
	}
	_ = w.store.Put(w.name, 0o644, data)
}
