package store

// safe accepts every cache: who may write where is not a matter of modes here.
func (s *Store) safe() error { return nil }
