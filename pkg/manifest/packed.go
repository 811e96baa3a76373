package manifest

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/seal"
)

// packedVersion changes with every change of Backup, so that nothing is unpacked
// that was packed of another one.
const packedVersion = 3

// castagnoli is the checksum at the end of what is packed.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Pack is a manifest in few bytes that are quickly unpacked, for those who
// remember many of them on this machine. It is no document: see Encode for what
// lies in the bucket.
func Pack(b Backup) []byte {
	brief := &packer{b: make([]byte, 0, 192)}
	brief.brief(b)
	p := &packer{b: make([]byte, 0, 768)}
	p.number(packedVersion)
	p.text(string(brief.b))
	p.rest(b)
	return binary.LittleEndian.AppendUint32(p.b, crc32.Checksum(p.b, castagnoli))
}

// Unpack sets the brief to what was packed, of which it keeps the bytes; false for
// what no program of this version packed.
func (b *Brief) Unpack(packed []byte) bool {
	end := len(packed) - crc32.Size
	if end < 0 || binary.LittleEndian.Uint32(packed[end:]) != crc32.Checksum(packed[:end], castagnoli) {
		return false
	}
	version, n := binary.Varint(packed[:end])
	length, m := binary.Varint(packed[max(n, 0):end])
	begin := n + m
	if version != packedVersion || n <= 0 || m <= 0 || length < 0 || length > int64(end-begin) {
		return false
	}
	middle := begin + int(length)
	u := &unpacker{left: string(packed[begin:middle])}
	*b = u.brief()
	b.packed = packed[middle:end]
	return !u.broken && u.left == ""
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

// brief packs what a Brief has at hand, and rest everything else.
func (p *packer) brief(b Backup) {
	p.texts(b.Database.Name, b.JobID, string(b.RunID), b.Object.Key, string(b.Proof.Level))
	p.time(b.StartedAt)
	p.time(b.Proof.At)
	p.number(b.Object.Stored.Bytes)
}

func (p *packer) rest(b Backup) {
	p.texts(b.Database.ID, b.Database.Jurisdiction, b.Database.Region)
	p.texts(string(b.Trigger), b.Reason, b.Host, b.Tool)
	p.time(b.Night)
	p.time(b.EndedAt)
	p.texts(b.Export.Method, b.Export.Why, b.Export.Bookmark)
	p.number(int64(b.Export.Attempts))
	p.texts(b.Object.ETag, string(b.Object.Compression), b.Object.Stored.SHA256)
	p.number(b.Object.PartBytes)
	p.number(int64(b.Object.Parts))
	packList(p, b.Object.Recipients, p.text)
	p.sum(b.Plain)
	p.sum(b.Source)
	packList(p, b.Tables, func(t backup.Table) { p.text(t.Name); p.number(t.Rows); p.text(t.Fingerprint) })
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
	if p.flag(b.Adopted != nil) {
		p.time(b.Adopted.At)
		p.text(b.Adopted.Host)
	}
	packList(p, b.Sealed, func(c byte) { p.b = append(p.b, c) })
}

// unpacker reads what a packer wrote. What is broken reads as empty.
type unpacker struct {
	left   string
	broken bool
}

func (u *unpacker) number() int64 {
	// As in binary.Varint, of a string.
	var raw uint64
	for shift := uint(0); shift < 64 && len(u.left) > 0; shift += 7 {
		c := u.left[0]
		u.left = u.left[1:]
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
	if n < 0 || n > int64(len(u.left)) {
		u.broken, u.left = true, ""
		return ""
	}
	s := u.left[:n]
	u.left = u.left[n:]
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
	if n < 0 || n > int64(len(u.left)) { // each takes a byte at least
		u.broken = true
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = one()
	}
	return list
}

func (u *unpacker) brief() Brief {
	var b Brief
	b.Database, b.JobID, b.RunID, b.Object = u.text(), u.text(), backup.RunID(u.text()), u.text()
	b.Proof.Level, b.StartedAt, b.Proof.At = Level(u.text()), u.time(), u.time()
	b.StoredBytes = u.number()
	return b
}

// rest sets what a brief has not at hand.
func (u *unpacker) rest(b *Backup) {
	b.Database.ID, b.Database.Jurisdiction, b.Database.Region = u.text(), u.text(), u.text()
	b.Trigger, b.Reason, b.Host, b.Tool = backup.Trigger(u.text()), u.text(), u.text(), u.text()
	b.Night, b.EndedAt = u.time(), u.time()
	b.Export = Export{Method: u.text(), Why: u.text(), Bookmark: u.text(), Attempts: int(u.number())}
	b.Object.ETag, b.Object.Compression, b.Object.Stored.SHA256 = u.text(), seal.Compression(u.text()), u.text()
	b.Object.PartBytes, b.Object.Parts = u.number(), int(u.number())
	b.Object.Recipients = unpackList(u, u.text)
	b.Plain, b.Source = u.sum(), u.sum()
	b.Tables = unpackList(u, func() backup.Table { return backup.Table{Name: u.text(), Rows: u.number(), Fingerprint: u.text()} })
	b.Objects = unpackList(u, func() backup.Object { return backup.Object{Type: u.text(), Name: u.text()} })
	b.Statements, b.LongestStatement = u.number(), u.number()
	b.Fidelity = backup.Fidelity(u.text())
	b.Findings = unpackList(u, func() backup.Finding {
		return backup.Finding{Code: u.text(), Table: u.text(), Count: u.number(), FirstRow: u.number(), FirstOffset: u.number()}
	})
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
}
