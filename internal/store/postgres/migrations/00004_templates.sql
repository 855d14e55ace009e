-- +goose Up

-- Providers' templates as they were read last. fault says why one cannot be rendered here. The revision of a mirror grows with
-- every sync; their sum tells nodes that share the store that there is something they have not seen yet.
CREATE TABLE template_mirror (
  tpsp_id   integer PRIMARY KEY REFERENCES tpsp (id),
  synced_at bigint NOT NULL,
  revision  bigint NOT NULL
);
CREATE TABLE template (
  tpsp_id    integer NOT NULL REFERENCES template_mirror (tpsp_id),
  alias      text NOT NULL,
  account_id integer NOT NULL,
  name       text NOT NULL,
  is_layout  boolean NOT NULL,
  around     text NOT NULL,
  subject    text NOT NULL,
  html       text NOT NULL,
  plain      text NOT NULL,
  fault      text NOT NULL,
  hash       bytea NOT NULL,
  changed_at bigint NOT NULL,
  PRIMARY KEY (tpsp_id, alias)
);
