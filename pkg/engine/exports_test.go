package engine_test

// exports counts the exports that were made: each is downloaded once.
func exports(b *bench) int {
	n := 0
	for _, call := range b.d1.Journal() {
		if call.Name == "download" {
			n++
		}
	}
	return n
}
