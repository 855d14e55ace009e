-- +goose Up

-- What an account tells its sub-accounts apart by.
CREATE TABLE account_label (
  id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id integer NOT NULL REFERENCES account (id),
  name       text NOT NULL,
  color      text NOT NULL,
  created    bigint NOT NULL,
  UNIQUE (account_id, name)
);
CREATE TABLE sub_account_label (
  sub_account_id integer NOT NULL REFERENCES sub_account (id),
  label_id       integer NOT NULL REFERENCES account_label (id),
  PRIMARY KEY (sub_account_id, label_id)
);
CREATE INDEX sub_account_label_label ON sub_account_label (label_id);
