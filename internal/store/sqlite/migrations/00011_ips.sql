-- +goose Up

-- The operator's own IPs are rows of tpsp with negative ids: name is the public address, and how to reach the mail server stands in the
-- server's configuration. An address is in use once only.
ALTER TABLE tpsp ADD COLUMN auto_warmup INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX tpsp_ip ON tpsp (name) WHERE id < 0 AND deleted = 0;
