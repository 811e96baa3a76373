package engine

import (
	"io"

	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// importLook looks at a dump that is written to it, as D1's import would. What
// it makes of the dump never ends the writing.
type importLook struct {
	*io.PipeWriter
	verdict chan *Importability
}

func newImportLook() *importLook {
	reader, writer := io.Pipe()
	look := &importLook{writer, make(chan *Importability, 1)}
	go func() {
		obstacles, err := plan.Importable(reader)
		_, _ = io.Copy(io.Discard, reader) // the rest, where it ended early
		if err != nil {
			look.verdict <- nil
			return
		}
		look.verdict <- &Importability{Obstacles: obstacles}
	}()
	return look
}

// end is the verdict, once all is written; nil where that failed.
func (l *importLook) end(failure error) *Importability {
	_ = l.CloseWithError(failure) // it never fails
	if verdict := <-l.verdict; failure == nil {
		return verdict
	}
	return nil
}
