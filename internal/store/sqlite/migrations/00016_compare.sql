-- +goose Up

-- One more dimension: failovers (store.DimensionFailover). Times to deliver are counted in finer spans from now on, which the event's marks
-- tell (store.MarkFine).
CREATE TABLE facet_15 (
  account_id     INTEGER NOT NULL,
  dimension      INTEGER NOT NULL CHECK (dimension BETWEEN 1 AND 9),
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
INSERT INTO facet_15 SELECT account_id, dimension, day, value, sub_account_id, egress, mailbox, type, n, firsts, total FROM facet;
DROP TABLE facet;
ALTER TABLE facet_15 RENAME TO facet;
