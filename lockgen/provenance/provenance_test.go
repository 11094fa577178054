package provenance

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake/signed"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestVerify: bundles that are what they say, and those that are not.
func TestVerify(t *testing.T) {
	t.Parallel()
	a := signed.New(t)
	roots, err := ParseRoots(slices.Concat(signed.New(t).Root(false), []byte("\n"), a.Root(false), []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("the file")
	sum, long := sha256.Sum256(body), sha512.Sum512(body)
	name, sri := hex.EncodeToString(sum[:]), "sha512-"+base64.StdEncoding.EncodeToString(long[:])
	about := func(predicate string) string { return signed.Statement(predicate, "file", "sha256", name) }
	good := a.Bundle(signed.Workflow, signed.GitHub, about(Predicates[0]))
	const signer = "https://github.com/acme/tool/.github/workflows/release.yml via " + signed.GitHub
	for _, tt := range []struct {
		name   string
		bundle []byte
		want   string
	}{
		{"a workflow", good, signer},
		{"by its SHA-512", a.Bundle(signed.Workflow, signed.GitHub, signed.Statement(Predicates[0], "file", "sha512", hex.EncodeToString(long[:]))), signer},
		{"a publisher of Python", a.Bundle(signed.Workflow, signed.GitHub, about(Predicates[2])), signer},
		{"a job of GitLab", a.Bundle("https://gitlab.com/acme/tool//.gitlab-ci.yml@refs/tags/v1", "https://gitlab.com", about(Predicates[1])), "https://gitlab.com/acme/tool//.gitlab-ci.yml via https://gitlab.com"},
	} {
		if got, err := roots.Verify(tt.bundle, sum[:], sri); err != nil || got != tt.want {
			t.Errorf("%s: %q %v", tt.name, got, err)
		}
	}
	if _, err := roots.Verify(a.Bundle(signed.Workflow, signed.GitHub, about("https://spdx.dev/Document")), sum[:], ""); !errors.Is(err, ErrOther) {
		t.Errorf("a bill of materials: %v", err)
	}

	row := testenv.Rows(t, "a bundle of Sigstore that is not what it says: no signer", "")
	refused := func(name string, roots Roots, bundle []byte, sum []byte) {
		t.Run(name, func(t *testing.T) {
			row(t)
			if got, err := roots.Verify(bundle, sum, ""); err == nil {
				t.Errorf("taken, as signed by %q:\n%s", got, bundle)
			}
		})
	}
	another := sha256.Sum256([]byte("another file"))
	refused("of another file", roots, good, another[:])
	stranger := signed.New(t)
	refused("of an unknown authority", roots, stranger.Bundle(signed.Workflow, signed.GitHub, about(Predicates[0])), sum[:])
	logged, err := ParseRoots(a.Root(true))
	if err != nil {
		t.Fatal(err)
	}
	refused("its certificate in no log", logged, good, sum[:])
	refused("about a SHA-1", roots, a.Bundle(signed.Workflow, signed.GitHub, signed.Statement(Predicates[0], "file", "sha1", name[:40])), sum[:])
	refused("no statement", roots, a.Bundle(signed.Workflow, signed.GitHub, `{"file": "`+name+`"}`), sum[:])
	for _, part := range [][]byte{nil, []byte("{}"), []byte("null"), []byte("[]"), good[:len(good)/2], []byte(strings.Repeat("[", 100_000))} {
		refused(fmt.Sprintf("%d bytes", len(part)), roots, part, sum[:])
	}

	// Each part of one bundle from another, which is as good, and each part left out.
	other := a.Bundle("https://github.com/evil/tool/.github/workflows/release.yml@refs/tags/v1", signed.GitHub, about(Predicates[1]))
	paths := []string{
		"dsseEnvelope", "dsseEnvelope.payload", "dsseEnvelope.signatures", "verificationMaterial", "verificationMaterial.certificate", "verificationMaterial.tlogEntries",
		"verificationMaterial.tlogEntries.0.canonicalizedBody", "verificationMaterial.tlogEntries.0.logId",
		"verificationMaterial.tlogEntries.0.inclusionProof", "verificationMaterial.tlogEntries.0.kindVersion", "mediaType",
	}
	var same []string // in both bundles
	for _, path := range paths {
		for _, from := range []string{"", "other"} {
			changed := decoded(t, good)
			var with any
			if from != "" {
				with, _ = at(decoded(t, other), path)
				if was, _ := at(changed, path); fmt.Sprint(was) == fmt.Sprint(with) {
					same = append(same, path)
					continue
				}
			}
			_, set := at(changed, path)
			set(with)
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			refused(path+" "+from, roots, text, sum[:])
		}
	}
	if len(same) > 3 {
		t.Errorf("too much is alike: %v", same)
	}

	// A changed byte of what is signed, or signs.
	for _, path := range []string{"dsseEnvelope.payload", "dsseEnvelope.signatures.0.sig", "verificationMaterial.certificate.rawBytes", "verificationMaterial.tlogEntries.0.canonicalizedBody"} {
		text, _ := at(decoded(t, good), path)
		raw, err := base64.StdEncoding.DecodeString(text.(string))
		if err != nil {
			t.Fatal(err)
		}
		for i := range testenv.Count(16, min(len(raw), 512)) {
			where := i * len(raw) / testenv.Count(16, min(len(raw), 512))
			bad := bytes.Clone(raw)
			bad[where] ^= 1 << (i % 8)
			changed := decoded(t, good)
			_, set := at(changed, path)
			set(base64.StdEncoding.EncodeToString(bad))
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			refused(fmt.Sprintf("%s byte %d", path, where), roots, text, sum[:])
		}
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// at is the part of a document at a path, and sets it; nil removes it.
func at(v any, path string) (part any, set func(any)) {
	for names := strings.Split(path, "."); ; names = names[1:] {
		switch of := v.(type) {
		case map[string]any:
			part = of[names[0]]
			set = func(with any) {
				if of[names[0]] = with; with == nil {
					delete(of, names[0])
				}
			}
		case []any:
			part, set = of[0], func(with any) { of[0] = with }
		}
		if len(names) == 1 {
			return part, set
		}
		v = part
	}
}

// TestParseRoots: what is no trusted root.
func TestParseRoots(t *testing.T) {
	t.Parallel()
	good := string(signed.New(t).Root(false))
	var doc map[string]any
	if err := json.Unmarshal([]byte(good), &doc); err != nil {
		t.Fatal(err)
	}
	without := maps.Clone(doc)
	delete(without, "tlogs")
	delete(without, "timestampAuthorities")
	bare, err := json.Marshal(without)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "  ", "{", "[]", "null", `{"mediaType": "x"}`, good + "{", good[:len(good)/2], string(bare)} {
		if _, err := ParseRoots([]byte(text)); err == nil {
			t.Errorf("%.80q: taken", text)
		}
	}
	if roots, err := ParseRoots([]byte(good + good)); err != nil || len(roots) != 2 {
		t.Errorf("%d roots: %v", len(roots), err)
	}
}

// TestDocuments: the bundles in what registries answer.
func TestDocuments(t *testing.T) {
	t.Parallel()
	a := signed.New(t)
	roots, err := ParseRoots(a.Root(false))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("the file"))
	bundle := a.Bundle(signed.Workflow, signed.GitHub, signed.Statement(Predicates[2], "file", "sha256", hex.EncodeToString(sum[:])))
	list := fmt.Sprintf(`{"attestations": [{"predicateType": "https://github.com/npm/attestation/tree/main/specs/publish/v0.1", "bundle": {}}, {"predicateType": %q, "bundle": %s}]}`, Predicates[0], bundle)
	for name, got := range map[string]func() ([][]byte, error){
		"list": func() ([][]byte, error) { return OfList([]byte(list)) },
		"PyPI": func() ([][]byte, error) { return OfPyPI(signed.PyPI(t, bundle)) },
	} {
		bundles, err := got()
		if err != nil || len(bundles) != 1 {
			t.Errorf("%s: %d bundles, %v", name, len(bundles), err)
			continue
		}
		signer, err := roots.Verify(bundles[0], sum[:], "")
		if err != nil || !strings.HasPrefix(signer, "https://github.com/acme/tool/") {
			t.Errorf("%s: %q %v", name, signer, err)
		}
	}
	for _, bad := range []string{"", "[]", `{"attestations": {}}`, `{"attestations": [{}]}`, `{"attestations": [{"bundle": null}]}`} {
		if bundles, err := OfList([]byte(bad)); err == nil {
			t.Errorf("%q: %d bundles", bad, len(bundles))
		}
	}
	for _, bad := range []string{"", "[]", `{"attestation_bundles": {}}`, `{"attestation_bundles": [{"attestations": 1}]}`} {
		if bundles, err := OfPyPI([]byte(bad)); err == nil {
			t.Errorf("%q: %d bundles", bad, len(bundles))
		}
	}
}
