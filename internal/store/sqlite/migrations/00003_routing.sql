-- +goose Up

-- Several providers behind one pool. overflow_pool is 0 for none; ttl is in nanoseconds, 0 for the server's own. revision
-- changes with what the plans are made from, and begins a new sequence.
ALTER TABLE pool ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN overflow_pool INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN ttl INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
CREATE TABLE pool_target (
  pool_id  INTEGER NOT NULL REFERENCES pool (id),
  position INTEGER NOT NULL,
  target   INTEGER NOT NULL,
  PRIMARY KEY (pool_id, position)
) STRICT, WITHOUT ROWID;

ALTER TABLE sub_account ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pool_paused ON pool (id) WHERE paused;
CREATE INDEX sub_account_paused ON sub_account (id) WHERE paused;

-- domain, port and sealed_secret are of providers that need more than a key. per_hour is 0 for no limit. drill_until is when a
-- rehearsed outage ends.
ALTER TABLE tpsp ADD COLUMN domain TEXT NOT NULL DEFAULT '';
ALTER TABLE tpsp ADD COLUMN port INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN sealed_secret BLOB NOT NULL DEFAULT x'';
ALTER TABLE tpsp ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN allow_raw INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN drill_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN per_hour INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN probe_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN probe_wait INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tpsp_limit (
  tpsp_id  INTEGER NOT NULL REFERENCES tpsp (id),
  mailbox  INTEGER NOT NULL,
  per_hour INTEGER NOT NULL,
  PRIMARY KEY (tpsp_id, mailbox)
) STRICT, WITHOUT ROWID;

-- Sender domains that a provider refuses; from probe_at on mail of the domain may try it again.
CREATE TABLE refused_sender (
  tpsp_id INTEGER NOT NULL REFERENCES tpsp (id),
  domain  TEXT NOT NULL,
  reason  TEXT NOT NULL,
  since   INTEGER NOT NULL,
  probe_at   INTEGER NOT NULL,
  probe_wait INTEGER NOT NULL,
  PRIMARY KEY (tpsp_id, domain)
) STRICT, WITHOUT ROWID;

-- How many messages were let go in a span of time (limit.Span), by lane; mailbox -1 is the whole egress.
CREATE TABLE permit (
  egress  INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  span    INTEGER NOT NULL,
  n       INTEGER NOT NULL,
  PRIMARY KEY (egress, mailbox, span)
) STRICT, WITHOUT ROWID;
CREATE INDEX permit_span ON permit (span);
INSERT INTO permit SELECT egress, -1, began / 15000000000, count(*) FROM attempt
  WHERE began > (SELECT coalesce(max(began), 0) FROM attempt) - 7200000000000 GROUP BY 1, 2, 3;
INSERT INTO permit SELECT a.egress, m.mailbox, a.began / 15000000000, count(*) FROM attempt a JOIN message m ON m.id = a.message_id
  WHERE began > (SELECT coalesce(max(began), 0) FROM attempt) - 7200000000000 GROUP BY 1, 2, 3;

-- When messages of a lane had to wait because of a limit: their time to live stood still.
CREATE TABLE hold (
  egress  INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  since   INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  PRIMARY KEY (egress, mailbox, since)
) STRICT, WITHOUT ROWID;

-- Waiting messages that are to be planned anew: those of a pool (egress 0), or those that wait for an egress (pool_id 0).
CREATE TABLE replan (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  pool_id    INTEGER NOT NULL,
  egress     INTEGER NOT NULL,
  reason     TEXT NOT NULL
) STRICT;

-- Within a lane: pools by priority, then sub-accounts in turn, then the oldest first.
ALTER TABLE queue ADD COLUMN sub_account_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN pool_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN ways INTEGER NOT NULL DEFAULT 2; -- how many egresses the plan has; of older messages it is not known
UPDATE queue SET (sub_account_id, pool_id) = (SELECT sub_account_id, pool_id FROM message WHERE message.id = queue.id);
DROP INDEX queue_ready;
CREATE INDEX queue_ready ON queue (egress, mailbox, priority, sub_account_id, pool_id, rank) WHERE status = 0;
