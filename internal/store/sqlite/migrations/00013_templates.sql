-- +goose Up

-- Accounts' own templates. Messages do not point at them: what was accepted has a copy.
CREATE TABLE stored_template (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES account (id),
  name       TEXT NOT NULL,
  subject    TEXT NOT NULL,
  html       TEXT NOT NULL,
  plain      TEXT NOT NULL,
  editor     TEXT NOT NULL,
  created    INTEGER NOT NULL,
  updated    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX stored_template_name ON stored_template (account_id, name);
