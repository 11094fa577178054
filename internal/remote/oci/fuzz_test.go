package oci

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// FuzzManifest has any bytes as a manifest or as an index that was asked for by their
// digest: what is taken is one of the two, and each of its parts has a digest and a
// size.
func FuzzManifest(f *testing.F) {
	sum := strings.Repeat("ab", 32)
	part := func(more string) string {
		return `{"mediaType":"application/octet-stream","digest":"sha256:` + sum + `","size":5` + more + `}`
	}
	manifest := func(more string) string { return `{"schemaVersion":2,"config":` + part("") + more + `}` }
	layer := func(text string) string { return manifest(`,"layers":[` + text + `]`) }
	seeds := []struct {
		index bool
		text  string
		class fault.Class
	}{
		{false, manifest(""), fault.OK},
		{false, layer(part("")), fault.OK},
		{false, manifest(`,"mediaType":"` + ocispec.MediaTypeImageManifest + `","unknown":[1]`), fault.OK},
		{true, `{"schemaVersion":2,"manifests":[` + part("") + `]}`, fault.OK},
		{true, `{"schemaVersion":2,"manifests":[]}`, fault.OK},
		{true, `{"schemaVersion":2}`, fault.OK},
		{false, ``, fault.Upstream},
		{false, `null`, fault.Upstream},
		{false, `[]`, fault.Upstream},
		{false, `<html>`, fault.Upstream},
		{false, manifest("") + "x", fault.Upstream},
		{false, manifest("") + manifest(""), fault.Upstream},
		{false, strings.Repeat("[", 20000), fault.Upstream},
		{false, `{"schemaVersion":1,"fsLayers":[]}`, fault.Upstream},
		{false, `{"schemaVersion":2}`, fault.Upstream},
		{false, manifest(`,"mediaType":"` + ocispec.MediaTypeImageIndex + `"`), fault.Integrity},
		{false, manifest(`,"manifests":[]`), fault.Integrity},
		{true, `{"schemaVersion":2,"layers":[]}`, fault.Integrity},
		{true, `{"schemaVersion":2,"manifests":[],"layers":[]}`, fault.Integrity},
		{false, layer(strings.Replace(part(""), "sha256", "sha512", 1)), fault.Policy},
		{false, layer(strings.Replace(part(""), "ab", "AB", 1)), fault.Upstream},
		{false, layer(strings.Replace(part(""), "ab", "", 1)), fault.Upstream},
		{false, layer(strings.Replace(part(""), "sha256:", "", 1)), fault.Policy},
		{false, layer(strings.Replace(part(""), `"size":5`, `"size":0`, 1)), fault.Upstream},
		{false, layer(strings.Replace(part(""), `"size":5`, `"size":-1`, 1)), fault.Upstream},
		{false, layer(strings.Replace(part(""), `"size":5`, `"size":4611686018427387904`, 1)), fault.Upstream},
		{false, layer(strings.Replace(part(""), `"size":5`, `"size":1e99`, 1)), fault.Upstream},
		{false, layer(part(`,"urls":["https://x.invalid/"]`)), fault.Upstream},
		{false, layer(part(`,"data":"aGVsbG8="`)), fault.Integrity},
		{false, layer("{}"), fault.Policy},
	}
	for _, s := range seeds {
		f.Add(s.index, s.text)
	}
	f.Fuzz(func(t *testing.T, index bool, text string) {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
		if index {
			desc.MediaType = ocispec.MediaTypeImageIndex
		}
		n, err := parse("oci://reg.invalid/x", desc, []byte(text))
		class := fault.Of(err)
		for _, s := range seeds {
			if s.index == index && s.text == text && s.class != class {
				t.Errorf("%s: class %v of %v, want %v", text, class, err, s.class)
			}
		}
		if err != nil {
			if class != fault.Upstream && class != fault.Integrity && class != fault.Policy || fault.Hint(err) == "" {
				t.Errorf("%q: class %v of %v", text, class, err)
			}
			return
		}
		if index && n.Layers != nil || !index && n.Children != nil {
			t.Errorf("%q is both", text)
		}
		for _, d := range append(n.Layers, n.Children...) {
			if syntax.CheckSHA256("digest", d.SHA256) != nil || d.Size <= 0 || d.Size > maxBlob {
				t.Errorf("%q has %+v", text, d)
			}
		}
	})
}
