package fake

// WarmPip changes nothing on Windows.
func WarmPip() (stop func()) { return func() {} }
