-- +goose Up

-- Accounts' own templates. Messages do not point at them: what was accepted has a copy.
CREATE TABLE stored_template (
  id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id integer NOT NULL REFERENCES account (id),
  name       text NOT NULL,
  subject    text NOT NULL,
  html       text NOT NULL,
  plain      text NOT NULL,
  editor     text NOT NULL,
  created    bigint NOT NULL,
  updated    bigint NOT NULL
);
CREATE UNIQUE INDEX stored_template_name ON stored_template (account_id, name);
