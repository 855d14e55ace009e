-- +goose Up

-- Answers to requests that clients may repeat under a key of their own.
CREATE TABLE idempotency (
  sub_account_id INTEGER NOT NULL,
  key            TEXT NOT NULL,
  hash           BLOB NOT NULL,
  answer         BLOB NOT NULL,
  created        INTEGER NOT NULL,
  PRIMARY KEY (sub_account_id, key)
) STRICT;
CREATE INDEX idempotency_created ON idempotency (created);
