package s3store

// SetMaxParts lowers the limit of parts, which 10,000 requests take too long
// to reach in a test.
func (s *Store) SetMaxParts(n int) { s.maxParts = n }
