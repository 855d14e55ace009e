-- +goose Up

-- What an account tells its sub-accounts apart by.
CREATE TABLE account_label (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES account (id),
  name       TEXT NOT NULL,
  color      TEXT NOT NULL,
  created    INTEGER NOT NULL,
  UNIQUE (account_id, name)
) STRICT;
CREATE TABLE sub_account_label (
  sub_account_id INTEGER NOT NULL REFERENCES sub_account (id),
  label_id       INTEGER NOT NULL REFERENCES account_label (id),
  PRIMARY KEY (sub_account_id, label_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sub_account_label_label ON sub_account_label (label_id);
