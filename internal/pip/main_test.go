package pip

import (
	"os"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
)

// coldPath is a PATH whose pip starts anew each time.
var coldPath = os.Getenv("PATH")

// TestMain lets links to the test binary be programs, see [fake.Programs].
func TestMain(m *testing.M) { fake.Main(m, fake.WarmPip) }
