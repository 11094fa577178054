package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Limits for documents in the store, in bytes. Most are responses of
// registries, kept with their validators for the next request.
const (
	maxDocument  = 32 << 20
	maxDocuments = 256 << 20
)

// A Document is the response of a server, or something else worth remembering.
// A document may disappear at any time; the caller must be able to do without.
type Document struct {
	Body        []byte `json:"-"`
	ContentType string `json:"type,omitempty"`
	ETag        string `json:"etag,omitempty"`
	Modified    string `json:"modified,omitempty"` // the Last-Modified header
	Link        string `json:"link,omitempty"`     // the Link header
	From        string `json:"from,omitempty"`     // the URL that answered, without secrets
}

func document(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "documents/" + hex.EncodeToString(sum[:])
}

// Document returns the document with that key. A damaged one is removed and not
// returned.
func (s *Store) Document(key string) (Document, bool) {
	var d Document
	name := s.path(document(key))
	data, ok := s.Sealed(document(key))
	header, body, cut := bytes.Cut(data, []byte("\n"))
	if !ok || !cut || json.Unmarshal(header, &d) != nil {
		remove(name)
		return Document{}, false
	}
	d.Body = body
	now := time.Now()
	_ = os.Chtimes(name, now, now) // for trimDocuments, which removes the oldest first; fails in a read-only cache
	return d, true
}

// KeepDocument stores a document under a key and replaces an earlier one. A
// document above the size limit is not stored. If all documents together exceed
// their limit, the least recently used ones are removed. Errors are of class
// [fault.Machine] and can be ignored.
func (s *Store) KeepDocument(key string, d Document) error {
	name := document(key)
	if len(d.Body) > maxDocument {
		remove(s.path(name))
		return nil
	}
	header, err := json.Marshal(d)
	if err != nil {
		return err
	}
	// 0600: it may come from a registry that needs a token.
	data := append(append(header, '\n'), d.Body...)
	if err := s.Seal(name, 0o600, data); err != nil {
		return err
	}
	s.docsMu.Lock()
	defer s.docsMu.Unlock()
	// Look at all of them once, and then whenever this process may have exceeded
	// the limit.
	if s.docs += int64(len(data)); s.docsSeen && s.docs <= maxDocuments {
		return nil
	}
	s.docs, err = s.trimDocuments(maxDocuments)
	s.docsSeen = err == nil
	return err
}

// Relied notes that this process went by the answer of a server with that key.
func (s *Store) Relied(key string) {
	s.docsMu.Lock()
	defer s.docsMu.Unlock()
	if s.relied == nil {
		s.relied = map[string]bool{}
	}
	s.relied[key] = true
}

// Settle is told how a run of this process ended. If that was because of what servers
// said, it removes the answers that the run went by: one of them may have been cut on its
// way and have the validators of the whole, and with it kept, an honest server would say
// for ever that nothing has changed.
func (s *Store) Settle(err error) {
	if class := fault.Of(err); class != fault.Upstream && class != fault.Integrity {
		return
	}
	s.docsMu.Lock()
	defer s.docsMu.Unlock()
	for key := range s.relied {
		remove(s.path(document(key)))
	}
	s.relied = nil
}

// trimDocuments removes documents until the rest have at most limit bytes, and
// returns their number of bytes.
func (s *Store) trimDocuments(limit int64) (left int64, err error) {
	entries, err := os.ReadDir(s.path("documents"))
	if err != nil {
		return 0, s.refused(err)
	}
	var infos []os.FileInfo
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // another process may have removed it
			infos = append(infos, info)
			total += info.Size()
		}
	}
	slices.SortFunc(infos, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range infos {
		if total <= limit {
			break
		}
		total -= info.Size()
		remove(s.path("documents", info.Name()))
	}
	return total, nil
}

// FirstSeen returns when this machine first saw each of the things in of, which
// belong to one source, such as the versions of a module. For those it has not
// seen before, that is now. Clearing the cache forgets them.
func (s *Store) FirstSeen(ctx context.Context, source string, of []string, now time.Time) (map[string]time.Time, error) {
	unlock, err := s.lock(ctx, "seen")
	if err != nil {
		return nil, err
	}
	defer unlock()
	key := "seen " + source
	known := map[string]time.Time{}
	if d, ok := s.Document(key); ok {
		if err := json.Unmarshal(d.Body, &known); err != nil {
			known = map[string]time.Time{}
		}
	}
	seen := map[string]time.Time{}
	news := false
	for _, one := range of {
		when, ok := known[one]
		if !ok || when.After(now) {
			when, news = now.UTC(), true
			known[one] = when
		}
		seen[one] = when
	}
	if !news {
		return seen, nil
	}
	body, err := json.Marshal(known)
	return seen, errors.Join(err, s.KeepDocument(key, Document{Body: body}))
}
