package cargo

import (
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
)

// TestMain lets links to the test binary be programs, see [fake.Programs].
func TestMain(m *testing.M) { fake.Main(m) }
