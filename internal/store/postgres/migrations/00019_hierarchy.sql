-- +goose Up

-- What holds up the other nodes comes last.

-- How many messages of a sub-account, and of those that stood under it then, were let go in a span of time (limit.Span). Each egress
-- counts for itself, so that claims of different ones do not wait for each other.
CREATE TABLE sub_permit (
  sub_account_id integer NOT NULL,
  span           bigint NOT NULL,
  egress         integer NOT NULL,
  n              integer NOT NULL,
  PRIMARY KEY (sub_account_id, span, egress)
) WITH (fillfactor = 50);
CREATE INDEX sub_permit_span ON sub_permit (span);
-- Calls of the last two hours, about messages of the last three days: their ids begin with the time, in milliseconds.
INSERT INTO sub_permit SELECT m.sub_account_id, a.began / 15000000000, a.egress, count(*)
  FROM (SELECT submitted_at AS at, (lpad(to_hex(submitted_at / 1000000 - 266400000), 12, '0') || repeat('0', 20))::uuid AS first FROM message ORDER BY id DESC LIMIT 1) newest
  JOIN attempt a ON a.message_id >= newest.first AND a.began > newest.at - 7200000000000 JOIN message m ON m.id = a.message_id GROUP BY 1, 2, 3;

-- When the limit of a sub-account was reached: until then nothing of it leaves, nor of those under it, and their time to live stands still.
CREATE TABLE sub_hold (
  sub_account_id integer NOT NULL,
  since          bigint NOT NULL,
  until          bigint NOT NULL,
  PRIMARY KEY (sub_account_id, since)
);
CREATE INDEX sub_hold_until ON sub_hold (until);

-- Sub-accounts stand under each other. path has the ids of those above one, the nearest first; moved is when that changed last. per_hour
-- is 0 for no limit. blocked is since when, 0 for not.
ALTER TABLE sub_account
  ADD COLUMN path integer[] NOT NULL DEFAULT '{}',
  ADD COLUMN moved bigint NOT NULL DEFAULT 0,
  ADD COLUMN per_hour integer NOT NULL DEFAULT 0,
  ADD COLUMN blocked bigint NOT NULL DEFAULT 0,
  ADD COLUMN block_reason text NOT NULL DEFAULT '';
CREATE INDEX sub_account_blocked ON sub_account (id) WHERE blocked > 0;
