package s3store_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/secret"
	"github.com/AutumnsGrove/patina/pkg/store"
	"github.com/AutumnsGrove/patina/pkg/store/s3store"
	"github.com/AutumnsGrove/patina/pkg/store/storetest"
	"github.com/AutumnsGrove/patina/pkg/store/storetest/versity"
)

// versityOptions are those of a store in a prefix of its own.
func versityOptions(server *versity.Server, prefix string) s3store.Options {
	return s3store.Options{
		Endpoint:        server.Endpoint,
		Region:          server.Region,
		Bucket:          server.Bucket,
		Prefix:          prefix,
		AccessKeyID:     server.AccessKey,
		SecretAccessKey: secret.New(server.SecretKey),
	}
}

func TestSuiteVersity(t *testing.T) {
	t.Parallel()
	server := versity.Start(t)
	var opened atomic.Int64
	storetest.Suite{
		PartBytes: s3store.DefaultPartBytes,
		Open: func(t *testing.T) store.Store {
			t.Helper()
			s, err := s3store.Open(versityOptions(server, fmt.Sprintf("suite/%d", opened.Add(1))))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	}.Run(t)
}
