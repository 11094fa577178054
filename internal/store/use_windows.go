package store

// Bequeath does nothing: here a plugin is a child, and fetch holds what it uses
// until it ends.
func (s *Store) Bequeath() {}
