package sandbox

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// dumpFile is a dump under a signed URL.
type dumpFile struct {
	path, etag, signature string
	expiresAt             time.Time
}

type exportBody struct {
	OutputFormat    string      `json:"output_format"`
	CurrentBookmark *string     `json:"current_bookmark"`
	DumpOptions     dumpOptions `json:"dump_options"`
}

// export starts an export or polls it.
func (x *exchange) export() (any, error) {
	var body exportBody
	if err := x.body(&body); err != nil {
		return nil, err
	}
	if body.OutputFormat != "polling" {
		return nil, badRequest(`Invalid property: output_format => Invalid literal value, expected "polling"`)
	}
	return x.step(taskExport, body.CurrentBookmark, x.exported, func(now time.Time) (any, error) {
		return x.startExport(now, body.DumpOptions)
	})
}

// startExport begins an export. The dump is made at once: the database is
// blocked for as long as the export lasts, so it is the same at any moment of
// it.
func (x *exchange) startExport(now time.Time, opts dumpOptions) (any, error) {
	d := x.db
	if kind, blocked := d.blocks(now); blocked {
		return inner(kind.underWay(taskExport)), nil
	}
	d.task = &task{kind: taskExport, bookmark: d.tell(x.s.opts.BookmarkMoves, now), seenAt: now}
	d.task.file, d.task.err = x.s.makeDump(x.r.Context(), d, opts)
	if x.s.opts.ExportPolls < 0 {
		return x.exported(now)
	}
	x.status = http.StatusAccepted
	return d.task.active("Generating " + d.task.name(d)), nil
}

func (t *task) name(d *database) string { return d.id + "-" + t.bookmark + ".sql" }

// exported tells that the export goes on, or once that it is complete.
func (x *exchange) exported(now time.Time) (any, error) {
	t := x.db.task
	if t.polls <= x.s.opts.ExportPolls {
		x.status = http.StatusAccepted
		return t.active(fmt.Sprintf("Uploaded part %d", t.polls)), nil
	}
	x.db.task = nil
	if t.err != nil {
		if x.s.opts.BlockAfterFailure {
			x.db.blockedTill = now.Add(x.s.opts.PollTimeout)
		}
		return inner("D1 Export error: " + t.err.Error()), nil
	}
	name := t.name(x.db)
	result := t.told("complete", []string{"Finished uploading " + name + " in 1 parts."})
	file := map[string]string{"filename": name, "signed_url": x.s.sign(name, t.file, now)}
	if x.fault != nil && x.fault.Kind == FaultFlat {
		result["filename"], result["signed_url"] = file["filename"], file["signed_url"]
		return result, nil
	}
	result["result"] = file
	return result, nil
}

// makeDump writes the dump into a file. It is called with the database's lock
// held.
func (s *Server) makeDump(ctx context.Context, d *database, opts dumpOptions) (made *dumpFile, err error) {
	if d.static != nil {
		file := *d.static
		return &file, nil
	}
	f, err := os.CreateTemp(s.opts.Dir, "export-*.sql")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.dump(ctx, f, opts, s.opts.Format), f.Close()); err != nil {
		return nil, err
	}
	return describe(f.Name())
}

// describe gives a dump its ETag: the MD5, as R2 does for what was written in
// one piece.
func describe(path string) (file *dumpFile, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := md5.New()
	if _, err := io.Copy(sum, bufio.NewReaderSize(f, 1<<20)); err != nil {
		return nil, err
	}
	return &dumpFile{path: path, etag: `"` + hex.EncodeToString(sum.Sum(nil)) + `"`}, nil
}

// ServeFile makes a file the dump of a database, whatever is in its tables: for
// dumps too large to be made of rows. The file is read once, and must not change
// any more.
func (s *Server) ServeFile(name, path string) error {
	d := s.find(name, true)
	if d == nil {
		return fmt.Errorf("sandbox: no database %q", name)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	file, err := describe(absolute)
	if err != nil {
		return err
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	d.static = file
	return nil
}

// sign makes a URL under which a dump can be had.
func (s *Server) sign(name string, file *dumpFile, now time.Time) string {
	file.signature = newSignature()
	file.expiresAt = now.Add(s.opts.URLLifetime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dumps[name] = file
	return s.presigned(bucketPath+name, file.signature, now)
}

func newSignature() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: see crypto/rand
	return hex.EncodeToString(secret[:])
}

// presigned makes a URL in the form of R2's. It is called with the server's
// lock held.
func (s *Server) presigned(path, signature string, now time.Time) string {
	query := url.Values{
		"X-Amz-Algorithm":     {"AWS4-HMAC-SHA256"},
		"X-Amz-Credential":    {"sandbox/" + now.UTC().Format("20060102") + "/auto/s3/aws4_request"},
		"X-Amz-Date":          {now.UTC().Format("20060102T150405Z")},
		"X-Amz-Expires":       {fmt.Sprint(seconds(s.opts.URLLifetime))},
		"X-Amz-SignedHeaders": {"host"},
		"X-Amz-Signature":     {signature},
	}
	return s.filesURL + path + "?" + query.Encode()
}
