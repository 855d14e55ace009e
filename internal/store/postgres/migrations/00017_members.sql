-- +goose Up

-- Who uses the dashboard. An email is one member's, whatever their account.
CREATE TABLE member (
  id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id integer NOT NULL REFERENCES account (id),
  email      text NOT NULL UNIQUE,
  name       text NOT NULL,
  role       integer NOT NULL CHECK (role BETWEEN 1 AND 3),
  password   text NOT NULL,
  created    bigint NOT NULL
);
CREATE INDEX member_account ON member (account_id);
CREATE TABLE invitation (
  member_id integer PRIMARY KEY REFERENCES member (id),
  token     bytea NOT NULL UNIQUE,
  expires   bigint NOT NULL
);
CREATE TABLE session (
  token     bytea PRIMARY KEY,
  member_id integer NOT NULL REFERENCES member (id),
  address   text NOT NULL,
  agent     text NOT NULL,
  created   bigint NOT NULL,
  used      bigint NOT NULL
);
CREATE INDEX session_member ON session (member_id);
