// Package config finds, reads, merges and checks Patina's configuration, and
// hands it out as one struct.
//
// Its rules:
//
//   - One table (keys.go) holds every key with its default, its environment
//     name and its parser. The file's decoder, the environment, the search for
//     unknown keys, `config show` and the test of .patina.yaml.example all
//     read that table, so that none of them can know a key the others do not.
//   - A flag beats the environment, which beats the file, which beats the
//     default. That is one pure function (precedence.go). An empty variable of
//     the environment counts as not set, for CI systems pass a missing secret
//     as an empty one.
//   - The file is decoded strictly from YAML nodes: viper, which merges the
//     layers, folds case and swallows unknown keys, and so it never sees a
//     file. Anchors, aliases and tags of one's own are refused.
//   - Everything that is wrong is reported at once, each with its key and the
//     line of the file, the variable or the flag it came from, as one error of
//     kind fault.Usage. A value is checked even where a stronger one hides it.
//   - Secrets are resolved when a command asks for them, so that `patina list`
//     on a folder needs no Cloudflare token.
//   - No error and no Setting shows a secret; the text of a URL, which people
//     like to put passwords into, is in no error either.
//
// What it does not do: it never asks a service whether a value is right, and
// it never reads DATABASE_URL, which in CI is the application's database.
package config
