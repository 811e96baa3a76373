package main

import (
	"bytes"
	"runtime"
	"testing"
	"time"
	"weak"
)

// A process may run many commands, as the demo does: what one printed is not kept.
func TestARunIsForgotten(t *testing.T) {
	t.Parallel()
	printed := func() weak.Pointer[bytes.Buffer] {
		out := &bytes.Buffer{}
		i := install(t, "store: {url: 'file://"+t.TempDir()+"'}\ndatabases: [alpha]\n")
		if status := run(t.Context(), []string{"version"}, i.host(out, out)); status != 0 || out.Len() == 0 {
			t.Fatalf("status %d: %s", status, out)
		}
		return weak.Make(out)
	}()
	for range 50 {
		runtime.GC()
		if printed.Value() == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it is kept")
}
