-- +goose Up

-- The provider's own id of the account that the key opens, how our URL answered when the provider called it, and what the provider paused.
ALTER TABLE tpsp ADD COLUMN server text NOT NULL DEFAULT '';
ALTER TABLE tpsp ADD COLUMN hook_probes bytea NOT NULL DEFAULT '';
ALTER TABLE tpsp ADD COLUMN hook_paused bytea NOT NULL DEFAULT '';

-- Connections that providers had before a user changed them, with their webhooks. removed is 0 while the webhook is still to be removed
-- there; from then on the credentials are good until valid_until. next_try is 0 when nothing is to be done.
CREATE TABLE past_hook (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tpsp_id         integer NOT NULL REFERENCES tpsp (id),
  domain          text NOT NULL,
  endpoint        text NOT NULL,
  port            integer NOT NULL,
  sealed_key      bytea NOT NULL,
  sealed_secret   bytea NOT NULL,
  stream          text NOT NULL,
  server          text NOT NULL,
  ref             text NOT NULL,
  username        text NOT NULL,
  sealed_password bytea NOT NULL,
  switched        bigint NOT NULL,
  removed         bigint NOT NULL,
  valid_until     bigint NOT NULL,
  error           text NOT NULL,
  tries           integer NOT NULL,
  next_try        bigint NOT NULL
);
CREATE INDEX past_hook_tpsp ON past_hook (tpsp_id);
