// Package d1 is a client of Cloudflare's D1 REST API: the calls that a backup and
// a restore need, and no more. It lists, describes, creates and deletes databases,
// runs SQL, reads Time Travel bookmarks and travels to them, exports a database
// and downloads the dump, and imports a file of SQL.
//
// It keeps these rules.
//
//   - Every failure is judged once, by the one table in classify.go, into a
//     [Class] that says what a caller can do about it. Errors carry the cf-ray
//     and a hint where a remedy is known, fit on one line, and never hold the
//     token or a signed URL.
//   - A call is repeated only where that is safe: reads freely, a caller's SQL
//     only when it is known that it did not run. An export is never started
//     over a running one, and an import, a creation or a travel never a second
//     time where the first may have been carried out.
//   - All calls of a process share one request budget (budget.go), which stays
//     below Cloudflare's limit with what others of the account use, and keeps
//     running exports and imports alive first.
//   - Numbers of SQL results are never turned into float64.
//   - A downloaded body ends with io.EOF only when it is complete.
//   - It logs nothing above debug level and reads no clock but the one given.
//
// It does not look into a dump, write to a store, or know of jobs. It does not
// keep a database from being blocked: D1 serves no queries while it exports or imports.
//
// What it knows of the API comes from Cloudflare's OpenAPI description, its
// documentation, and the sources of wrangler. Where those are silent or
// disagree, the code accepts both readings and says so.
package d1
