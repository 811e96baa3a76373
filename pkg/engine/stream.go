package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/d1"
	"github.com/AutumnsGrove/patina/pkg/dump"
	"github.com/AutumnsGrove/patina/pkg/seal"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// copyBuffer is how much is carried at once from the network to the filter. It
// is large enough that system calls and hand-overs do not show in a profile.
const copyBuffer = 256 << 10

// errVirtualTables is wrapped by the refusal to export a database that D1's
// export cannot take.
var errVirtualTables = errors.New("D1 cannot export virtual tables")

// export asks D1 for a dump. It looks for virtual tables first, because a
// failed export was seen to leave a database blocked
// (https://github.com/cloudflare/workers-sdk/issues/9519).
func (r *backupRun) export(ctx context.Context, t *task) (d1.Dump, error) {
	if err := refuseVirtual(ctx, r.e.opts.D1, t.database.ID); err != nil {
		return d1.Dump{}, err
	}
	dumped, err := r.e.opts.D1.Export(ctx, d1.ExportRequest{
		DatabaseID: t.database.ID,
		Silence:    r.e.opts.ExportTimeout,
	})
	return dumped, r.heard(err)
}

// refuseVirtual returns an error for a database with virtual tables.
func refuseVirtual(ctx context.Context, client *d1.Client, id string) error {
	virtual, err := client.VirtualTables(ctx, id)
	if err != nil || len(virtual) == 0 {
		return err
	}
	names := make([]string, len(virtual))
	for i, v := range virtual {
		names[i] = fmt.Sprintf("%s (%s)", v.Name, v.Module)
	}
	return fmt.Errorf("%w, and this database has %s; no export was started, as a failed one can block the database",
		errVirtualTables, strings.Join(names, ", "))
}

// pulled is what is known of a dump when its last byte is stored.
type pulled struct {
	receipt store.Receipt
	plain   seal.Sum
	stored  seal.Sum
	scan    dump.Summary
	// spool is the plain dump, if it is to be loaded; else nil.
	spool *spool
}

// pull carries a dump from D1 into the store in one pass. After any error
// nothing lies under the key.
func (r *backupRun) pull(ctx context.Context, t *task, dumped d1.Dump, key string, keep *spool) (pulled, error) {
	body, err := r.e.opts.D1.Download(ctx, dumped, d1.DownloadRequest{Silence: r.e.opts.ExportTimeout})
	if err != nil {
		return pulled{}, r.heard(err)
	}
	defer func() { _ = body.Close() }() // read to its end or given up
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := pulled{spool: keep}
	pipeOut, pipeIn := io.Pipe()
	// A reader or writer that waits on the network is freed from outside.
	stop := context.AfterFunc(ctx, func() {
		_ = body.Close()
		_ = pipeIn.CloseWithError(context.Cause(ctx))
	})
	defer stop()
	produced := make(chan error, 1)
	go func() {
		err := r.produce(ctx, t, body, pipeIn, &p)
		// A plain Close after a failure would look like the end of the dump.
		_ = pipeIn.CloseWithError(err)
		produced <- err
	}()
	receipt, putErr := r.e.opts.Store.Put(ctx, key, pipeOut, store.PutOptions{
		ContentType: r.e.opts.Packing.ContentType(),
	})
	if putErr != nil {
		putErr = &sinkError{fmt.Errorf("store %s: %w", key, putErr)}
		cancel(putErr)
	}
	// Frees a producer that still writes: to a store that failed, or to one
	// that says it is done before it has read everything.
	_ = pipeOut.CloseWithError(cmp.Or(putErr, errNotRead))
	if err := cause(<-produced, putErr); err != nil {
		return pulled{}, r.heard(err)
	}
	p.receipt = receipt
	return p, p.compare(body.Length())
}

// errNotRead is what a producer meets whose store stopped reading.
var errNotRead = errors.New("the store did not read the dump to its end")

// sinkError marks a failure of the store, so that it is told from one of the
// source after it went through the pipe.
type sinkError struct{ error }

// Unwrap is the store's error.
func (e *sinkError) Unwrap() error { return e.error }

// cause is the first of two failures, of which one led to the other.
func cause(produceErr, putErr error) error {
	var sink *sinkError
	if produceErr != nil && !errors.As(produceErr, &sink) {
		return produceErr
	}
	return putErr
}

// produce reads the dump, scans it, and packs it into dst.
func (r *backupRun) produce(ctx context.Context, t *task, body io.Reader, dst io.Writer, p *pulled) error {
	packer, err := seal.NewWriter(dst, r.e.opts.Packing)
	if err != nil {
		return err
	}
	filter := dump.NewFilter(io.MultiWriter(packer, p.spool), dump.Options{})
	watched := &watchedReader{src: body, seen: func(n int64) { r.observe(t, PhaseDownloading, n, lengthOf(body), "") }}
	if _, err := io.CopyBuffer(struct{ io.Writer }{filter}, watched, make([]byte, copyBuffer)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	if err := filter.Finish(); err != nil {
		return fmt.Errorf("the downloaded dump is not whole: %w", err)
	}
	if err := packer.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	p.plain, p.stored, p.scan = packer.Plain(), packer.Stored(), filter.Summary()
	return nil
}

// compare holds what was stored against what was read, and what was read
// against what was promised.
func (p pulled) compare(promised int64) error {
	if promised >= 0 && p.plain.Bytes != promised {
		return fmt.Errorf("read %d bytes of a dump of %d", p.plain.Bytes, promised)
	}
	if p.receipt.Bytes != p.stored.Bytes {
		return fmt.Errorf("the store holds %d bytes of %d", p.receipt.Bytes, p.stored.Bytes)
	}
	return nil
}

func lengthOf(body io.Reader) int64 {
	if b, ok := body.(interface{ Length() int64 }); ok {
		return b.Length()
	}
	return -1
}

// watchedReader tells how much was read.
type watchedReader struct {
	src  io.Reader
	n    int64
	seen func(int64)
}

// Read reads from the source.
func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.src.Read(p)
	if n > 0 {
		w.n += int64(n)
		w.seen(w.n)
	}
	return n, err
}

func (r *backupRun) observe(t *task, phase Phase, bytes, total int64, detail string) {
	r.e.opts.Observer.Observe(Event{
		Database: t.database.Name, Phase: phase, Attempt: t.attempts,
		Bytes: bytes, Total: total, Detail: detail,
	})
}

func (r *backupRun) observeEnd(t *task) {
	if t.err != nil {
		r.observe(t, PhaseFailed, 0, -1, t.err.Error())
		return
	}
	var bytes int64
	if t.manifest != nil {
		bytes = t.manifest.Plain.Bytes
	}
	r.observe(t, PhaseDone, bytes, bytes, "")
}

// objectName is where a try writes its dump. The plain key is the night's own,
// taken only by a first try, where the store keeps conditions, and while it is
// free; everything else has time and run in its name.
func (r *backupRun) objectName(ctx context.Context, t *task, at time.Time) (backup.Name, error) {
	name := backup.Name{Day: r.job.Day, Database: t.database.Name}
	own := name
	own.Suffix = backup.NewSuffix(at, r.run.ID)
	if !r.job.IsNight() || t.attempts > 1 || !r.conditions.Single || !r.conditions.Multipart {
		return own, nil
	}
	_, err := r.e.opts.Store.Stat(ctx, name.Object(r.e.opts.Packing.Extension()))
	if errors.Is(err, store.ErrNotFound) {
		return name, nil
	}
	return own, err
}
