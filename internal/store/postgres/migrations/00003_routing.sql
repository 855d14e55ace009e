-- +goose Up

-- Several providers behind one pool. overflow_pool is 0 for none; ttl is in nanoseconds, 0 for the server's own. revision
-- changes with what the plans are made from, and begins a new sequence.
ALTER TABLE pool ADD COLUMN priority integer NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN overflow_pool integer NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN ttl bigint NOT NULL DEFAULT 0;
ALTER TABLE pool ADD COLUMN paused boolean NOT NULL DEFAULT false;
ALTER TABLE pool ADD COLUMN revision bigint NOT NULL DEFAULT 1;
CREATE TABLE pool_target (
  pool_id  integer NOT NULL REFERENCES pool (id),
  position integer NOT NULL,
  target   integer NOT NULL,
  PRIMARY KEY (pool_id, position)
);

ALTER TABLE sub_account ADD COLUMN paused boolean NOT NULL DEFAULT false;

-- domain, port and sealed_secret are of providers that need more than a key. per_hour is 0 for no limit. drill_until is when a
-- rehearsed outage ends.
ALTER TABLE tpsp ADD COLUMN domain text NOT NULL DEFAULT '';
ALTER TABLE tpsp ADD COLUMN port integer NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN sealed_secret bytea NOT NULL DEFAULT '';
ALTER TABLE tpsp ADD COLUMN paused boolean NOT NULL DEFAULT false;
ALTER TABLE tpsp ADD COLUMN allow_raw boolean NOT NULL DEFAULT false;
ALTER TABLE tpsp ADD COLUMN drill_until bigint NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN per_hour integer NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN probe_at bigint NOT NULL DEFAULT 0;
ALTER TABLE tpsp ADD COLUMN probe_wait bigint NOT NULL DEFAULT 0;
CREATE TABLE tpsp_limit (
  tpsp_id  integer NOT NULL REFERENCES tpsp (id),
  mailbox  smallint NOT NULL,
  per_hour integer NOT NULL,
  PRIMARY KEY (tpsp_id, mailbox)
);

-- Sender domains that a provider refuses; from probe_at on mail of the domain may try it again.
CREATE TABLE refused_sender (
  tpsp_id integer NOT NULL REFERENCES tpsp (id),
  domain  text NOT NULL,
  reason  text NOT NULL,
  since   bigint NOT NULL,
  probe_at   bigint NOT NULL,
  probe_wait bigint NOT NULL,
  PRIMARY KEY (tpsp_id, domain)
);

-- How many messages were let go in a span of time (limit.Span), by lane; mailbox -1 is the whole egress.
CREATE TABLE permit (
  egress  integer NOT NULL,
  mailbox smallint NOT NULL,
  span    bigint NOT NULL,
  n       integer NOT NULL,
  PRIMARY KEY (egress, mailbox, span)
) WITH (fillfactor = 50);
CREATE INDEX permit_span ON permit (span);
INSERT INTO permit SELECT egress, -1, began / 15000000000, count(*) FROM attempt
  WHERE began > (SELECT coalesce(max(began), 0) FROM attempt) - 7200000000000 GROUP BY 1, 2, 3;
INSERT INTO permit SELECT a.egress, m.mailbox, a.began / 15000000000, count(*) FROM attempt a JOIN message m ON m.id = a.message_id
  WHERE began > (SELECT coalesce(max(began), 0) FROM attempt) - 7200000000000 GROUP BY 1, 2, 3;

-- When messages of a lane had to wait because of a limit: their time to live stood still.
CREATE TABLE hold (
  egress  integer NOT NULL,
  mailbox smallint NOT NULL,
  since   bigint NOT NULL,
  until   bigint NOT NULL,
  PRIMARY KEY (egress, mailbox, since)
);

-- Waiting messages that are to be planned anew: those of a pool (egress 0), or those that wait for an egress (pool_id 0).
CREATE TABLE replan (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id integer NOT NULL,
  pool_id    integer NOT NULL,
  egress     integer NOT NULL,
  reason     text NOT NULL
);

-- Within a lane: pools by priority, then sub-accounts in turn, then the oldest first.
ALTER TABLE queue ALTER COLUMN priority TYPE integer;
ALTER TABLE queue ADD COLUMN sub_account_id integer NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN pool_id integer NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN ways smallint NOT NULL DEFAULT 2; -- how many egresses the plan has; of older messages it is not known
UPDATE queue q SET sub_account_id = m.sub_account_id, pool_id = m.pool_id FROM message m WHERE m.id = q.id;
DROP INDEX queue_ready;
CREATE INDEX queue_ready ON queue (egress, mailbox, priority, sub_account_id, pool_id, rank) WHERE status = 0;
