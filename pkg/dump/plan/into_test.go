package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/AutumnsGrove/patina/pkg/dump/dumptest"
	"github.com/AutumnsGrove/patina/pkg/dump/plan"
)

// Where statements get in one by one, a row that others point at between the look
// for such rows and the end is left, and takes nothing of others along.
func TestIntoKeepsWhatIsPointedAtMeanwhile(t *testing.T) {
	t.Parallel()
	for _, parent := range []string{"CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE p(id INTEGER PRIMARY KEY,up REFERENCES p)"} {
		text := parent + ";INSERT INTO p(id) VALUES(1);"
		p, err := plan.Read(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Only([]string{"p"}); err != nil {
			t.Fatal(err)
		}
		const child = "CREATE TABLE c(p REFERENCES p ON DELETE CASCADE)"
		before, err := p.Into([]plan.Object{{Type: "table", Name: "p", SQL: parent}, {Type: "table", Name: "c", SQL: child}}, true)
		if err != nil {
			t.Fatal(err)
		}
		db := dumptest.Build(t, append([]string{"PRAGMA foreign_keys=ON", parent, child, "INSERT INTO p(id) VALUES(1),(8),(9)", "INSERT INTO c VALUES(1)"}, before...))
		removed := false
		err = p.WriteSQL(t.Context(), func(sql []byte, _ int) error {
			if strings.HasPrefix(string(sql), `DELETE FROM "p" WHERE "id" IS NOT NULL`) {
				removed = true
				if _, err := db.ExecContext(t.Context(), "INSERT INTO c VALUES(9)"); err != nil {
					return err
				}
			}
			_, err := db.ExecContext(t.Context(), string(sql))
			return err
		})
		if err != nil || !removed {
			t.Fatalf("%v, removed %v", err, removed)
		}
		for query, want := range map[string]string{"SELECT group_concat(p) FROM c": "1,9", "SELECT group_concat(id) FROM p": "1,9"} {
			if got := fmt.Sprint(dumptest.Query(t, db, query)[0][0]); got != want {
				t.Errorf("%s, %s: %s, want %s", parent, query, got, want)
			}
		}
	}
}
