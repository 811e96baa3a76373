-- +goose Up
-- Documents of the bucket as they were read, to save reading them again. They
-- never change: what lies there under a key with an ETag is what is here.
CREATE TABLE documents (
    key  TEXT NOT NULL PRIMARY KEY,
    etag TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
