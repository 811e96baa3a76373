// Package conformance holds the sandbox against Cloudflare's own: its dumps
// against those that miniflare's routine makes on workerd, byte for byte, and
// its API against what wrangler makes of it. It has no code but tests, which
// skip under -short and fail where `make test` did not install what they need.
package conformance
