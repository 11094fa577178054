package prelude_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
)

// buckifyTree is a tree of two import roots, of which each has a money.v1, with
// import cycles of no kind.
var buckifyTree = map[string]string{
	"plugins.toml": `platforms = ["linux-x86_64"]

[plugins]
protoc = "30.2"

[buckify]
languages = ["go", "python", "typescript"]
exclude = ["pb"]

[buckify.attributes.python]
runtime = []

[buckify.attributes.typescript]
plugin = "ts-proto"
plugin_version = "2.7.2"
`,
	"money/v1/currency.proto":         "syntax = \"proto3\";\npackage money.v1;\noption go_package = \"example.com/money\";\nenum Currency { CURRENCY_UNSPECIFIED = 0; CURRENCY_EUR = 1; }\n",
	"money/v1/money.proto":            "syntax = \"proto3\";\npackage money.v1;\nimport public \"money/v1/currency.proto\";\noption go_package = \"example.com/money\";\nmessage Money { Currency currency = 1; int64 units = 2; }\n",
	"product/v1/category.proto":       "syntax = \"proto3\";\npackage product.v1;\noption go_package = \"example.com/product\";\nenum Category { CATEGORY_UNSPECIFIED = 0; }\n",
	"product/v1/product.proto":        "syntax = \"proto3\";\npackage product.v1;\nimport \"google/protobuf/timestamp.proto\";\nimport \"money/v1/money.proto\";\nimport \"product/v1/category.proto\";\noption go_package = \"example.com/product\";\nmessage Product { money.v1.Money price = 1; Category category = 2; google.protobuf.Timestamp since = 3; }\n",
	"product/v1/stock.proto":          "syntax = \"proto3\";\npackage product.v1;\nimport \"product/v1/product.proto\";\noption go_package = \"example.com/product\";\nmessage Stock { map<string, Product> products = 1; }\n",
	"shop/v1/cart.proto":              "syntax = \"proto3\";\npackage shop.v1;\nimport \"product/v1/product.proto\";\noption go_package = \"example.com/shop\";\nmessage Cart { repeated product.v1.Product products = 1; }\n",
	"shop/v1/order.proto":             "syntax = \"proto3\";\npackage shop.v1;\nimport \"shop/v1/cart.proto\";\nimport \"money/v1/money.proto\";\noption go_package = \"example.com/shop\";\nmessage Order { Cart cart = 1; money.v1.Money total = 2; money.v1.Currency shown = 3; }\n",
	"shop/v1/shop.proto":              "syntax = \"proto3\";\npackage shop.v1;\nimport \"shop/v1/order.proto\";\noption go_package = \"example.com/shop\";\nservice Shop { rpc Place(Order) returns (Order); }\n",
	"preview/money/v1/currency.proto": "syntax = \"proto3\";\npackage money.v1;\noption go_package = \"example.com/money\";\nenum Currency { CURRENCY_UNSPECIFIED = 0; CURRENCY_NEW = 9; }\n",
	"preview/money/v1/money.proto":    "syntax = \"proto3\";\npackage money.v1;\nimport \"money/v1/currency.proto\";\noption go_package = \"example.com/money\";\nmessage Money { Currency currency = 1; string exact = 3; }\n",
	"preview/bank/v1/account.proto":   "syntax = \"proto3\";\npackage bank.v1;\nimport \"money/v1/money.proto\";\noption go_package = \"example.com/bank\";\nmessage Account { money.v1.Money balance = 1; }\n",
	"preview/bank/v1/bank.proto":      "syntax = \"proto3\";\npackage bank.v1;\nimport \"bank/v1/account.proto\";\nimport \"money/v1/money.proto\";\noption go_package = \"example.com/bank\";\nmessage Bank { repeated Account accounts = 1; money.v1.Money sum = 2; }\n",
}

