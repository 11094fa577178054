package store

// Bequeath does nothing: on Windows the plugin is a child, and fetch holds the
// trees until it ends.
func (s *Store) Bequeath() {}
