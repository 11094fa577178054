// Package signed signs statements for tests, as Sigstore does: with authorities and a
// log of its own, which live for an hour.
package signed

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// GitHub vouches for workflows.
const GitHub = "https://token.actions.githubusercontent.com"

// Workflow is the identity of a workflow of acme/tool.
const Workflow = "https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/v1"

// An Authority signs.
type Authority struct {
	t  testing.TB
	vs *ca.VirtualSigstore
}

// New makes authorities.
func New(t testing.TB) *Authority {
	t.Helper()
	vs, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{t, vs}
}

// Root is the trusted root. With logged, certificates must be in a log, which those of
// this package are not.
func (a *Authority) Root(logged bool) []byte {
	a.t.Helper()
	raw := func(logs map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
		for id, l := range logs {
			key, err := hex.DecodeString(id)
			if err != nil {
				a.t.Fatal(err)
			}
			l.ID, l.SignatureHashFunc = key, l.HashFunc
		}
		return logs
	}
	var certificates map[string]*root.TransparencyLog
	if logged {
		certificates = raw(a.vs.CTLogs())
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, a.vs.FulcioCertificateAuthorities(), certificates, a.vs.TimestampingAuthorities(), raw(a.vs.RekorLogs()))
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := r.MarshalJSON()
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// Statement is one of in-toto about a file.
func Statement(predicate, name, algorithm, digest string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":%q,"digest":{%q:%q}}],"predicateType":%q,"predicate":{}}`, name, algorithm, digest, predicate)
}

// Bundle is a statement that an identity signed, as a bundle of Sigstore.
func (a *Authority) Bundle(identity, issuer, statement string) []byte {
	a.t.Helper()
	e, err := a.vs.AttestAtTime(identity, issuer, []byte(statement), time.Now().Add(5*time.Minute), true)
	if err != nil {
		a.t.Fatal(err)
	}
	content, err1 := e.VerificationContent()
	signature, err2 := e.SignatureContent()
	entries, err3 := e.TlogEntries()
	stamps, err4 := e.Timestamps()
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			a.t.Fatal(err)
		}
	}
	material := &protobundle.VerificationMaterial{
		Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: &common.X509Certificate{RawBytes: content.Certificate().Raw}},
		TimestampVerificationData: &protobundle.TimestampVerificationData{},
	}
	for _, entry := range entries {
		tle := entry.TransparencyLogEntry()
		var body struct{ APIVersion, Kind string }
		if err := json.Unmarshal(tle.CanonicalizedBody, &body); err != nil {
			a.t.Fatal(err)
		}
		tle.KindVersion = &rekor.KindVersion{Kind: body.Kind, Version: body.APIVersion}
		promise, err := a.vs.RekorSignPayload(tlog.RekorPayload{Body: tle.CanonicalizedBody, IntegratedTime: tle.IntegratedTime, LogIndex: tle.LogIndex, LogID: hex.EncodeToString(tle.LogId.KeyId)})
		if err != nil {
			a.t.Fatal(err)
		}
		tle.InclusionPromise = &rekor.InclusionPromise{SignedEntryTimestamp: promise}
		material.TlogEntries = append(material.TlogEntries, tle)
	}
	for _, stamp := range stamps {
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps, &common.RFC3161SignedTimestamp{SignedTimestamp: stamp})
	}
	envelope := signature.EnvelopeContent().RawEnvelope()
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &dsse.Envelope{
			Payload: payload, PayloadType: envelope.PayloadType, Signatures: []*dsse.Signature{{Sig: signature.Signature()}},
		}},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// PyPI is a bundle in the form that an index of Python packages has (PEP 740).
func PyPI(t testing.TB, bundle []byte) []byte {
	t.Helper()
	var of struct {
		VerificationMaterial struct {
			Certificate struct{ RawBytes string }
			TlogEntries []any
		}
		DsseEnvelope struct {
			Payload    string
			Signatures []struct{ Sig string }
		}
	}
	if err := json.Unmarshal(bundle, &of); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	text, err := json.Marshal(object{"version": 1, "attestation_bundles": []object{{
		"publisher": object{"kind": "GitHub", "repository": "acme/tool", "workflow": "release.yml"},
		"attestations": []object{{
			"version":               1,
			"verification_material": object{"certificate": of.VerificationMaterial.Certificate.RawBytes, "transparency_entries": of.VerificationMaterial.TlogEntries},
			"envelope":              object{"statement": of.DsseEnvelope.Payload, "signature": of.DsseEnvelope.Signatures[0].Sig},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
