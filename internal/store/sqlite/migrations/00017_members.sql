-- +goose Up

-- Who uses the dashboard. An email is one member's, whatever their account.
CREATE TABLE member (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES account (id),
  email      TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  role       INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3),
  password   TEXT NOT NULL,
  created    INTEGER NOT NULL
) STRICT;
CREATE INDEX member_account ON member (account_id);
CREATE TABLE invitation (
  member_id INTEGER PRIMARY KEY REFERENCES member (id),
  token     BLOB NOT NULL UNIQUE,
  expires   INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
  token     BLOB PRIMARY KEY,
  member_id INTEGER NOT NULL REFERENCES member (id),
  address   TEXT NOT NULL,
  agent     TEXT NOT NULL,
  created   INTEGER NOT NULL,
  used      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_member ON session (member_id);
