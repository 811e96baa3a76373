// Package s3store keeps a backup store in a bucket of Cloudflare R2 or of any
// other S3, through the Core calls of minio-go.
//
// It does not use minio-go's PutObject, which takes a source that breaks off
// with io.ErrUnexpectedEOF for a complete one, allocates half a gigabyte for a
// body of unknown length, and does not send a condition with the request that
// publishes a multipart object. Instead:
//
//   - A body that ends within its first part is one conditional PUT, a longer
//     one a multipart upload in equal parts. Every request tells length,
//     Content-MD5 and SHA-256 of what it sends, never aws-chunked.
//   - Only a bare io.EOF ends a body. Any other error aborts the upload.
//   - Memory is PartBytes x (PartsInFlight + 1) for each Put at work, from a
//     pool that all Puts share.
//   - Exactly one layer retries, the one here, with one try at a time for each
//     part, a deadline for each try, and waits that grow to 30 s or are what
//     the server asks for.
//   - What was published is looked at before Put returns: its length, an upload
//     token in its metadata and the expected ETag. Where ETags are not made of
//     MD5s the object is read back. That look also settles answers that were
//     lost. Readers need neither token nor metadata.
//   - Whatever fails, the upload is aborted and an object of our own removed,
//     even when ctx has ended.
//
// A request that the server still works on when all of that is done cannot be
// called back: a try that timed out may yet land. So a key is written by one
// attempt only, and callers write a manifest to say that an object counts.
//
// A create-multipart call whose answer is lost may leave an upload without
// parts; R2 drops it after seven days by its default rule, and Uploads finds it.
package s3store
