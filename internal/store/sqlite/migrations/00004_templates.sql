-- +goose Up

-- Providers' templates as they were read last. fault says why one cannot be rendered here. The revision of a mirror grows with
-- every sync; their sum tells nodes that share the store that there is something they have not seen yet.
CREATE TABLE template_mirror (
  tpsp_id   INTEGER PRIMARY KEY REFERENCES tpsp (id),
  synced_at INTEGER NOT NULL,
  revision  INTEGER NOT NULL
) STRICT;
CREATE TABLE template (
  tpsp_id    INTEGER NOT NULL REFERENCES template_mirror (tpsp_id),
  alias      TEXT NOT NULL,
  account_id INTEGER NOT NULL,
  name       TEXT NOT NULL,
  is_layout  INTEGER NOT NULL,
  around     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  html       TEXT NOT NULL,
  plain      TEXT NOT NULL,
  fault      TEXT NOT NULL,
  hash       BLOB NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (tpsp_id, alias)
) STRICT;
