package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/filestat"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A warm remembers where a plugin was found, so that finding it again needs only
// calls to stat: no lock is parsed and nothing is hashed. The memory is valid as long
// as stat reports no change to the lock, to the plugin's whole folder (see
// [store.Store.Unchanged]), and to the files outside it that are run: the launcher
// and its interpreter. Any difference is a miss. The file is sealed and answers one
// question only.
type warm struct {
	name     string // of the file that holds the memory
	question string
	store    *store.Store
}

// memory is the content of a warm file.
type memory struct {
	Question string                       `json:"question"`
	Place    *install.Program             `json:"place"`
	Folders  []int64                      `json:"folders"` // see [install.Folders]
	Depends  map[string]filestat.Identity `json:"depends"` // by path, the lock among them
}

// warm returns the memory for one question: this lock, spec, platform and cache
// folder (a copied cache has other paths).
func (a *app) warm(lockPath, spec, platform string) warm {
	question := strings.Join([]string{a.store.Dir(), lockPath, spec, platform, a.opts.python}, "\x00")
	h := sha256.Sum256([]byte(question))
	return warm{"warm/" + hex.EncodeToString(h[:16]) + ".json", question, a.store}
}

// load returns the memory if it is still valid, or nil.
func (w warm) load() *memory {
	data, ok := w.store.Sealed(w.name)
	if !ok {
		return nil
	}
	var m memory
	if json.Unmarshal(data, &m) != nil || m.Place == nil || m.Question != w.question || len(m.Depends) < 2 {
		return nil
	}
	for name, want := range m.Depends {
		w.store.Use(name) // before checking it
		if got, err := filestat.Stat(name); err != nil || got != want {
			return nil
		}
	}
	w.store.Use(m.Place.Tree)
	if !w.store.Unchanged(filepath.Base(m.Place.Tree)) {
		return nil
	}
	return &m
}

// identify returns the identity of the lock, for save; it must be called before the
// lock is read. It returns nothing if the lock is so new that a change might not show.
func (w warm) identify(lockPath string) (map[string]filestat.Identity, error) {
	id, err := filestat.Stat(lockPath)
	if err == nil && !id.Settled() {
		time.Sleep(filestat.ClockTick)
	}
	if err != nil || !id.Settled() {
		return nil, err
	}
	return map[string]filestat.Identity{lockPath: id}, nil
}

// save remembers p. Errors are ignored: without a memory the next run is only
// slower.
func (w warm) save(depends map[string]filestat.Identity, p *install.Program, folders []int64, files []string) {
	if depends == nil {
		return
	}
	for _, name := range files {
		id, err := filestat.Stat(name)
		if err != nil {
			return
		}
		depends[name] = id
	}
	data, err := json.Marshal(memory{w.question, p, folders, depends})
	if err != nil {
		return
	}
	_ = w.store.Seal(w.name, 0o644, data)
}