// What lockgen buckify writes is what Buck2 builds: descriptor sets and code of
// three languages, over two import roots; compiled libraries have those of what
// they import. A BUCK file edited by hand stays so, and builds again.
func TestBuckify(t *testing.T) {
	toolchains := strings.Replace(scratchToolchain, "load(\"@root", `load("@prelude//toolchains:python.bzl", "system_python_bootstrap_toolchain", "system_python_toolchain")
load("@prelude//toolchains:cxx.bzl", "system_cxx_toolchain")
load("@root`, 1) + `
system_cxx_toolchain(name = "cxx", visibility = ["PUBLIC"])
system_python_bootstrap_toolchain(name = "python_bootstrap", visibility = ["PUBLIC"])
system_python_toolchain(name = "python", visibility = ["PUBLIC"])
`
	files := maps.Clone(buckifyTree)
	files["toolchains/BUCK"] = toolchains
	p := scratch(t, "", files)
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	if out, err := exec.Command("go", "build", "-o", lockgen, "../lockgen").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	buckify := func(want string, args ...string) {
		t.Helper()
		cmd := exec.Command(lockgen, append([]string{"buckify"}, args...)...)
		cmd.Dir = p.Dir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("lockgen buckify %v: %v\n%s", args, err, out)
		}
	}
	buckify("wrote 5 BUCK files: 5 proto_library targets for 12 .proto files")
	buckify("all BUCK files match", "--check")

	// Every descriptor set, which protoc makes of exactly the declared deps.
	p.Build("//money/...", "//product/...", "//shop/...", "//preview/...")
	for target, want := range map[string][]string{
		"//shop/v1:v1_go":         {"shop/v1/cart.pb.go", "shop/v1/order.pb.go", "shop/v1/shop.pb.go"},
		"//shop/v1:v1_ts":         {"shop/v1/cart.ts", "shop/v1/order.ts", "shop/v1/shop.ts"},
		"//shop/v1:v1_py[code]":   {"shop/v1/cart_pb2.py", "shop/v1/order_pb2.py", "shop/v1/shop_pb2.py"},
		"//preview/bank/v1:v1_go": {"bank/v1/account.pb.go", "bank/v1/bank.pb.go"},
	} {
		if got := tree(t, p.Build(target)[0]); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", target, got, want)
		}
	}
	for target, want := range map[string]string{"//product/v1:v1_proto[image]": "CURRENCY_EUR", "//preview/bank/v1:v1_proto[image]": "CURRENCY_NEW"} {
		if got := textOf(t, p.Build(target)[0]); !strings.Contains(got, want) || strings.Contains(got, "CURRENCY_EUR") == strings.Contains(got, "CURRENCY_NEW") {
			t.Errorf("%s is not made with %s", target, want)
		}
	}
	// A compiled library needs those of what it imports.
	deps := p.Must("cquery", "deps('//shop/v1:v1_py')")
	for _, want := range []string{"//money/v1:v1_py-lib", "//product/v1:v1_py-lib", "//shop/v1:v1_py-lib"} {
		if !strings.Contains(deps, want) {
			t.Errorf("no %s in\n%s", want, deps)
		}
	}

	// By hand, and a file that moved.
	text := textOf(t, filepath.Join(p.Dir, "shop", "v1", "BUCK"))
	bucktest.Write(t, p.Dir, map[string]string{
		"shop/v1/BUCK":         strings.Replace(text, "proto_library(\n    name = \"v1_proto\",", "# The shop.\nproto_library(\n    name = \"v1_proto\",\n    labels = [\"mine\"],", 1),
		"product/v1/new.proto": "syntax = \"proto3\";\npackage product.v1;\nimport \"money/v1/currency.proto\";\noption go_package = \"example.com/product\";\nmessage New { money.v1.Currency c = 1; }\n",
		"shop/v1/shop.proto":   strings.Replace(buckifyTree["shop/v1/shop.proto"], "import ", "import \"product/v1/new.proto\";\nimport ", 1),
	})
	buckify("wrote 1 BUCK file: 5 proto_library targets for 13 .proto files")
	if text := textOf(t, filepath.Join(p.Dir, "shop", "v1", "BUCK")); !strings.Contains(text, "# The shop.\n") || !strings.Contains(text, "labels = [\"mine\"]") {
		t.Errorf("shop/v1/BUCK:\n%s", text)
	}
	p.Build("//shop/v1:v1_ts[all]", "//shop/v1:v1_proto")
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
