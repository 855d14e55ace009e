-- +goose Up

-- Domains that sub-accounts have whitelisted. A deleted one keeps its statistics.
CREATE TABLE domain (
  id             integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id     integer NOT NULL REFERENCES account (id),
  sub_account_id integer NOT NULL REFERENCES sub_account (id),
  name           text NOT NULL,
  created        bigint NOT NULL,
  deleted        bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX domain_name ON domain (sub_account_id, name) WHERE deleted = 0;
