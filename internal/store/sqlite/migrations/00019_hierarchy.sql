-- +goose Up

-- Sub-accounts stand under each other. path has the ids of those above one, the nearest first; moved is when that changed last. per_hour
-- is 0 for no limit. blocked is since when, 0 for not.
ALTER TABLE sub_account ADD COLUMN path TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sub_account ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sub_account ADD COLUMN per_hour INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sub_account ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sub_account ADD COLUMN block_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX sub_account_blocked ON sub_account (id) WHERE blocked > 0;

-- How many messages of a sub-account, and of those that stood under it then, were let go in a span of time (limit.Span). Each egress
-- counts for itself, so that claims of different ones do not wait for each other.
CREATE TABLE sub_permit (
  sub_account_id INTEGER NOT NULL,
  span           INTEGER NOT NULL,
  egress         INTEGER NOT NULL,
  n              INTEGER NOT NULL,
  PRIMARY KEY (sub_account_id, span, egress)
) STRICT, WITHOUT ROWID;
CREATE INDEX sub_permit_span ON sub_permit (span);
-- Calls of the last two hours, about messages of the last three days: their ids begin with the time, in milliseconds.
INSERT INTO sub_permit SELECT m.sub_account_id, a.began / 15000000000, a.egress, count(*)
  FROM (SELECT submitted_at AS at, unhex(printf('%012x', submitted_at / 1000000 - 266400000)) AS first FROM message ORDER BY id DESC LIMIT 1) newest
  CROSS JOIN attempt a ON a.message_id >= newest.first AND a.began > newest.at - 7200000000000 CROSS JOIN message m ON m.id = a.message_id GROUP BY 1, 2, 3;

-- When the limit of a sub-account was reached: until then nothing of it leaves, nor of those under it, and their time to live stands still.
CREATE TABLE sub_hold (
  sub_account_id INTEGER NOT NULL,
  since          INTEGER NOT NULL,
  until          INTEGER NOT NULL,
  PRIMARY KEY (sub_account_id, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX sub_hold_until ON sub_hold (until);
