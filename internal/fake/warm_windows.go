package fake

import "testing"

// WarmPip changes nothing on Windows.
func WarmPip() (stop func()) { return func() {} }

// ForkPip has none on Windows.
func ForkPip(testing.TB) (dir string) { return "" }
