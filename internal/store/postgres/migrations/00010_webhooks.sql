-- +goose Up

-- Webhooks of accounts; named: by messages (webhookEndpoint). kinds is store.HookKinds. paused says why nothing is posted. What stands from failures
-- on is how posting goes. A URL is unique by its hash: an index holds no long texts.
CREATE TABLE endpoint (
  id            integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id    integer NOT NULL REFERENCES account (id),
  url           text NOT NULL,
  url_hash      bytea NOT NULL,
  named         boolean NOT NULL,
  enabled       boolean NOT NULL,
  kinds         integer NOT NULL,
  sealed_secret bytea NOT NULL,
  sealed_former bytea NOT NULL DEFAULT '',
  former_to     bigint NOT NULL DEFAULT 0,
  paused        text NOT NULL DEFAULT '',
  paused_at     bigint NOT NULL DEFAULT 0,
  since         bigint NOT NULL,
  created       bigint NOT NULL,
  updated       bigint NOT NULL,
  deleted       bigint NOT NULL DEFAULT 0,
  failures      integer NOT NULL DEFAULT 0,
  failing_at    bigint NOT NULL DEFAULT 0,
  next_try      bigint NOT NULL DEFAULT 0,
  last_at       bigint NOT NULL DEFAULT 0,
  last_status   integer NOT NULL DEFAULT 0,
  last_error    text NOT NULL DEFAULT '',
  worked_at     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX endpoint_url ON endpoint (account_id, named, url_hash) WHERE deleted = 0;
CREATE INDEX endpoint_deleted ON endpoint (id) WHERE deleted <> 0;
CREATE INDEX endpoint_own ON endpoint (id) WHERE NOT named AND deleted = 0;

-- Contents that name an endpoint.
CREATE TABLE content_hook (
  content_id uuid PRIMARY KEY,
  url        text NOT NULL
);

-- Events that are to be posted. state: 0 ready, 1 waits until due_at, 2 given up. calls were made; tries of them count. Rows come and go, so they
-- are vacuumed early.
CREATE TABLE delivery (
  endpoint_id integer NOT NULL,
  seq         bigint NOT NULL,
  state       smallint NOT NULL DEFAULT 0,
  calls       integer NOT NULL DEFAULT 0,
  tries       integer NOT NULL DEFAULT 0,
  due_at      bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (endpoint_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.1,
  autovacuum_vacuum_cost_delay = 0);
CREATE INDEX delivery_due ON delivery (endpoint_id, due_at) WHERE state = 1;
CREATE INDEX delivery_lost ON delivery (endpoint_id) WHERE state = 2;

CREATE TABLE delivery_try (
  id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  endpoint_id integer NOT NULL,
  seq         bigint NOT NULL,
  call        integer NOT NULL,
  at          bigint NOT NULL,
  took        bigint NOT NULL,
  status      integer NOT NULL,
  error       text NOT NULL,
  fate        smallint NOT NULL
);
CREATE INDEX delivery_try_endpoint ON delivery_try (endpoint_id, id);
CREATE INDEX delivery_try_event ON delivery_try (endpoint_id, seq, id);

-- One row: up to which event deliveries were made, and a number that changes with endpoints.
CREATE TABLE outbox (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  place    bigint NOT NULL,
  revision bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO outbox (place, revision) SELECT coalesce(max(seq), 0), 1 FROM event;
