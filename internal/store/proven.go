package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
)

// A blob that is there is not yet the one that a lock means: a lock in which two
// digests changed places, or a URL was changed, names digests that are in the
// store. So beside the blobs there is a second table, of what each identity was
// seen to have; a pair that is not in it is downloaded once, as if the blob were
// not there.

// A Proof says that whoever was asked for an identity gave these bytes.
type Proof struct {
	Identity string // what is asked for, see lock.Kind.Identity
	Manifest string // of OCI: what lists the file
	Digest   Digest
}

// name is where the store keeps the proof: an empty file, for the name says all.
func (p Proof) name() string {
	return fmt.Sprintf("bound/%x", sha256.Sum256(fmt.Appendf(nil, "proof\n%q %q %s", p.Identity, p.Manifest, p.Digest)))
}

// Prove remembers a proof. A store that cannot be written has the bytes
// downloaded again the next time.
func (s *Store) Prove(p Proof) {
	if !s.Proven(p) {
		_ = s.Put(p.name(), 0o644, nil)
	}
}

// Proven reports whether a proof is remembered.
func (s *Store) Proven(p Proof) bool {
	_, err := os.Lstat(s.path(p.name()))
	return err == nil
}

// AddProven is [Store.AddBlob] for bytes that are asked for by an identity: get
// is called as well where the blob is there and the proof is not.
func (s *Store) AddProven(ctx context.Context, p Proof, get func(context.Context, *Ingest) error) error {
	if err := s.addBlob(ctx, p.Digest, !s.Proven(p), get); err != nil {
		return err
	}
	s.Prove(p)
	return nil
}
