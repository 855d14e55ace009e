-- +goose Up

-- What an event says about its message's state: a lifecycle trigger and one, 0 for nothing.
ALTER TABLE event ADD COLUMN effect smallint NOT NULL DEFAULT 0;
CREATE INDEX event_day ON event (account_id, occurred_at, seq);
CREATE INDEX message_account ON message (account_id, id);

-- What the provider said when it was asked about the attempt.
ALTER TABLE attempt ADD COLUMN answer text NOT NULL DEFAULT '';

-- Claims, by the end of their lease.
CREATE INDEX queue_leased ON queue (lease_until) WHERE status IN (2, 4);

-- policy: 0 at-least-once, 1 at-most-once. catch_up: events since then may have been missed.
ALTER TABLE tpsp ADD COLUMN policy smallint NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN catch_up bigint NOT NULL DEFAULT 0;

-- When webhooks were last known to be taken in, and the count of changes of the configuration.
ALTER TABLE installation ADD COLUMN listened_at bigint NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN revision bigint NOT NULL DEFAULT 1;

-- What only one node does at a time.
CREATE TABLE lease (
  name   text PRIMARY KEY,
  holder text NOT NULL,
  until  timestamptz NOT NULL
) WITH (fillfactor = 50);
