package r2fake_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/AutumnsGrove/patina/pkg/store/storetest/r2fake"
)

// client is minio-go's single calls against a server, one try each.
func client(t *testing.T, server *r2fake.Server, change func(*minio.Options)) *minio.Core {
	t.Helper()
	opts := &minio.Options{
		Creds:      credentials.NewStaticV4(r2fake.AccessKeyID, r2fake.SecretKey, ""),
		Secure:     true,
		Region:     r2fake.Region,
		Transport:  server.Transport,
		MaxRetries: 1,
	}
	change(opts)
	core, err := minio.NewCore(strings.TrimPrefix(server.Endpoint, "https://"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return core
}

func unchanged(*minio.Options) {}

// wantCode fails unless err is the answer with a code.
func wantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got := minio.ToErrorResponse(err).Code; got != want {
		t.Errorf("%s: code %q (%v), want %q", what, got, err, want)
	}
}

func put(t *testing.T, c *minio.Core, key, data, sum string, opts minio.PutObjectOptions) error {
	t.Helper()
	_, err := c.PutObject(t.Context(), r2fake.Bucket, key, strings.NewReader(data), int64(len(data)), sum, "", opts)
	return err
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	for name, c := range map[string]struct {
		change func(*minio.Options)
		want   string
	}{
		"right":     {unchanged, ""},
		"secret":    {func(o *minio.Options) { o.Creds = credentials.NewStaticV4(r2fake.AccessKeyID, "wrong", "") }, "SignatureDoesNotMatch"},
		"key id":    {func(o *minio.Options) { o.Creds = credentials.NewStaticV4("wrong", r2fake.SecretKey, "") }, "InvalidAccessKeyId"},
		"region":    {func(o *minio.Options) { o.Region = "eu-central-1" }, "AuthorizationHeaderMalformed"},
		"version 2": {func(o *minio.Options) { o.Creds = credentials.NewStaticV2(r2fake.AccessKeyID, r2fake.SecretKey, "") }, "AccessDenied"},
		"anonymous": {func(o *minio.Options) { o.Creds = credentials.NewStaticV4("", "", "") }, "AccessDenied"},
	} {
		wantCode(t, name, put(t, client(t, server, c.change), "k", "x", "", minio.PutObjectOptions{}), c.want)
	}
	late := r2fake.Start(t, r2fake.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	wantCode(t, "late", put(t, client(t, late, unchanged), "k", "x", "", minio.PutObjectOptions{}), "RequestTimeTooSkewed")
}

// TestNotImplemented sends what R2 answers with 501.
func TestNotImplemented(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	core := client(t, server, unchanged)
	for name, opts := range map[string]minio.PutObjectOptions{
		"tags":          {UserTags: map[string]string{"a": "b"}},
		"acl":           {UserMetadata: map[string]string{"x-amz-acl": "private"}},
		"lock":          {Mode: minio.Governance, RetainUntilDate: time.Now().Add(time.Hour)},
		"legal hold":    {LegalHold: minio.LegalHoldEnabled},
		"storage class": {StorageClass: "GLACIER"},
	} {
		wantCode(t, name, put(t, core, "k", "x", "", opts), "NotImplemented")
	}
	trailing := client(t, server, func(o *minio.Options) { o.TrailingHeaders = true })
	wantCode(t, "trailer", put(t, trailing, "k", "x", "", minio.PutObjectOptions{Checksum: minio.ChecksumCRC32C}), "NotImplemented")
	id, err := core.NewMultipartUpload(t.Context(), r2fake.Bucket, "k", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = core.PutObjectPart(t.Context(), r2fake.Bucket, "k", id, 1, strings.NewReader("x"), 1,
		minio.PutObjectPartOptions{CustomHeader: http.Header{"X-Amz-Checksum-Sha256": {"x"}}})
	wantCode(t, "SHA-256 of a part", err, "NotImplemented")
	if _, err := core.GetBucketPolicy(t.Context(), r2fake.Bucket); err == nil {
		t.Error("a bucket policy is told")
	}
	if got := server.Keys(); len(got) != 0 {
		t.Errorf("server holds %q, want nothing", got)
	}
}

func TestSums(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	core := client(t, server, unchanged)
	sum := md5.Sum([]byte("right"))
	right := base64.StdEncoding.EncodeToString(sum[:])
	wantCode(t, "right", put(t, core, "k", "right", right, minio.PutObjectOptions{}), "")
	wantCode(t, "wrong", put(t, core, "l", "wrong", right, minio.PutObjectOptions{}), "BadDigest")
	wantCode(t, "odd", put(t, core, "l", "wrong", "b2Rk", minio.PutObjectOptions{}), "InvalidDigest")
	_, err := core.PutObject(t.Context(), r2fake.Bucket, "l", strings.NewReader("x"), 1, "", strings.Repeat("0", 64), minio.PutObjectOptions{})
	wantCode(t, "SHA-256", err, "XAmzContentSHA256Mismatch")
}

// parts uploads parts of the given sizes and completes them.
func parts(t *testing.T, core *minio.Core, key string, opts minio.PutObjectOptions, sizes ...int) error {
	t.Helper()
	id, err := core.NewMultipartUpload(t.Context(), r2fake.Bucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var sent []minio.CompletePart
	for i, size := range sizes {
		part, err := core.PutObjectPart(t.Context(), r2fake.Bucket, key, id, i+1, bytes.NewReader(make([]byte, size)), int64(size), minio.PutObjectPartOptions{})
		if err != nil {
			return err
		}
		sent = append(sent, minio.CompletePart{PartNumber: i + 1, ETag: part.ETag})
	}
	_, err = core.CompleteMultipartUpload(t.Context(), r2fake.Bucket, key, id, sent, opts)
	return err
}

func TestParts(t *testing.T) {
	t.Parallel()
	const min = 5 << 20
	core := client(t, r2fake.Start(t, r2fake.Options{}), unchanged)
	for name, c := range map[string]struct {
		sizes []int
		want  string
	}{
		"one small":      {[]int{10}, ""},
		"equal":          {[]int{min, min}, ""},
		"short last":     {[]int{min, min, 1}, ""},
		"too small":      {[]int{min - 1, 1}, "EntityTooSmall"},
		"uneven":         {[]int{min + 1, min, 1}, "InvalidPart"},
		"large last":     {[]int{min, min + 1}, "InvalidPart"},
		"no part at all": {nil, "MalformedXML"},
	} {
		wantCode(t, name, parts(t, core, name, minio.PutObjectOptions{}, c.sizes...), c.want)
	}
	few := client(t, r2fake.Start(t, r2fake.Options{MaxParts: 2}), unchanged)
	wantCode(t, "third part", parts(t, few, "k", minio.PutObjectOptions{}, min, min, 1), "InvalidArgument")
}

// TestFailedTryLosesPart re-sends a part with a wrong MD5: the first is lost.
func TestFailedTryLosesPart(t *testing.T) {
	t.Parallel()
	server := r2fake.Start(t, r2fake.Options{})
	core := client(t, server, unchanged)
	id, err := core.NewMultipartUpload(t.Context(), r2fake.Bucket, "k", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	send := func(opts minio.PutObjectPartOptions) error {
		_, err := core.PutObjectPart(t.Context(), r2fake.Bucket, "k", id, 1, strings.NewReader("x"), 1, opts)
		return err
	}
	if err := send(minio.PutObjectPartOptions{}); err != nil {
		t.Fatal(err)
	}
	list := func() int {
		result, err := core.ListObjectParts(t.Context(), r2fake.Bucket, "k", id, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(result.ObjectParts)
	}
	if got := list(); got != 1 {
		t.Errorf("%d parts, want 1", got)
	}
	wrong := md5.Sum([]byte("other"))
	wantCode(t, "second try", send(minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(wrong[:])}), "BadDigest")
	if got := list(); got != 0 {
		t.Errorf("%d parts after a failed second try, want none", got)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	create := minio.PutObjectOptions{}
	create.SetMatchETagExcept("*")
	server := r2fake.Start(t, r2fake.Options{})
	core := client(t, server, unchanged)
	wantCode(t, "first put", put(t, core, "k", "x", "", create), "")
	wantCode(t, "second put", put(t, core, "k", "x", "", create), "PreconditionFailed")
	wantCode(t, "put over", put(t, core, "k", "y", "", minio.PutObjectOptions{}), "")
	wantCode(t, "second complete", parts(t, core, "k", create, 1), "PreconditionFailed")
	if got := server.OpenUploads(); got != 0 {
		t.Errorf("%d uploads are open, but a failed condition destroys the upload", got)
	}
	lax := client(t, r2fake.Start(t, r2fake.Options{CompleteIgnoresCondition: true}), unchanged)
	wantCode(t, "lax put", put(t, lax, "k", "x", "", create), "")
	wantCode(t, "lax second put", put(t, lax, "k", "x", "", create), "PreconditionFailed")
	wantCode(t, "lax complete", parts(t, lax, "k", create, 1), "")
}

func TestLocksAndIntervals(t *testing.T) {
	t.Parallel()
	now := time.Now()
	server := r2fake.Start(t, r2fake.Options{WriteInterval: time.Second, Now: func() time.Time { return now }})
	core := client(t, server, unchanged)
	wantCode(t, "first", put(t, core, "daily/k", "x", "", minio.PutObjectOptions{}), "")
	wantCode(t, "too soon", put(t, core, "daily/k", "x", "", minio.PutObjectOptions{}), "TooManyRequests")
	now = now.Add(time.Second)
	wantCode(t, "in time", put(t, core, "daily/k", "x", "", minio.PutObjectOptions{}), "")
	now = now.Add(time.Second)
	server.Lock("daily/")
	wantCode(t, "over locked", put(t, core, "daily/k", "x", "", minio.PutObjectOptions{}), "ObjectLockedByBucketPolicy")
	wantCode(t, "complete over locked", parts(t, core, "daily/k", minio.PutObjectOptions{}, 1), "ObjectLockedByBucketPolicy")
	err := core.RemoveObject(t.Context(), r2fake.Bucket, "daily/k", minio.RemoveObjectOptions{})
	wantCode(t, "delete locked", err, "ObjectLockedByBucketPolicy")
	wantCode(t, "new under lock", put(t, core, "daily/new", "x", "", minio.PutObjectOptions{}), "")
}
