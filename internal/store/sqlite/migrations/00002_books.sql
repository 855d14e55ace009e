-- +goose Up

-- What an event says about its message's state: a lifecycle trigger and one, 0 for nothing.
ALTER TABLE event ADD COLUMN effect INTEGER NOT NULL DEFAULT 0;
UPDATE event SET effect = CASE -- accept 2, drop 5, deliver 6, bounce 7; of the events that there were until now
  WHEN is_copy THEN 2 WHEN type = 69 THEN 0 WHEN type IN (1, 74) THEN 5 WHEN type = 71 THEN 6 WHEN type = 72 THEN 7
  WHEN type = 73 AND (SELECT state FROM message WHERE id = message_id) = 5 THEN 7 ELSE 2 END;
CREATE INDEX event_day ON event (account_id, occurred_at); -- with the row id at its end

-- What the provider said when it was asked about the attempt.
ALTER TABLE attempt ADD COLUMN answer TEXT NOT NULL DEFAULT '';

-- Claims, by the end of their lease.
CREATE INDEX queue_leased ON queue (lease_until) WHERE status IN (2, 4);

-- policy: 0 at-least-once, 1 at-most-once. catch_up: events since then may have been missed.
ALTER TABLE tpsp ADD COLUMN policy INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN catch_up INTEGER NOT NULL DEFAULT 0;

-- When webhooks were last known to be taken in.
ALTER TABLE installation ADD COLUMN listened_at INTEGER NOT NULL DEFAULT 0;
