-- +goose Up

-- Who changed what. An entry is written before its change, with the status 0. text is what is searched, in lower case.
CREATE TABLE audit (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES account (id),
  at         INTEGER NOT NULL,
  actor_kind INTEGER NOT NULL CHECK (actor_kind BETWEEN 0 AND 3),
  actor_id   INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  role       TEXT NOT NULL,
  address    TEXT NOT NULL,
  method     TEXT NOT NULL,
  path       TEXT NOT NULL,
  operation  TEXT NOT NULL,
  target     TEXT NOT NULL,
  status     INTEGER NOT NULL,
  changes    BLOB,
  before     BLOB,
  text       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_at ON audit (at);
