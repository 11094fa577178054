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
)

// What the store keeps of documents, in bytes: the answers of registries that
// are asked again with their validators.
const (
	maxDocument  = 32 << 20
	maxDocuments = 256 << 20
)

// A Document is what a server answered, or what this machine wants to remember
// of one. It is worth keeping, never needed: whoever finds none asks again.
type Document struct {
	Body        []byte `json:"-"`
	ContentType string `json:"type,omitempty"`
	ETag        string `json:"etag,omitempty"`
	Modified    string `json:"modified,omitempty"` // the header Last-Modified
	Link        string `json:"link,omitempty"`     // the header of that name
	From        string `json:"from,omitempty"`     // the address that answered, without secrets
}

func document(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "documents/" + hex.EncodeToString(sum[:])
}

// Document returns what was kept under a key. One that is not what was kept is
// removed, and not found.
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
	_ = os.Chtimes(name, now, now) // the oldest goes first; a read-only cache keeps all
	return d, true
}

// KeepDocument keeps a document under a key, instead of an earlier one. One that
// is larger than the bound of the store is not kept. When all of them are, those
// not used for longest go. An error is of class Machine; nothing is lost by it.
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
	// 0600: it may be of a registry that wants a token.
	data := append(append(header, '\n'), d.Body...)
	if err := s.Seal(name, 0o600, data); err != nil {
		return err
	}
	s.docsMu.Lock()
	defer s.docsMu.Unlock()
	// All of them are looked at once, and then whenever this process may have made
	// them too many.
	if s.docs += int64(len(data)); s.docsSeen && s.docs <= maxDocuments {
		return nil
	}
	s.docs, err = s.trimDocuments(maxDocuments)
	s.docsSeen = err == nil
	return err
}

// trimDocuments removes documents until the rest has at most limit bytes, and
// returns how many those are.
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

// FirstSeen returns when this machine saw things for the first time, which for
// those that it did not see before is now. Of are the things of one source, such
// as the versions of a module. What is forgotten, because the cache was cleared,
// was never seen.
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
