// Package provenance verifies who made a file: Sigstore bundles, against the trusted
// roots that a project keeps next to its manifest. It does not use the network.
package provenance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// MaxSize limits a bundle, and a file of roots, in bytes.
const MaxSize = 8 << 20

// Predicates are the types of statements that say how or by whom a file was made.
// Others, such as a bill of materials, do not.
var Predicates = []string{
	"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2",
	"https://docs.pypi.org/attestations/publish/v1",
	"https://sigstore.dev/cosign/sign/v1",
}

// ErrOther is the error for a statement of a type that is not in [Predicates].
var ErrOther = errors.New("the statement is not about how the file was made")

// Roots verify signatures: they hold certificate authorities, logs and timestamping
// authorities.
type Roots []*verify.Verifier

// ParseRoots reads one or more concatenated Sigstore trusted roots in JSON.
func ParseRoots(text []byte) (Roots, error) {
	var roots Roots
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var one json.RawMessage
		if err := d.Decode(&one); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		material, err := root.NewTrustedRootFromJSON(one)
		if err != nil {
			return nil, err
		}
		// A root requires what its authorities provide: Sigstore's own log certificates
		// and signatures; GitHub's only give a timestamp.
		options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
		if len(material.CTLogs()) > 0 {
			options = append(options, verify.WithSignedCertificateTimestamps(1))
		}
		switch {
		case len(material.RekorLogs()) > 0:
			options = append(options, verify.WithTransparencyLog(1))
		case len(material.TimestampingAuthorities()) > 0:
			options[0] = verify.WithSignedTimestamps(1)
		default:
			return nil, errors.New("it has neither a transparency log nor a timestamping authority")
		}
		v, err := verify.NewVerifier(material, options...)
		if err != nil {
			return nil, err
		}
		roots = append(roots, v)
	}
	if len(roots) == 0 {
		return nil, errors.New("it is empty")
	}
	return roots, nil
}

// Verify verifies that a bundle is a signed statement about the file with this
// SHA-256, and returns who signed it: a workflow or an address, and who vouches for it.
// sha512 is "sha512-" and base64, or "": the statements of npm are about that digest.
func (r Roots) Verify(text, sha256 []byte, sha512 string) (signer string, err error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(text); err != nil {
		return "", fmt.Errorf("not a Sigstore bundle: %w", err)
	}
	// Any identity is accepted here: the caller compares it with the signer of the
	// previous version.
	subjects := []verify.ArtifactPolicyOption{verify.WithArtifactDigest("sha256", sha256)}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sha512, "sha512-")); err == nil && strings.HasPrefix(sha512, "sha512-") {
		subjects = append(subjects, verify.WithArtifactDigest("sha512", raw))
	}
	var errs []error
	for _, v := range r {
		var result *verify.VerificationResult
		var err error
		for _, subject := range subjects {
			if result, err = v.Verify(b, verify.NewPolicy(subject, verify.WithoutIdentitiesUnsafe())); err == nil {
				break
			}
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case result.Signature == nil || result.Signature.Certificate == nil:
			errs = append(errs, errors.New("it is signed with a key, not by an identity"))
		case result.Statement == nil || !slices.Contains(Predicates, result.Statement.GetPredicateType()):
			return "", ErrOther
		default:
			c := result.Signature.Certificate
			return signerOf(c.SubjectAlternativeName, c.Issuer)
		}
	}
	return "", errors.Join(errs...)
}

// signerOf returns an identity as it is in the lock: without the ref of a workflow,
// which differs for each release.
func signerOf(name, issuer string) (string, error) {
	name, _, _ = strings.Cut(name, "@refs/")
	for _, part := range []string{name, issuer} {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return "", fmt.Errorf("its certificate is for %q of %q", name, issuer)
		}
	}
	return lock.Signer(name, issuer), nil
}

// OfPyPI converts the attestations that a Python package index has for a file (PEP 740)
// to bundles.
func OfPyPI(text []byte) (bundles [][]byte, err error) {
	var doc struct {
		Bundles []struct {
			Attestations []struct {
				Material struct {
					Certificate json.RawMessage `json:"certificate"`
					Entries     json.RawMessage `json:"transparency_entries"`
				} `json:"verification_material"`
				Envelope struct {
					Statement json.RawMessage `json:"statement"`
					Signature json.RawMessage `json:"signature"`
				} `json:"envelope"`
			} `json:"attestations"`
		} `json:"attestation_bundles"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	type object = map[string]any
	for _, b := range doc.Bundles {
		for _, a := range b.Attestations {
			one, err := json.Marshal(object{
				"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
				"verificationMaterial": object{"certificate": object{"rawBytes": a.Material.Certificate}, "tlogEntries": a.Material.Entries},
				"dsseEnvelope": object{"payload": a.Envelope.Statement, "payloadType": "application/vnd.in-toto+json",
					"signatures": []object{{"sig": a.Envelope.Signature}}},
			})
			if err != nil {
				return nil, err
			}
			bundles = append(bundles, one)
		}
	}
	return bundles, nil
}

// OfList returns the bundles of a document with a list of attestations, the format of
// GitHub and npm registries.
func OfList(text []byte) (bundles [][]byte, err error) {
	var doc struct {
		Attestations []struct {
			PredicateType string          `json:"predicateType"` // npm's own statement is signed with its key
			Bundle        json.RawMessage `json:"bundle"`
		} `json:"attestations"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	for _, a := range doc.Attestations {
		if a.PredicateType != "" && !slices.Contains(Predicates, a.PredicateType) {
			continue
		}
		if len(a.Bundle) == 0 || string(a.Bundle) == "null" {
			return nil, errors.New("an attestation has no bundle in it")
		}
		bundles = append(bundles, a.Bundle)
	}
	return bundles, nil
}
