-- +goose Up

-- Domains that sub-accounts have whitelisted. A deleted one keeps its statistics.
CREATE TABLE domain (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id     INTEGER NOT NULL REFERENCES account (id),
  sub_account_id INTEGER NOT NULL REFERENCES sub_account (id),
  name           TEXT NOT NULL,
  created        INTEGER NOT NULL,
  deleted        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX domain_name ON domain (sub_account_id, name) WHERE deleted = 0;
