-- +goose Up
-- Documents of the bucket as they were read, to save reading them again. They
-- never change: what lies there under a key with an ETag is what is here.
CREATE TABLE patina.documents (
    key  text COLLATE "C" PRIMARY KEY,
    etag text  NOT NULL,
    body bytea NOT NULL
);
