package testenv

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/birbparty/buck2-protobuf/internal/once"
)

// ShapeFile is the file with the JSON Schema of a shape of the programs' JSON, such
// as lockgen-list; see [ui.UI.Data].
func ShapeFile(shape string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "schemas", "output", shape+".v1.schema.json")
}

var shapes once.Map[string, *jsonschema.Schema]

// Shape demands that what a run with --json printed is an object of the shape that
// it names, without a key that the schema does not have.
func Shape(t testing.TB, args []string, stdout string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(stdout))
	if err != nil {
		t.Errorf("%q: %v\n%s", args, err, stdout)
		return
	}
	of, _ := doc.(map[string]any)
	name, _ := of["schema"].(string)
	shape := strings.TrimSuffix(strings.TrimPrefix(name, "buck2-protobuf/"), "/v1")
	if shape == "" || name != "buck2-protobuf/"+shape+"/v1" {
		t.Errorf("%q: no schema but %q:\n%s", args, name, stdout)
		return
	}
	s, err := shapes.Do(shape, func() (*jsonschema.Schema, error) { return closedSchema(ShapeFile(shape)) })
	if err != nil {
		t.Errorf("%q: %v", args, err)
		return
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%q: %v\na new key belongs into schemas/output/%s.v1.schema.json; the document is\n%s", args, err, shape, stdout[:min(len(stdout), 1000)])
	}
}

// Shapes demands a schema for each verb of a program that prints JSON, that it was
// seen, and no schema without its verb.
func Shapes(t *testing.T, program string, seen map[string]bool, verbs []string) {
	t.Helper()
	verbs = append(verbs, "version")
	for _, verb := range verbs {
		shape := program + "-" + strings.ReplaceAll(verb, " ", "-")
		if !seen["buck2-protobuf/"+shape+"/v1"] {
			t.Errorf("%s %s was not seen with --json", program, verb)
		}
		if _, err := os.Stat(ShapeFile(shape)); err != nil {
			t.Error(err)
		}
	}
	if files, err := filepath.Glob(ShapeFile(program + "-*")); err != nil || len(files) != len(verbs) {
		t.Errorf("%d schemas for %d verbs: %v", len(files), len(verbs), err)
	}
	if !seen["buck2-protobuf/error/v1"] {
		t.Error("no error was seen")
	}
}

// closedSchema compiles a schema that takes no key but those that it names.
func closedSchema(file string) (*jsonschema.Schema, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	var closed func(v any)
	closed = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil {
				v["additionalProperties"] = false
			}
			for _, of := range v {
				closed(of)
			}
		case []any:
			for _, of := range v {
				closed(of)
			}
		}
	}
	closed(doc)
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:shape", doc); err != nil {
		return nil, err
	}
	return c.Compile("urn:shape")
}
