-- +goose Up

-- Times are text such as 2024-12-08T03:00:00.000000Z: always UTC and of one
-- width, so that they compare as they read.

-- One piece of work that was asked for: a night, a manual backup.
CREATE TABLE jobs (
    id         TEXT NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL,
    trigger    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    night_at   TEXT,          -- the tick of the night; NULL for other jobs
    day        TEXT NOT NULL, -- the folder's date in the bucket, 2024-12-08
    status     TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT           -- NULL while a run lives
) STRICT;

CREATE INDEX jobs_by_start ON jobs (started_at DESC, id DESC);

-- One process at work on a job. A run's id is unique within its job only.
CREATE TABLE runs (
    job_id       TEXT NOT NULL REFERENCES jobs (id),
    id           TEXT NOT NULL,
    host         TEXT NOT NULL,
    process      INTEGER NOT NULL,
    version      TEXT NOT NULL,
    status       TEXT NOT NULL,
    started_at   TEXT NOT NULL,
    heartbeat_at TEXT NOT NULL,
    ended_at     TEXT,
    exit_code    INTEGER NOT NULL,
    message      TEXT NOT NULL,
    PRIMARY KEY (job_id, id)
) STRICT;

-- What became of one database in a job. The run is the last that worked on it.
CREATE TABLE backups (
    job_id        TEXT NOT NULL,
    run_id        TEXT NOT NULL,
    database_name TEXT NOT NULL,
    database_id   TEXT NOT NULL, -- empty where it was never found
    status        TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    error         TEXT NOT NULL,
    manifest_key  TEXT NOT NULL,
    plain_bytes   INTEGER NOT NULL,
    stored_bytes  INTEGER NOT NULL,
    started_at    TEXT,
    ended_at      TEXT,
    PRIMARY KEY (job_id, database_name),
    FOREIGN KEY (job_id, run_id) REFERENCES runs (job_id, id)
) STRICT;

-- Rights to work on something alone. A row is never deleted, so that the fence
-- of a name grows for ever; a name is free when released_at is set or
-- expires_at is past.
CREATE TABLE leases (
    name          TEXT NOT NULL PRIMARY KEY,
    fence         INTEGER NOT NULL,
    owner_job     TEXT NOT NULL,
    owner_run     TEXT NOT NULL,
    owner_host    TEXT NOT NULL,
    owner_process INTEGER NOT NULL,
    acquired_at   TEXT NOT NULL,
    expires_at    TEXT NOT NULL,
    released_at   TEXT
) STRICT;
