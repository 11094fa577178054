package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
)

// A blob in the store need not be the one that a lock means: if two digests in
// a lock are swapped, or a URL is changed, the blobs with these digests may
// still exist. So the store also records which digest each identity was served
// with. A pair that is not recorded is downloaded once, as if the store did not
// have the blob.

// A Proof records that a server returned this blob for an identity.
type Proof struct {
	Identity string // what was requested, see lock.Kind.Identity
	Manifest string // for OCI: the manifest that lists the file
	Digest   Digest
}

// name is the path of the empty file in the store that records the proof.
func (p Proof) name() string {
	return fmt.Sprintf("bound/%x", sha256.Sum256(fmt.Appendf(nil, "proof\n%q %q %s", p.Identity, p.Manifest, p.Digest)))
}

// Prove records a proof. If it cannot be written, the blob is downloaded again
// the next time.
func (s *Store) Prove(p Proof) {
	if !s.Proven(p) {
		_ = s.Put(p.name(), 0o644, nil)
	}
}

// Proven reports whether a proof is recorded.
func (s *Store) Proven(p Proof) bool {
	_, err := os.Lstat(s.path(p.name()))
	return err == nil
}

// AddProven is [Store.AddBlob] for bytes requested by an identity: it also
// calls get if the store has the blob but not the proof.
func (s *Store) AddProven(ctx context.Context, p Proof, get func(context.Context, *Ingest) error) error {
	if err := s.addBlob(ctx, p.Digest, !s.Proven(p), get); err != nil {
		return err
	}
	s.Prove(p)
	return nil
}
