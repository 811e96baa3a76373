package store

import (
	"fmt"
	"strings"
)

// maxKeyBytes is what R2 allows (https://developers.cloudflare.com/r2/platform/limits/).
const maxKeyBytes = 1024

// CheckKey refuses keys that some store would read as another place: see
// ErrKey. Implementations call it first in every method that takes a key.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKeyBytes {
		return fmt.Errorf("%w: %d bytes, want 1 to %d", ErrKey, len(key), maxKeyBytes)
	}
	for element := range strings.SplitSeq(key, "/") {
		if element == "" || element == "." || element == ".." {
			return fmt.Errorf("%w: %q has the element %q", ErrKey, key, element)
		}
	}
	for i := range len(key) {
		if c := key[i]; c < 0x20 || c >= 0x7f || c == '\\' {
			return fmt.Errorf("%w: %q has the byte %#02x", ErrKey, key, c)
		}
	}
	return nil
}
