package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/AutumnsGrove/patina/pkg/backup"
	"github.com/AutumnsGrove/patina/pkg/catalog"
	"github.com/AutumnsGrove/patina/pkg/engine"
	"github.com/AutumnsGrove/patina/pkg/sandbox"
	"github.com/AutumnsGrove/patina/pkg/store"
)

// drill tries the newest backup of alpha.
func (r *restoreBench) drill(e *engine.Engine) engine.DrillResult {
	r.t.Helper()
	result, err := e.Drill(r.t.Context(), engine.VerifyRequest{Date: engine.Date{Latest: true}, Database: "alpha"})
	if err != nil || len(result.Drills) != 1 {
		r.t.Fatalf("%d drills: %v", len(result.Drills), err)
	}
	return result
}

// taken says whether another run holds a database.
func (r *restoreBench) taken(c catalog.Catalog, id string) bool {
	r.t.Helper()
	lease, err := c.Acquire(r.t.Context(), []string{catalog.DatabaseLease(id)}, other(), time.Minute)
	if err == nil {
		err = c.Release(r.t.Context(), lease)
	}
	if err != nil && !errors.Is(err, catalog.ErrHeld) {
		r.t.Error(err)
	}
	return err != nil
}

func other() catalog.Owner {
	return catalog.Owner{JobID: "other", RunID: "0f0f", Host: "another host", Process: 1}
}

// A drill holds the database that it made, until that is gone.
func TestADrillHoldsItsDatabase(t *testing.T) {
	t.Parallel()
	restoring(t, nil, nil, func(r *restoreBench) {
		c, looks, taken := r.openCatalog(), 0, 0
		e := r.host(func(o *engine.Options) {
			o.Observer = observer(func(engine.Event) {
				for _, name := range r.drillTargets() {
					looks++
					if r.taken(c, name) {
						taken++
					}
				}
			})
		})
		result := r.drill(e)
		if d := result.Drills[0]; d.Err != nil || !d.Removed {
			r.t.Errorf("%+v", d)
		}
		if looks == 0 || taken != looks {
			r.t.Errorf("it held its database at %d of %d looks", taken, looks)
		}
		if r.taken(c, result.Drills[0].Database.ID) {
			r.t.Error("it holds its database still")
		}
	})
}

// drillTargets are the ids of the databases that drills were seen to load.
func (r *restoreBench) drillTargets() []string {
	var ids []string
	for _, db := range r.databases() {
		if strings.HasPrefix(db.Name, "patina-drill-") {
			ids = append(ids, db.ID)
		}
	}
	return ids
}

// databases are all of the account.
func (r *restoreBench) databases() []backup.Database {
	r.t.Helper()
	all, err := r.client(nil).List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	databases := make([]backup.Database, len(all))
	for i, db := range all {
		databases[i] = db.Database
	}
	return databases
}

// What a drill left is removed by a later one, unless another run holds it.
func TestALeftoverThatIsHeldIsLeft(t *testing.T) {
	t.Parallel()
	restoring(t, nil, nil, func(r *restoreBench) {
		r.d1.AddFault(sandbox.Fault{Call: "delete", Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"})
		left := r.drill(r.e)
		if len(left.Warnings) != 1 || left.Drills[0].Removed || len(r.drillTargets()) != 1 {
			r.t.Fatalf("%+v", left)
		}
		c := r.openCatalog()
		r.setClock(r.now().Add(7 * time.Hour))
		lease, err := c.Acquire(r.t.Context(), []string{catalog.DatabaseLease(left.Drills[0].Database.ID)}, other(), time.Minute)
		if err != nil {
			r.t.Fatal(err)
		}
		if result := r.drill(r.e); len(result.Leftovers)+len(result.Warnings) != 0 || len(r.drillTargets()) != 1 {
			r.t.Errorf("another holds it, and it was removed: %+v", result)
		}
		if err := c.Release(r.t.Context(), lease); err != nil {
			r.t.Fatal(err)
		}
		if result := r.drill(r.e); len(result.Leftovers) != 1 || len(result.Warnings) != 0 || len(r.drillTargets()) != 0 {
			r.t.Errorf("nobody holds it, and it is left: %+v", result)
		}
	})
}

// The end that a drill comes to while a later one looks at what it left is not
// written over.
func TestALeftoverThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	restoring(t, nil, nil, func(r *restoreBench) {
		r.d1.AddFault(sandbox.Fault{Call: "delete", Kind: sandbox.FaultStatus, Status: 400, Code: 7400, Message: "no"})
		left := r.drill(r.e).Drills[0]
		r.setClock(r.now().Add(7 * time.Hour))
		e := r.host(func(o *engine.Options) {
			o.Store = endedMeanwhile{o.Store, left.Job.ID}
		})
		if result := r.drill(e); len(result.Leftovers)+len(result.Warnings) != 0 {
			r.t.Errorf("%+v", result)
		}
	})
}

// endedMeanwhile is a store that has the end record of a job where it is asked for
// it by its key.
type endedMeanwhile struct {
	store.Store
	job string
}

func (s endedMeanwhile) Stat(ctx context.Context, key string) (store.Info, error) {
	if strings.Contains(key, s.job) && strings.HasSuffix(key, ".end.json") {
		return store.Info{Key: key}, nil
	}
	return s.Store.Stat(ctx, key)
}
