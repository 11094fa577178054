package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// TestOCIReal locks from a registry that somebody else wrote and runs: HOST:PORT
// on this machine in BUCK2_PROTOBUF_TEST_REGISTRY, such as that of
// distribution/distribution, and its NAME:PASSWORD, where it wants one by Basic,
// in BUCK2_PROTOBUF_TEST_REGISTRY_USER.
func TestOCIReal(t *testing.T) {
	host := os.Getenv("BUCK2_PROTOBUF_TEST_REGISTRY")
	if host == "" {
		t.Skip("BUCK2_PROTOBUF_TEST_REGISTRY names no registry")
	}
	user := os.Getenv("BUCK2_PROTOBUF_TEST_REGISTRY_USER")
	do := func(method, address, contentType string, body []byte) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		if name, password, ok := strings.Cut(user, ":"); ok {
			req.SetBasicAuth(name, password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, address, resp.StatusCode, text)
		}
		return resp
	}
	base := "http://" + host + "/v2/acme/real"
	type desc map[string]any
	push := func(mediaType, title string, body []byte) desc {
		upload, err := do(http.MethodPost, base+"/blobs/uploads/", "", nil).Location()
		if err != nil {
			t.Fatal(err)
		}
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(body))
		q := upload.Query()
		q.Set("digest", digest)
		upload.RawQuery = q.Encode()
		do(http.MethodPut, upload.String(), "application/octet-stream", body)
		d := desc{"mediaType": mediaType, "digest": digest, "size": len(body)}
		if title != "" {
			d["annotations"] = map[string]string{"org.opencontainers.image.title": title}
		}
		return d
	}
	const manifestType, indexType = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	document := func(tag, mediaType string, doc desc) desc {
		doc["schemaVersion"], doc["mediaType"] = 2, mediaType
		body, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(body))
		if tag == "" {
			tag = digest
		}
		do(http.MethodPut, base+"/manifests/"+url.PathEscape(tag), mediaType, body)
		return desc{"mediaType": mediaType, "digest": digest, "size": len(body)}
	}
	manifest := func(tag string, layers ...desc) desc {
		return document(tag, manifestType, desc{"config": push("application/vnd.oci.empty.v1+json", "", []byte("{}")), "layers": layers})
	}
	platform := func(d desc, os, arch string) desc {
		d["platform"] = map[string]string{"os": os, "architecture": arch}
		return d
	}
	const layer = "application/vnd.oci.image.layer.v1.tar+gzip"
	document("v1.2.0", indexType, desc{"manifests": []desc{
		platform(manifest("", push(layer, "", toolTar(linuxARM))), "linux", "arm64"),
		platform(manifest("", push(layer, "", toolTar(winX64))), "windows", "amd64"),
	}})
	manifest("files", push("application/octet-stream", "tool-linux", []byte(linuxARM)), push("application/octet-stream", "tool-windows", []byte(winX64)))

	p := newPlace(t)
	p.docker()
	if user != "" {
		p.oci(armAndWindows, "oci://"+host+"/acme/real:v{version}", "")
		p.fails(4, []string{"docker login"}, "update")
		p.docker(host, user)
	}
	for _, source := range []string{":v{version}", ":files#tool-{os}"} {
		p = p.another(t)
		p.oci(armAndWindows, "oci://"+host+"/acme/real"+source, "")
		p.ok("update")
		p.ok("check")
		first := p.read("plugins.lock.toml")
		p.ok("update", "--verify")
		p.ok("update", "tool")
		if got := p.read("plugins.lock.toml"); got != first {
			t.Errorf("locked again:\n%s\nbefore:\n%s", got, first)
		}
	}
}
