-- +goose Up

-- The provider's own id of the account that the key opens, how our URL answered when the provider called it, and what the provider paused.
ALTER TABLE tpsp ADD COLUMN server TEXT NOT NULL DEFAULT '';
ALTER TABLE tpsp ADD COLUMN hook_probes BLOB NOT NULL DEFAULT x'';
ALTER TABLE tpsp ADD COLUMN hook_paused BLOB NOT NULL DEFAULT x'';

-- Connections that providers had before a user changed them, with their webhooks. removed is 0 while the webhook is still to be removed
-- there; from then on the credentials are good until valid_until. next_try is 0 when nothing is to be done.
CREATE TABLE past_hook (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  tpsp_id         INTEGER NOT NULL REFERENCES tpsp (id),
  domain          TEXT NOT NULL,
  endpoint        TEXT NOT NULL,
  port            INTEGER NOT NULL,
  sealed_key      BLOB NOT NULL,
  sealed_secret   BLOB NOT NULL,
  stream          TEXT NOT NULL,
  server          TEXT NOT NULL,
  ref             TEXT NOT NULL,
  username        TEXT NOT NULL,
  sealed_password BLOB NOT NULL,
  switched        INTEGER NOT NULL,
  removed         INTEGER NOT NULL,
  valid_until     INTEGER NOT NULL,
  error           TEXT NOT NULL,
  tries           INTEGER NOT NULL,
  next_try        INTEGER NOT NULL
) STRICT;
CREATE INDEX past_hook_tpsp ON past_hook (tpsp_id);
