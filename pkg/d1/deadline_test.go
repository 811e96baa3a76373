package d1_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AutumnsGrove/patina/pkg/d1"
)

// What is refused for ever is asked for until the client's deadline, unless the
// context has one; the error tells the refusal.
func TestTheDeadlineEndsWhatIsRefusedForEver(t *testing.T) {
	t.Parallel()
	calls := map[string]func(context.Context, *importWorld) error{
		"a listing": func(ctx context.Context, w *importWorld) error { _, err := w.client.List(ctx); return err },
		"a bookmark": func(ctx context.Context, w *importWorld) error {
			_, err := w.client.Bookmark(ctx, testID, time.Time{})
			return err
		},
		"an import": func(ctx context.Context, w *importWorld) error { _, err := w.run(ctx); return err },
	}
	for name, call := range calls {
		for limit, ctxLimit := range map[time.Duration]time.Duration{time.Minute: 0, 5 * time.Minute: 5 * time.Minute} {
			t.Run(name+" "+limit.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newImportWorld(t, []step{refuse(429, 971, "slow down", "Retry-After", "2")}, nil)
					w.client = newClient(t, direct{w.api}, direct{w.upload}, func(o *d1.Options) { o.Deadline = time.Minute })
					ctx, cancel := context.WithCancel(t.Context())
					if ctxLimit > 0 {
						ctx, cancel = context.WithTimeout(t.Context(), ctxLimit)
					}
					defer cancel()
					began := time.Now()
					err := call(ctx, w)
					if took := time.Since(began); took != limit {
						t.Errorf("it took %s, want %s", took, limit)
					}
					if errors.Is(err, d1.ErrDeadline) != (ctxLimit == 0) || !strings.Contains(err.Error(), "slow down") {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	}
}

// A database that was made is told, also where it cannot be looked at.
func TestCreateDatabaseThatCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	client, _ := scripted(t, result(200, `{"uuid":"`+testID+`","name":"new","created_at":"2024-12-08T03:00:00.000Z"}`), refuse(403, 10000, "Authentication error"))
	made, err := client.CreateDatabase(t.Context(), d1.CreateRequest{Name: "new"})
	if err == nil || !strings.Contains(err.Error(), "it was made ("+testID+")") || d1.ClassOf(err) != d1.ClassUnauthorized {
		t.Errorf("got %v", err)
	}
	if made.ID != testID || made.CreatedAt.IsZero() {
		t.Errorf("got %+v", made)
	}
}
