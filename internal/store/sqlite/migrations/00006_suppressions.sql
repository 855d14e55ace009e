-- +goose Up

-- Addresses that sub-accounts send nothing to. released is when the address was reactivated, 0 while it is suppressed: what
-- happened before does not suppress it again. since is when what it is about happened.
CREATE TABLE suppression (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id     INTEGER NOT NULL,
  sub_account_id INTEGER NOT NULL,
  email          TEXT NOT NULL,
  reason         INTEGER NOT NULL,
  detail         TEXT NOT NULL,
  source         INTEGER NOT NULL,
  tpsp_id        INTEGER NOT NULL,
  since          INTEGER NOT NULL,
  created        INTEGER NOT NULL,
  released       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX suppression_email ON suppression (sub_account_id, email);
CREATE INDEX suppression_created ON suppression (sub_account_id, created) WHERE released = 0;
CREATE INDEX suppression_account ON suppression (account_id, email);

-- 0 both, 1 from-provider, 2 off.
ALTER TABLE tpsp ADD COLUMN suppression_sync INTEGER NOT NULL DEFAULT 0;

-- The lists of providers: of which connection, and as they were read or changed last. pushed is when we put the entry there, 0 when
-- somebody else did; before 0, when we took it off: it is not there, but may still show.
CREATE TABLE suppression_list (
  tpsp_id    INTEGER PRIMARY KEY,
  connection TEXT NOT NULL DEFAULT '',
  read_at    INTEGER NOT NULL DEFAULT 0,
  error      TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE suppression_mirror (
  tpsp_id INTEGER NOT NULL,
  email   TEXT NOT NULL,
  reason  INTEGER NOT NULL,
  pushed  INTEGER NOT NULL,
  PRIMARY KEY (tpsp_id, email)
) STRICT, WITHOUT ROWID;

-- Whose suppressions stand on a list because we put them there: they end when the entry is gone.
CREATE TABLE suppression_pushed (
  tpsp_id        INTEGER NOT NULL,
  email          TEXT NOT NULL,
  sub_account_id INTEGER NOT NULL,
  PRIMARY KEY (tpsp_id, email, sub_account_id)
) STRICT, WITHOUT ROWID;

-- What is to be put on a list or taken off; the last wish about an address counts. refused: not tried again, error says why.
CREATE TABLE suppression_push (
  version        INTEGER PRIMARY KEY AUTOINCREMENT,
  tpsp_id        INTEGER NOT NULL,
  email          TEXT NOT NULL,
  account_id     INTEGER NOT NULL,
  sub_account_id INTEGER NOT NULL,
  release        INTEGER NOT NULL,
  due_at         INTEGER NOT NULL,
  tries          INTEGER NOT NULL DEFAULT 0,
  refused        INTEGER NOT NULL DEFAULT 0,
  error          TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX suppression_push_email ON suppression_push (tpsp_id, email);
CREATE INDEX suppression_push_due ON suppression_push (tpsp_id, due_at) WHERE refused = 0;
