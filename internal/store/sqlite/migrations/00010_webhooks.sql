-- +goose Up

-- Webhooks of accounts; named: by messages (webhookEndpoint). kinds is store.HookKinds. paused says why nothing is posted. What stands from failures
-- on is how posting goes.
CREATE TABLE endpoint (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id    INTEGER NOT NULL REFERENCES account (id),
  url           TEXT NOT NULL,
  named         INTEGER NOT NULL,
  enabled       INTEGER NOT NULL,
  kinds         INTEGER NOT NULL,
  sealed_secret BLOB NOT NULL,
  sealed_former BLOB NOT NULL DEFAULT x'',
  former_to     INTEGER NOT NULL DEFAULT 0,
  paused        TEXT NOT NULL DEFAULT '',
  paused_at     INTEGER NOT NULL DEFAULT 0,
  since         INTEGER NOT NULL,
  created       INTEGER NOT NULL,
  updated       INTEGER NOT NULL,
  deleted       INTEGER NOT NULL DEFAULT 0,
  failures      INTEGER NOT NULL DEFAULT 0,
  failing_at    INTEGER NOT NULL DEFAULT 0,
  next_try      INTEGER NOT NULL DEFAULT 0,
  last_at       INTEGER NOT NULL DEFAULT 0,
  last_status   INTEGER NOT NULL DEFAULT 0,
  last_error    TEXT NOT NULL DEFAULT '',
  worked_at     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX endpoint_url ON endpoint (account_id, named, url) WHERE deleted = 0;
CREATE INDEX endpoint_deleted ON endpoint (id) WHERE deleted <> 0;
CREATE INDEX endpoint_own ON endpoint (id) WHERE named = 0 AND deleted = 0;

-- Contents that name an endpoint.
CREATE TABLE content_hook (
  content_id INTEGER PRIMARY KEY,
  url        TEXT NOT NULL
) STRICT;

-- Events that are to be posted. state: 0 ready, 1 waits until due_at, 2 given up. calls were made; tries of them count.
CREATE TABLE delivery (
  endpoint_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  state       INTEGER NOT NULL DEFAULT 0,
  calls       INTEGER NOT NULL DEFAULT 0,
  tries       INTEGER NOT NULL DEFAULT 0,
  due_at      INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (endpoint_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (endpoint_id, due_at) WHERE state = 1;
CREATE INDEX delivery_lost ON delivery (endpoint_id) WHERE state = 2;

CREATE TABLE delivery_try (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  endpoint_id INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  call        INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  took        INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  error       TEXT NOT NULL,
  fate        INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_try_endpoint ON delivery_try (endpoint_id); -- with the row id at its end
CREATE INDEX delivery_try_event ON delivery_try (endpoint_id, seq);

-- One row: up to which event deliveries were made, and a number that changes with endpoints.
CREATE TABLE outbox (
  place    INTEGER NOT NULL,
  revision INTEGER NOT NULL
) STRICT;
INSERT INTO outbox SELECT coalesce(max(seq), 0), 1 FROM event;
