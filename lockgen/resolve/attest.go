package resolve

import (
	"context"
	"encoding/hex"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/provenance"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// attest verifies who made the files of a version, if [policy] has trusted roots. It
// fails if a statement does not verify. Files without a statement keep their trust.
func (u *update) attest(ctx context.Context, n *newVersion) error {
	roots, err := u.Roots()
	if err != nil || roots == nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(source.Questions)
	for _, a := range n.res.Artifacts {
		if a.Attested == nil || len(n.use[a.Key]) == 0 {
			continue
		}
		group.Go(func() error {
			sha256 := u.files.Content(a).Digest.SHA256
			said, err := a.Attested(ctx, sha256)
			if err != nil {
				return fault.Errorf(fault.Of(err), "", "who made %s: %w", a.Label, err)
			}
			return attested(roots, a, said, sha256)
		})
	}
	return group.Wait()
}

// attested sets the signer of an artifact to the one that a bundle proves.
func attested(roots provenance.Roots, a *source.Artifact, said source.Attestation, sha256 string) error {
	digest, err := hex.DecodeString(sha256)
	if err != nil {
		return fault.Errorf(fault.Internal, "", "the digest of %s: %w", a.Label, err)
	}
	var errs []error
	for _, b := range said.Bundles {
		signer, err := roots.Verify(b, digest, a.Digest)
		switch {
		case err == nil:
			a.File.Signer, a.Trust = signer, "provenance"
			return nil
		case !errors.Is(err, provenance.ErrOther):
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fault.Errorf(fault.Integrity, "do not use it before its publisher explains it; if Sigstore has new keys, renew the file of trusted-root in [policy]: cosign trusted-root create",
			"the signed statement about %s does not verify, at %s: %w", a.Label, said.From, errors.Join(errs...))
	}
	return nil
}
