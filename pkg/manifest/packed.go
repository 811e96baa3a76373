package manifest

import (
	"encoding/binary"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// packedVersion changes with every change of Backup, so that nothing is unpacked
// that was packed of another one.
const packedVersion = 1

// Pack is a manifest in few bytes that are quickly unpacked, for those who
// remember many of them on this machine. It is no document: see Encode for what
// lies in the bucket.
func Pack(b Backup) []byte {
	p := &packer{b: make([]byte, 0, 512)}
	p.number(packedVersion)
	p.backup(b)
	return p.b
}

// Unpack is what was packed; false for what no program of this version packed.
func Unpack(packed []byte) (Backup, bool) {
	u := &unpacker{rest: string(packed)}
	if u.number() != packedVersion {
		return Backup{}, false
	}
	b := u.backup()
	return b, !u.broken && u.rest == ""
}

type packer struct{ b []byte }

func (p *packer) number(n int64) { p.b = binary.AppendVarint(p.b, n) }

func (p *packer) text(s string) {
	p.number(int64(len(s)))
	p.b = append(p.b, s...)
}

func (p *packer) texts(all ...string) {
	for _, s := range all {
		p.text(s)
	}
}

// flag is 1 or 0.
func (p *packer) flag(set bool) bool {
	p.b = append(p.b, 0)
	if set {
		p.b[len(p.b)-1] = 1
	}
	return set
}

func (p *packer) time(t time.Time) {
	if p.flag(!t.IsZero()) {
		p.number(t.UnixNano())
	}
}

func (p *packer) sum(s seal.Sum) {
	p.number(s.Bytes)
	p.text(s.SHA256)
}

// packList tells a list that is missing from an empty one.
func packList[T any](p *packer, list []T, each func(T)) {
	if !p.flag(list != nil) {
		return
	}
	p.number(int64(len(list)))
	for _, one := range list {
		each(one)
	}
}

func (p *packer) backup(b Backup) {
	p.texts(b.Database.ID, b.Database.Name, b.Database.Jurisdiction, b.Database.Region)
	p.texts(b.JobID, string(b.RunID), string(b.Trigger), b.Reason, b.Host, b.Tool)
	p.time(b.Night)
	p.time(b.StartedAt)
	p.time(b.EndedAt)
	p.texts(b.Export.Method, b.Export.Why, b.Export.Bookmark)
	p.number(int64(b.Export.Attempts))
	p.texts(b.Object.Key, b.Object.ETag, string(b.Object.Compression))
	p.sum(b.Object.Stored)
	p.number(b.Object.PartBytes)
	p.number(int64(b.Object.Parts))
	packList(p, b.Object.Recipients, p.text)
	p.sum(b.Plain)
	p.sum(b.Source)
	packList(p, b.Tables, func(t backup.Table) { p.text(t.Name); p.number(t.Rows) })
	packList(p, b.Objects, func(o backup.Object) { p.texts(o.Type, o.Name) })
	p.number(b.Statements)
	p.number(b.LongestStatement)
	p.text(string(b.Fidelity))
	packList(p, b.Findings, func(f backup.Finding) {
		p.texts(f.Code, f.Table)
		p.number(f.Count)
		p.number(f.FirstRow)
		p.number(f.FirstOffset)
	})
	p.text(string(b.Proof.Level))
	p.time(b.Proof.At)
	if p.flag(b.Adopted != nil) {
		p.time(b.Adopted.At)
		p.text(b.Adopted.Host)
	}
	packList(p, b.Sealed, func(c byte) { p.b = append(p.b, c) })
}

// unpacker reads what a packer wrote. What is broken reads as empty.
type unpacker struct {
	rest   string
	broken bool
}

func (u *unpacker) number() int64 {
	// As in binary.Varint, of a string.
	var raw uint64
	for shift := uint(0); shift < 64 && len(u.rest) > 0; shift += 7 {
		c := u.rest[0]
		u.rest = u.rest[1:]
		raw |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return int64(raw>>1) ^ -int64(raw&1)
		}
	}
	u.broken = true
	return 0
}

// bytes are the next n, as part of one string for the whole manifest.
func (u *unpacker) bytes(n int64) string {
	if n < 0 || n > int64(len(u.rest)) {
		u.broken, u.rest = true, ""
		return ""
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

func (u *unpacker) text() string { return u.bytes(u.number()) }

func (u *unpacker) flag() bool { return u.bytes(1) == "\x01" }

func (u *unpacker) time() time.Time {
	if !u.flag() {
		return time.Time{}
	}
	return time.Unix(0, u.number()).UTC()
}

func (u *unpacker) sum() seal.Sum { return seal.Sum{Bytes: u.number(), SHA256: u.text()} }

func unpackList[T any](u *unpacker, one func() T) []T {
	if !u.flag() {
		return nil
	}
	n := u.number()
	if n < 0 || n > int64(len(u.rest)) { // each takes a byte at least
		u.broken = true
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = one()
	}
	return list
}

func (u *unpacker) backup() Backup {
	var b Backup
	b.Database = backup.Database{ID: u.text(), Name: u.text(), Jurisdiction: u.text(), Region: u.text()}
	b.JobID, b.RunID, b.Trigger = u.text(), backup.RunID(u.text()), backup.Trigger(u.text())
	b.Reason, b.Host, b.Tool = u.text(), u.text(), u.text()
	b.Night, b.StartedAt, b.EndedAt = u.time(), u.time(), u.time()
	b.Export = Export{Method: u.text(), Why: u.text(), Bookmark: u.text(), Attempts: int(u.number())}
	b.Object.Key, b.Object.ETag, b.Object.Compression = u.text(), u.text(), seal.Compression(u.text())
	b.Object.Stored, b.Object.PartBytes, b.Object.Parts = u.sum(), u.number(), int(u.number())
	b.Object.Recipients = unpackList(u, u.text)
	b.Plain, b.Source = u.sum(), u.sum()
	b.Tables = unpackList(u, func() backup.Table { return backup.Table{Name: u.text(), Rows: u.number()} })
	b.Objects = unpackList(u, func() backup.Object { return backup.Object{Type: u.text(), Name: u.text()} })
	b.Statements, b.LongestStatement = u.number(), u.number()
	b.Fidelity = backup.Fidelity(u.text())
	b.Findings = unpackList(u, func() backup.Finding {
		return backup.Finding{Code: u.text(), Table: u.text(), Count: u.number(), FirstRow: u.number(), FirstOffset: u.number()}
	})
	b.Proof = Proof{Level: Level(u.text()), At: u.time()}
	if u.flag() {
		b.Adopted = &Adoption{At: u.time(), Host: u.text()}
	}
	b.Sealed = unpackList(u, func() byte {
		one := u.bytes(1)
		if one == "" {
			return 0
		}
		return one[0]
	})
	return b
}
