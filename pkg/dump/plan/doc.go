// Package plan turns any SQL dump into one that D1 and SQLite load.
//
// A dump that D1 exports does not load as it is: rows of a child table come
// before their parent's CREATE, INSTEAD OF triggers before their view, and some
// of its words no engine reads. [Read] goes over the dump once and keeps where
// everything is; [Plan.Emit] goes over it again and gives all to a [Sink] in an
// order that loads: tables, the unique indexes that foreign keys need, rows with
// parents first, virtual tables, the counters of AUTOINCREMENT, indexes, statistics, views, triggers. Triggers come
// last, so none fires on load. [Plan.WriteSQL] writes that as SQL which D1's import,
// wrangler and the sqlite3 shell load.
//
// The rules it keeps:
//
//   - What is not understood is refused, with the byte of the dump at which it
//     stands, before anything is emitted: a dump holds no UPDATE, ATTACH or
//     SELECT, and a restore must not guess.
//   - Every row comes out once, and of what is not brought back as the dump has
//     it, [Plan.Changes] tells.
//   - Memory grows with the schema and the number of times that the dump turns
//     from one table to another, not with the rows.
//
// It runs no SQL, and does not judge whether a dump is what was backed up.
package plan
