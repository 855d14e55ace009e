-- +goose Up

-- Addresses that sub-accounts send nothing to. released is when the address was reactivated, 0 while it is suppressed: what
-- happened before does not suppress it again. since is when what it is about happened.
CREATE TABLE suppression (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id     integer NOT NULL,
  sub_account_id integer NOT NULL,
  email          text NOT NULL,
  reason         smallint NOT NULL,
  detail         text NOT NULL,
  source         smallint NOT NULL,
  tpsp_id        integer NOT NULL,
  since          bigint NOT NULL,
  created        bigint NOT NULL,
  released       bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX suppression_email ON suppression (sub_account_id, email);
CREATE INDEX suppression_created ON suppression (sub_account_id, created) WHERE released = 0;
CREATE INDEX suppression_account ON suppression (account_id, email);

-- 0 both, 1 from-provider, 2 off.
ALTER TABLE tpsp ADD COLUMN suppression_sync smallint NOT NULL DEFAULT 0;

-- The lists of providers: of which connection, and as they were read or changed last. pushed is when we put the entry there, 0 when
-- somebody else did; before 0, when we took it off: it is not there, but may still show.
CREATE TABLE suppression_list (
  tpsp_id    integer PRIMARY KEY,
  connection text NOT NULL DEFAULT '',
  read_at    bigint NOT NULL DEFAULT 0,
  error      text NOT NULL DEFAULT ''
);
CREATE TABLE suppression_mirror (
  tpsp_id integer NOT NULL,
  email   text NOT NULL,
  reason  smallint NOT NULL,
  pushed  bigint NOT NULL,
  PRIMARY KEY (tpsp_id, email)
);

-- Whose suppressions stand on a list because we put them there: they end when the entry is gone.
CREATE TABLE suppression_pushed (
  tpsp_id        integer NOT NULL,
  email          text NOT NULL,
  sub_account_id integer NOT NULL,
  PRIMARY KEY (tpsp_id, email, sub_account_id)
);

-- What is to be put on a list or taken off; the last wish about an address counts. refused: not tried again, error says why.
CREATE SEQUENCE suppression_push_version;
CREATE TABLE suppression_push (
  version        bigint NOT NULL DEFAULT nextval('suppression_push_version'),
  tpsp_id        integer NOT NULL,
  email          text NOT NULL,
  account_id     integer NOT NULL,
  sub_account_id integer NOT NULL,
  release        boolean NOT NULL,
  due_at         bigint NOT NULL,
  tries          integer NOT NULL DEFAULT 0,
  refused        boolean NOT NULL DEFAULT false,
  error          text NOT NULL DEFAULT '',
  PRIMARY KEY (tpsp_id, email)
);
CREATE INDEX suppression_push_due ON suppression_push (tpsp_id, due_at) WHERE NOT refused;
