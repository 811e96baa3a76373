package s3store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
)

func TestR2Endpoint(t *testing.T) {
	t.Parallel()
	for jurisdiction, want := range map[string]string{
		"":        "https://0123abcd.r2.cloudflarestorage.com",
		"default": "https://0123abcd.r2.cloudflarestorage.com",
		"eu":      "https://0123abcd.eu.r2.cloudflarestorage.com",
		"us":      "https://0123abcd.us.r2.cloudflarestorage.com",
	} {
		if got := s3store.R2Endpoint("0123abcd", jurisdiction); got != want {
			t.Errorf("R2Endpoint(%q) = %s, want %s", jurisdiction, got, want)
		}
	}
}

func TestDeriveSecret(t *testing.T) {
	t.Parallel()
	// sha256("abc"), FIPS 180-2 appendix B.1
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	got := s3store.DeriveSecret(secret.New("abc"))
	if got.Reveal() != want {
		t.Errorf("DeriveSecret = %s, want %s", got.Reveal(), want)
	}
	if text := fmt.Sprint(got); strings.Contains(text, want) {
		t.Errorf("the secret prints as %s", text)
	}
}

func TestOpenChecksOptions(t *testing.T) {
	t.Parallel()
	good := s3store.Options{Endpoint: "https://s3.test", Bucket: "bucket", AccessKeyID: "id", SecretAccessKey: secret.New("key")}
	for name, c := range map[string]struct {
		change func(*s3store.Options)
		want   string
	}{
		"good":            {func(*s3store.Options) {}, ""},
		"host only":       {func(o *s3store.Options) { o.Endpoint = "127.0.0.1:9000" }, ""},
		"slash":           {func(o *s3store.Options) { o.Endpoint = "http://127.0.0.1:9000/" }, ""},
		"prefix":          {func(o *s3store.Options) { o.Prefix = "/a/b/" }, ""},
		"no endpoint":     {func(o *s3store.Options) { o.Endpoint = "" }, "endpoint"},
		"scheme":          {func(o *s3store.Options) { o.Endpoint = "ftp://s3.test" }, "https or http"},
		"path":            {func(o *s3store.Options) { o.Endpoint = "https://s3.test/bucket" }, "nothing after it"},
		"password":        {func(o *s3store.Options) { o.Endpoint = "https://user:hidden@s3.test" }, "user name"},
		"not a URL":       {func(o *s3store.Options) { o.Endpoint = "https://user:hidden@s3.test:port" }, "not a URL"},
		"no bucket":       {func(o *s3store.Options) { o.Bucket = "" }, "bucket"},
		"no key id":       {func(o *s3store.Options) { o.AccessKeyID = "" }, "access key id"},
		"no key":          {func(o *s3store.Options) { o.SecretAccessKey = secret.String{} }, "secret access key"},
		"prefix outside":  {func(o *s3store.Options) { o.Prefix = "../other" }, "prefix"},
		"negative part":   {func(o *s3store.Options) { o.PartBytes = -1 }, "part size"},
		"part too large":  {func(o *s3store.Options) { o.PartBytes = 5 << 30 }, "part size"},
		"no parts at all": {func(o *s3store.Options) { o.PartsInFlight = -1 }, "in flight"},
	} {
		opts := good
		c.change(&opts)
		_, err := s3store.Open(opts)
		if c.want == "" && err != nil {
			t.Errorf("%s: Open: %v", name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Open = %v, want an error about %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v tells the password", name, err)
		}
	}
}
