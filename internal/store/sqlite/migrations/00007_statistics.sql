-- +goose Up

-- What messages are counted under (engine.Labels), decided when they are accepted, and what their recipient has done
-- (store.Engaged). What was accepted before has no labels.
ALTER TABLE message ADD COLUMN labels BLOB NOT NULL DEFAULT x'';
ALTER TABLE message ADD COLUMN engaged INTEGER NOT NULL DEFAULT 0;

-- How an event was counted (store.Marks): 1 in facets, as those are that are recorded from now on; 2 as the first open or click
-- of its message, as the older ones are as well.
ALTER TABLE event ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;
UPDATE event SET marks = 2 WHERE seq IN (SELECT min(seq) FROM event WHERE is_copy = 0 AND type IN (5, 20, 33, 43, 54, 65, 75) GROUP BY message_id);
UPDATE message SET engaged = 1 WHERE id IN (SELECT message_id FROM event WHERE marks = 2);
UPDATE event SET marks = 2 WHERE seq IN (SELECT min(seq) FROM event WHERE is_copy = 0 AND type IN (6, 21, 34, 44, 55, 66, 76) GROUP BY message_id);
UPDATE message SET engaged = engaged + 2 WHERE id IN (SELECT message_id FROM event WHERE marks = 2 AND type IN (6, 21, 34, 44, 55, 66, 76));

-- firsts of the n are counted so.
ALTER TABLE counter ADD COLUMN firsts INTEGER NOT NULL DEFAULT 0;
UPDATE counter SET firsts = f.n FROM (SELECT account_id, occurred_at / 86400000000000 - (occurred_at % 86400000000000 < 0) AS day, sub_account_id, egress,
    mailbox, type, count(*) AS n FROM event WHERE marks = 2 GROUP BY 1, 2, 3, 4, 5, 6) f
  WHERE counter.account_id = f.account_id AND counter.day = f.day AND counter.sub_account_id = f.sub_account_id AND counter.egress = f.egress
    AND counter.mailbox = f.mailbox AND counter.type = f.type AND counter.is_copy = 0;

-- Events of `to` recipients, by what else is known of them (store.Dimension). total is in milliseconds, of times to deliver.
CREATE TABLE facet (
  account_id     INTEGER NOT NULL,
  dimension      INTEGER NOT NULL CHECK (dimension BETWEEN 1 AND 8),
  day            INTEGER NOT NULL,
  value          TEXT NOT NULL,
  sub_account_id INTEGER NOT NULL,
  egress         INTEGER NOT NULL,
  mailbox        INTEGER NOT NULL,
  type           INTEGER NOT NULL,
  n              INTEGER NOT NULL,
  firsts         INTEGER NOT NULL,
  total          INTEGER NOT NULL,
  PRIMARY KEY (account_id, dimension, day, value, sub_account_id, egress, mailbox, type)
) STRICT, WITHOUT ROWID;

-- The names that messages accepted on a day are counted under: at most a thousand of each dimension.
CREATE TABLE label (
  account_id     INTEGER NOT NULL,
  day            INTEGER NOT NULL,
  sub_account_id INTEGER NOT NULL,
  dimension      INTEGER NOT NULL CHECK (dimension BETWEEN 1 AND 8),
  name           TEXT NOT NULL,
  PRIMARY KEY (account_id, day, sub_account_id, dimension, name)
) STRICT, WITHOUT ROWID;
