package store

// safe accepts every cache: on Windows, modes do not say who may write.
func (s *Store) safe() error { return nil }
