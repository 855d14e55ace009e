package store

// Restore applies one line of a journal.
func (s *Store) Restore(line []byte, providers map[string]Restorer) error {
	return s.restore(line, providers)
}
