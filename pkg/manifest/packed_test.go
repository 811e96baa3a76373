package manifest_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		got, ok := manifest.Unpack(packed)
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%s: %t (-want +got)\n%s", name, ok, diff)
		}
		for cut := range packed {
			if _, ok := manifest.Unpack(packed[:cut]); ok {
				t.Errorf("%s: %d of %d bytes are taken for all", name, cut, len(packed))
			}
		}
		if _, ok := manifest.Unpack(append(packed, 0)); ok {
			t.Errorf("%s: a byte too many is taken for none", name)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(manifest.Pack(manifest.Backup{JobID: "night", Sealed: []byte{1, 2}}))
	f.Fuzz(func(t *testing.T, packed []byte) {
		b, ok := manifest.Unpack(packed)
		if !ok {
			return
		}
		if again, ok := manifest.Unpack(manifest.Pack(b)); !ok || !reflect.DeepEqual(b, again) {
			t.Errorf("%+v is %+v, packed again", b, again)
		}
	})
}
