-- +goose Up

-- One piece of work that was asked for: a night, a manual backup.
CREATE TABLE patina.jobs (
    id         text COLLATE "C" PRIMARY KEY,
    kind       text        NOT NULL,
    trigger    text        NOT NULL,
    reason     text        NOT NULL,
    night_at   timestamptz,          -- the tick of the night; NULL for other jobs
    day        date        NOT NULL, -- the folder's date in the bucket
    status     text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz           -- NULL while a run lives
);

CREATE INDEX jobs_by_start ON patina.jobs (started_at DESC, id DESC);

-- One process at work on a job. A run's id is unique within its job only.
CREATE TABLE patina.runs (
    job_id       text COLLATE "C" NOT NULL REFERENCES patina.jobs (id),
    id           text COLLATE "C" NOT NULL,
    host         text        NOT NULL,
    process      bigint      NOT NULL,
    version      text        NOT NULL,
    status       text        NOT NULL,
    started_at   timestamptz NOT NULL, -- by the run's clock
    heartbeat_at timestamptz NOT NULL, -- by this server's clock
    ended_at     timestamptz,
    exit_code    bigint      NOT NULL,
    message      text        NOT NULL,
    PRIMARY KEY (job_id, id)
);

-- What became of one database in a job. The run is the last that worked on it.
CREATE TABLE patina.backups (
    job_id        text COLLATE "C" NOT NULL,
    run_id        text COLLATE "C" NOT NULL,
    database_name text COLLATE "C" NOT NULL,
    database_id   text        NOT NULL, -- empty where it was never found
    status        text        NOT NULL,
    attempts      bigint      NOT NULL,
    error         text        NOT NULL,
    manifest_key  text        NOT NULL,
    plain_bytes   bigint      NOT NULL,
    stored_bytes  bigint      NOT NULL,
    started_at    timestamptz,
    ended_at      timestamptz,
    PRIMARY KEY (job_id, database_name),
    FOREIGN KEY (job_id, run_id) REFERENCES patina.runs (job_id, id)
);

-- Rights to work on something alone. A row is never deleted, so that the fence
-- of a name grows for ever; a name is free when released_at is set or
-- expires_at is past.
CREATE TABLE patina.leases (
    name          text COLLATE "C" PRIMARY KEY,
    fence         bigint      NOT NULL,
    owner_job     text        NOT NULL,
    owner_run     text        NOT NULL,
    owner_host    text        NOT NULL,
    owner_process bigint      NOT NULL,
    acquired_at   timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    released_at   timestamptz
);
