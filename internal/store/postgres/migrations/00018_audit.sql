-- +goose Up

-- Who changed what. An entry is written before its change, with the status 0. text is what is searched, in lower case.
CREATE TABLE audit (
  id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id integer NOT NULL REFERENCES account (id),
  at         bigint NOT NULL,
  actor_kind integer NOT NULL CHECK (actor_kind BETWEEN 0 AND 3),
  actor_id   integer NOT NULL,
  actor      text NOT NULL,
  role       text NOT NULL,
  address    text NOT NULL,
  method     text NOT NULL,
  path       text NOT NULL,
  operation  text NOT NULL,
  target     text NOT NULL,
  status     integer NOT NULL,
  changes    bytea,
  before     bytea,
  text       text NOT NULL
);
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_at ON audit (at);
