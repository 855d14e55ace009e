-- +goose Up

-- What messages are counted under (engine.Labels), decided when they are accepted, and what their recipient has done
-- (store.Engaged). What was accepted before has no labels.
ALTER TABLE message ADD COLUMN labels bytea NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN engaged smallint NOT NULL DEFAULT 0;

-- How an event was counted (store.Marks): 1 in facets, as those are that are recorded from now on; 2 as the first open or click
-- of its message, as the older ones are as well.
ALTER TABLE event ADD COLUMN marks smallint NOT NULL DEFAULT 0;
UPDATE event e SET marks = 2 FROM (SELECT message_id, min(seq) AS seq FROM event WHERE NOT is_copy AND type IN (5, 20, 33, 43, 54, 65, 75)
  GROUP BY message_id) f WHERE e.message_id = f.message_id AND e.seq = f.seq;
UPDATE event e SET marks = 2 FROM (SELECT message_id, min(seq) AS seq FROM event WHERE NOT is_copy AND type IN (6, 21, 34, 44, 55, 66, 76)
  GROUP BY message_id) f WHERE e.message_id = f.message_id AND e.seq = f.seq;
UPDATE message m SET engaged = f.bits FROM (SELECT message_id, sum(CASE WHEN type IN (6, 21, 34, 44, 55, 66, 76) THEN 2 ELSE 1 END) AS bits
  FROM event WHERE marks = 2 GROUP BY message_id) f WHERE m.id = f.message_id;

-- firsts of the n are counted so.
ALTER TABLE counter ADD COLUMN firsts bigint NOT NULL DEFAULT 0;
UPDATE counter c SET firsts = f.n FROM (SELECT account_id, floor(occurred_at / 86400000000000::numeric)::integer AS day, sub_account_id, egress, mailbox,
    type, count(*) AS n FROM event WHERE marks = 2 GROUP BY 1, 2, 3, 4, 5, 6) f
  WHERE c.account_id = f.account_id AND c.day = f.day AND c.sub_account_id = f.sub_account_id AND c.egress = f.egress AND c.mailbox = f.mailbox
    AND c.type = f.type AND NOT c.is_copy;

-- Events of `to` recipients, by what else is known of them (store.Dimension). total is in milliseconds, of times to deliver.
CREATE TABLE facet (
  account_id     integer NOT NULL,
  dimension      smallint NOT NULL CHECK (dimension BETWEEN 1 AND 8),
  day            integer NOT NULL,
  value          text COLLATE "C" NOT NULL,
  sub_account_id integer NOT NULL,
  egress         integer NOT NULL,
  mailbox        smallint NOT NULL,
  type           smallint NOT NULL,
  n              bigint NOT NULL,
  firsts         bigint NOT NULL,
  total          bigint NOT NULL,
  PRIMARY KEY (account_id, dimension, day, value, sub_account_id, egress, mailbox, type)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- The names that messages accepted on a day are counted under: at most a thousand of each dimension.
CREATE TABLE label (
  account_id     integer NOT NULL,
  day            integer NOT NULL,
  sub_account_id integer NOT NULL,
  dimension      smallint NOT NULL CHECK (dimension BETWEEN 1 AND 8),
  name           text COLLATE "C" NOT NULL,
  PRIMARY KEY (account_id, day, sub_account_id, dimension, name)
);
