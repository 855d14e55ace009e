-- +goose Up

-- A provider may take a message back after it has accepted it: refused is the class of its reason, 0 while it did not, refusal are its
-- words, provider_id is how it called the message. refusals counts them for a message: while it is 0 nobody looks at its attempts.
ALTER TABLE attempt ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN refusal TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
CREATE INDEX attempt_provider ON attempt (provider_id) WHERE provider_id <> '';
