-- +goose Up

-- Times are nanoseconds since 1970, days are days since 1970-01-01, both UTC; 0 is no time. JSON and whatever foreign parties
-- wrote is bytea: text refuses NUL and what is not UTF-8.

-- One row. key_check is sealed with the key that the credentials below are sealed with.
CREATE TABLE installation (
  one       boolean PRIMARY KEY DEFAULT true CHECK (one),
  id        text NOT NULL,
  key_check bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

CREATE TABLE account (
  id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  name       text NOT NULL,
  key_hash   bytea NOT NULL UNIQUE,
  sealed_key bytea NOT NULL,
  created    bigint NOT NULL
);

CREATE TABLE sub_account (
  id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id integer NOT NULL REFERENCES account (id),
  name       text NOT NULL,
  is_default boolean NOT NULL,
  key_hash   bytea NOT NULL UNIQUE,
  sealed_key bytea NOT NULL,
  created    bigint NOT NULL,
  deleted    bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX sub_account_name ON sub_account (account_id, name) WHERE deleted = 0;

CREATE TABLE tpsp (
  id                   integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id           integer NOT NULL REFERENCES account (id),
  name                 text NOT NULL,
  type                 integer NOT NULL,
  endpoint             text NOT NULL,
  sealed_key           bytea NOT NULL,
  key_hash             bytea NOT NULL,
  stream               text NOT NULL,
  hook_state           text NOT NULL,
  hook_ref             text NOT NULL,
  hook_username        text NOT NULL,
  hook_sealed_password bytea NOT NULL,
  hook_error           text NOT NULL,
  hook_tries           integer NOT NULL,
  hook_next_try        bigint NOT NULL,
  stopped              boolean NOT NULL DEFAULT false,
  stop_reason          text NOT NULL DEFAULT '',
  stopped_since        bigint NOT NULL DEFAULT 0,
  created              bigint NOT NULL,
  deleted              bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX tpsp_connection ON tpsp (account_id, type, key_hash, stream) WHERE deleted = 0;

CREATE TABLE pool (
  id               integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id       integer NOT NULL REFERENCES account (id),
  name             text NOT NULL,
  strategy         integer NOT NULL,
  routing_metadata text NOT NULL,
  warmup_interval  integer NOT NULL,
  auto_tpsp        integer NOT NULL,
  created          bigint NOT NULL,
  next_seq         bigint NOT NULL DEFAULT 0,
  UNIQUE (account_id, name)
) WITH (fillfactor = 50);

CREATE TABLE pool_member (
  pool_id  integer NOT NULL REFERENCES pool (id),
  position integer NOT NULL,
  egress   integer NOT NULL,
  PRIMARY KEY (pool_id, position)
);

-- What the recipients of one request share. The id is that of the request's first message. head is the part that the event
-- log shows, as JSON.
CREATE TABLE content (
  id   uuid PRIMARY KEY,
  head bytea NOT NULL,
  body bytea NOT NULL
);
-- +goose StatementBegin
DO $$ BEGIN
  ALTER TABLE content ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL; -- a server that was built without it
END $$;
-- +goose StatementEnd

-- While a message is pending, where it stands is in its queue row; state is then 0. What changes later is in no index, and
-- the fill factor leaves room for it, so that an update stays on its page and touches no index.
CREATE TABLE message (
  id             uuid PRIMARY KEY,
  account_id     integer NOT NULL,
  sub_account_id integer NOT NULL,
  content_id     uuid NOT NULL,
  pool_id        integer NOT NULL,
  mailbox        smallint NOT NULL,
  recipient      bytea NOT NULL,
  to_addr        text NOT NULL,
  plan           bytea NOT NULL,
  submitted_at   bigint NOT NULL,
  state          smallint NOT NULL DEFAULT 0,
  mark           smallint NOT NULL DEFAULT 0,
  egress         integer NOT NULL,
  attempts       integer NOT NULL DEFAULT 0,
  provider_id    text NOT NULL DEFAULT '',
  sent_families  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Finds messages by message.provider_id.
CREATE TABLE provider_message (
  provider_id text NOT NULL,
  message_id  uuid NOT NULL,
  PRIMARY KEY (provider_id, message_id)
);

-- Pending messages only. status: 0 ready, 1 waits until due_at, 2 claimed for sending, 3 unknown (asked for at due_at),
-- 4 claimed for asking. Rows come and go, so they are vacuumed early.
CREATE TABLE queue (
  id            uuid PRIMARY KEY,
  egress        integer NOT NULL,
  mailbox       smallint NOT NULL,
  status        smallint NOT NULL,
  priority      smallint NOT NULL DEFAULT 0,
  rank          bigint NOT NULL,
  due_at        bigint NOT NULL DEFAULT 0,
  lease_owner   text NOT NULL DEFAULT '',
  lease_until   bigint NOT NULL DEFAULT 0,
  attempts      integer NOT NULL DEFAULT 0,
  failures      integer NOT NULL DEFAULT 0,
  asks          integer NOT NULL DEFAULT 0,
  unknown_since bigint NOT NULL DEFAULT 0,
  waiting       text NOT NULL DEFAULT ''
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
  autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_ready ON queue (egress, mailbox, priority, rank) WHERE status = 0;
CREATE INDEX queue_due ON queue (egress, status, due_at) WHERE status IN (1, 3);

-- finished is 0 while the call is open.
CREATE TABLE attempt (
  message_id uuid NOT NULL,
  n          integer NOT NULL,
  egress     integer NOT NULL,
  began      bigint NOT NULL,
  finished   bigint NOT NULL DEFAULT 0,
  class      smallint NOT NULL DEFAULT 0,
  http       integer NOT NULL DEFAULT 0,
  code       text NOT NULL DEFAULT '',
  text       text NOT NULL DEFAULT '',
  PRIMARY KEY (message_id, n)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);

-- seq is taken under the journal's door (see the package comment), so that its order is that of the commits.
CREATE TABLE event (
  seq            bigint GENERATED ALWAYS AS IDENTITY,
  account_id     integer NOT NULL,
  sub_account_id integer NOT NULL,
  message_id     uuid NOT NULL,
  pool_id        integer NOT NULL,
  egress         integer NOT NULL,
  type           smallint NOT NULL,
  mailbox        smallint NOT NULL,
  is_copy        boolean NOT NULL,
  recipient      text NOT NULL,
  occurred_at    bigint NOT NULL,
  recorded_at    bigint NOT NULL,
  detail         bytea NOT NULL,
  PRIMARY KEY (account_id, seq)
);
CREATE INDEX event_message ON event (message_id, seq);
CREATE INDEX event_recipient ON event (account_id, recipient, seq);

-- One row per provider event that was recorded, by the day of the message; it makes a second copy a duplicate.
CREATE TABLE event_seen (
  day integer NOT NULL,
  key uuid NOT NULL,
  PRIMARY KEY (day, key)
);

CREATE TABLE counter (
  account_id     integer NOT NULL,
  day            integer NOT NULL,
  sub_account_id integer NOT NULL,
  egress         integer NOT NULL,
  mailbox        smallint NOT NULL,
  type           smallint NOT NULL,
  is_copy        boolean NOT NULL,
  n              bigint NOT NULL,
  PRIMARY KEY (account_id, day, sub_account_id, egress, mailbox, type, is_copy)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE TABLE receipt (
  id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id  integer NOT NULL,
  tpsp_id     integer NOT NULL,
  headers     bytea NOT NULL,
  body        bytea NOT NULL,
  received_at bigint NOT NULL,
  due_at      bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX receipt_due ON receipt (due_at, id);

-- Bodies that no adapter could read, kept for people.
CREATE TABLE garbage (
  id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  account_id  integer NOT NULL,
  tpsp_id     integer NOT NULL,
  headers     bytea NOT NULL,
  body        bytea NOT NULL,
  received_at bigint NOT NULL,
  reason      text NOT NULL
);

-- Events of mail that is not ours, on a stream that we listen to.
CREATE TABLE foreign_event (
  tpsp_id integer NOT NULL,
  day     integer NOT NULL,
  n       bigint NOT NULL,
  PRIMARY KEY (tpsp_id, day)
);
