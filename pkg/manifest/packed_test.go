package manifest_test

import (
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/AutumnsGrove/patina/pkg/manifest"
)

// fill gives every field of a value something that is not empty, and of its own.
func fill(t *testing.T, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1_733_600_000+*n, *n*1_000_000).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(time.Unix(*n, 0).UTC().Format(time.RFC3339))
	case reflect.Int, reflect.Int64:
		v.SetInt(-*n * 1_000_003)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	default:
		t.Fatalf("a field is of kind %s: what is packed must be told of it", v.Kind())
	}
}

// TestPackedIsWhole packs a manifest in which every field is set, so that none can
// be forgotten, and one in which none is.
func TestPackedIsWhole(t *testing.T) {
	t.Parallel()
	var full manifest.Backup
	n := int64(0)
	fill(t, reflect.ValueOf(&full).Elem(), &n)
	for name, want := range map[string]manifest.Backup{"full": full, "empty": {}} {
		packed := manifest.Pack(want)
		var brief manifest.Brief
		ok := brief.Unpack(packed)
		if diff := cmp.Diff(want, brief.Whole()); diff != "" || !ok {
			t.Errorf("%s: %t (-want +got)\n%s", name, ok, diff)
		}
		if diff := cmp.Diff(manifest.NewBrief(want), &brief, cmpopts.IgnoreUnexported(manifest.Brief{})); diff != "" {
			t.Errorf("%s: its brief (-want +got)\n%s", name, diff)
		}
		if diff := cmp.Diff(want, manifest.NewBrief(want).Whole()); diff != "" {
			t.Errorf("%s: of its brief (-want +got)\n%s", name, diff)
		}
		for cut := range packed {
			if new(manifest.Brief).Unpack(packed[:cut]) {
				t.Errorf("%s: %d of %d bytes are taken for all", name, cut, len(packed))
			}
			flipped := slices.Clone(packed)
			flipped[cut] ^= 4
			if new(manifest.Brief).Unpack(flipped) {
				t.Errorf("%s: with byte %d changed it is taken for what was packed", name, cut)
			}
		}
		if new(manifest.Brief).Unpack(append(packed, 0)) {
			t.Errorf("%s: a byte too many is taken for none", name)
		}
	}
}

// TestUnpackNothingOfOthers reads what another version packed, and what is no packed manifest
// under a checksum that is right.
func TestUnpackNothingOfOthers(t *testing.T) {
	t.Parallel()
	good := manifest.Pack(manifest.Backup{JobID: "night"})
	good = good[:len(good)-crc32.Size]
	for what, packed := range map[string][]byte{
		"nothing":                {},
		"another version":        append([]byte{2}, good[1:]...),
		"a version only":         good[:1],
		"a brief beyond the end": {good[0], 0x7e, 0},
		"a brief of no length":   {good[0], 1},
		"a brief cut short":      {good[0], 2, 0},
	} {
		if new(manifest.Brief).Unpack(sealed(packed)) {
			t.Errorf("%s is taken for a manifest", what)
		}
	}
}

// sealed adds the checksum to what is packed.
func sealed(packed []byte) []byte {
	sum := crc32.Checksum(packed, crc32.MakeTable(crc32.Castagnoli))
	return binary.LittleEndian.AppendUint32(slices.Clone(packed), sum)
}

func FuzzUnpack(f *testing.F) {
	seed := manifest.Pack(manifest.Backup{JobID: "night", Sealed: []byte{1, 2}})
	f.Add(seed[:len(seed)-crc32.Size])
	f.Fuzz(func(t *testing.T, packed []byte) {
		var brief, again manifest.Brief
		if !brief.Unpack(sealed(packed)) {
			return
		}
		b := brief.Whole()
		if !again.Unpack(manifest.Pack(b)) || !reflect.DeepEqual(b, again.Whole()) {
			t.Errorf("%+v is %+v, packed again", b, again.Whole())
		}
	})
}
