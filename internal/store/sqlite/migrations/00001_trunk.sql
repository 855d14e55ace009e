-- +goose Up

-- One row. key_check is sealed with the key that the credentials below are sealed with.
CREATE TABLE installation (
  id        TEXT NOT NULL,
  key_check BLOB NOT NULL DEFAULT x''
) STRICT;

CREATE TABLE account (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  key_hash   BLOB NOT NULL UNIQUE,
  sealed_key BLOB NOT NULL,
  created    INTEGER NOT NULL
) STRICT;

CREATE TABLE sub_account (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL REFERENCES account (id),
  name       TEXT NOT NULL,
  is_default INTEGER NOT NULL,
  key_hash   BLOB NOT NULL UNIQUE,
  sealed_key BLOB NOT NULL,
  created    INTEGER NOT NULL,
  deleted    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX sub_account_name ON sub_account (account_id, name) WHERE deleted = 0;

CREATE TABLE tpsp (
  id                   INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id           INTEGER NOT NULL REFERENCES account (id),
  name                 TEXT NOT NULL,
  type                 INTEGER NOT NULL,
  endpoint             TEXT NOT NULL,
  sealed_key           BLOB NOT NULL,
  key_hash             BLOB NOT NULL,
  stream               TEXT NOT NULL,
  hook_state           TEXT NOT NULL,
  hook_ref             TEXT NOT NULL,
  hook_username        TEXT NOT NULL,
  hook_sealed_password BLOB NOT NULL,
  hook_error           TEXT NOT NULL,
  hook_tries           INTEGER NOT NULL,
  hook_next_try        INTEGER NOT NULL,
  stopped              INTEGER NOT NULL,
  stop_reason          TEXT NOT NULL,
  stopped_since        INTEGER NOT NULL,
  created              INTEGER NOT NULL,
  deleted              INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX tpsp_connection ON tpsp (account_id, type, key_hash, stream) WHERE deleted = 0;

CREATE TABLE pool (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id       INTEGER NOT NULL REFERENCES account (id),
  name             TEXT NOT NULL,
  strategy         INTEGER NOT NULL,
  routing_metadata TEXT NOT NULL,
  warmup_interval  INTEGER NOT NULL,
  auto_tpsp        INTEGER NOT NULL,
  created          INTEGER NOT NULL,
  next_seq         INTEGER NOT NULL DEFAULT 0,
  UNIQUE (account_id, name)
) STRICT;

CREATE TABLE pool_member (
  pool_id  INTEGER NOT NULL REFERENCES pool (id),
  position INTEGER NOT NULL,
  egress   INTEGER NOT NULL,
  PRIMARY KEY (pool_id, position)
) STRICT, WITHOUT ROWID;

-- What the recipients of one request share.
CREATE TABLE content (
  id   INTEGER PRIMARY KEY,
  body BLOB NOT NULL
) STRICT;

-- While a message is pending, where it stands is in its queue row; state is then 0.
CREATE TABLE message (
  id             BLOB PRIMARY KEY,
  account_id     INTEGER NOT NULL,
  sub_account_id INTEGER NOT NULL,
  content_id     INTEGER NOT NULL,
  pool_id        INTEGER NOT NULL,
  mailbox        INTEGER NOT NULL,
  recipient      BLOB NOT NULL,
  to_addr        TEXT NOT NULL,
  plan           BLOB NOT NULL,
  submitted_at   INTEGER NOT NULL,
  state          INTEGER NOT NULL DEFAULT 0,
  mark           INTEGER NOT NULL DEFAULT 0,
  egress         INTEGER NOT NULL,
  attempts       INTEGER NOT NULL DEFAULT 0,
  provider_id    TEXT NOT NULL DEFAULT '',
  sent_families  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX message_provider ON message (provider_id) WHERE provider_id <> '';

-- Pending messages only. status: 0 ready, 1 waits until due_at, 2 claimed for sending, 3 unknown (asked for at due_at),
-- 4 claimed for asking.
CREATE TABLE queue (
  id            BLOB PRIMARY KEY,
  egress        INTEGER NOT NULL,
  mailbox       INTEGER NOT NULL,
  status        INTEGER NOT NULL,
  priority      INTEGER NOT NULL DEFAULT 0,
  rank          INTEGER NOT NULL,
  due_at        INTEGER NOT NULL DEFAULT 0,
  lease_owner   TEXT NOT NULL DEFAULT '',
  lease_until   INTEGER NOT NULL DEFAULT 0,
  attempts      INTEGER NOT NULL DEFAULT 0,
  failures      INTEGER NOT NULL DEFAULT 0,
  asks          INTEGER NOT NULL DEFAULT 0,
  unknown_since INTEGER NOT NULL DEFAULT 0,
  waiting       TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_ready ON queue (egress, mailbox, priority, rank) WHERE status = 0;
CREATE INDEX queue_due ON queue (egress, status, due_at) WHERE status IN (1, 3);

-- finished is 0 while the call is open.
CREATE TABLE attempt (
  message_id BLOB NOT NULL,
  n          INTEGER NOT NULL,
  egress     INTEGER NOT NULL,
  began      INTEGER NOT NULL,
  finished   INTEGER NOT NULL DEFAULT 0,
  class      INTEGER NOT NULL DEFAULT 0,
  http       INTEGER NOT NULL DEFAULT 0,
  code       TEXT NOT NULL DEFAULT '',
  text       TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (message_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  seq            INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id     INTEGER NOT NULL,
  sub_account_id INTEGER NOT NULL,
  message_id     BLOB NOT NULL,
  pool_id        INTEGER NOT NULL,
  egress         INTEGER NOT NULL,
  type           INTEGER NOT NULL,
  mailbox        INTEGER NOT NULL,
  is_copy        INTEGER NOT NULL,
  recipient      TEXT NOT NULL,
  occurred_at    INTEGER NOT NULL,
  recorded_at    INTEGER NOT NULL,
  detail         BLOB NOT NULL
) STRICT;
CREATE INDEX event_account ON event (account_id); -- with the row id at its end: the order of recording
CREATE INDEX event_message ON event (message_id);
CREATE INDEX event_recipient ON event (account_id, recipient);

-- One row per provider event that was recorded, by the day of the message; it makes a second copy a duplicate.
CREATE TABLE event_seen (
  day INTEGER NOT NULL,
  key BLOB NOT NULL,
  PRIMARY KEY (day, key)
) STRICT, WITHOUT ROWID;

-- day counts days since 1970-01-01 UTC.
CREATE TABLE counter (
  account_id     INTEGER NOT NULL,
  day            INTEGER NOT NULL,
  sub_account_id INTEGER NOT NULL,
  egress         INTEGER NOT NULL,
  mailbox        INTEGER NOT NULL,
  type           INTEGER NOT NULL,
  is_copy        INTEGER NOT NULL,
  n              INTEGER NOT NULL,
  PRIMARY KEY (account_id, day, sub_account_id, egress, mailbox, type, is_copy)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipt (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id  INTEGER NOT NULL,
  tpsp_id     INTEGER NOT NULL,
  headers     BLOB NOT NULL,
  body        BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  due_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX receipt_due ON receipt (due_at);

-- Bodies that no adapter could read, kept for people.
CREATE TABLE garbage (
  id          INTEGER PRIMARY KEY,
  account_id  INTEGER NOT NULL,
  tpsp_id     INTEGER NOT NULL,
  headers     BLOB NOT NULL,
  body        BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  reason      TEXT NOT NULL
) STRICT;

-- Events of mail that is not ours, on a stream that we listen to.
CREATE TABLE foreign_event (
  tpsp_id INTEGER NOT NULL,
  day     INTEGER NOT NULL,
  n       INTEGER NOT NULL,
  PRIMARY KEY (tpsp_id, day)
) STRICT, WITHOUT ROWID;
