-- +goose Up

-- Answers to requests that clients may repeat under a key of their own.
CREATE TABLE idempotency (
  sub_account_id integer NOT NULL,
  key            text COLLATE "C" NOT NULL,
  hash           bytea NOT NULL,
  answer         bytea NOT NULL,
  created        bigint NOT NULL,
  PRIMARY KEY (sub_account_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created);
