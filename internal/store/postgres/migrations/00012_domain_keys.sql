-- +goose Up

-- Whitelisted domains get a DKIM key, and DNS is asked about their records. selector is '' while a domain has no key. checks is what DNS
-- said last, as JSON, '' before the first time, and checked when it was asked; check_at is when it is to be asked again, check_tries how often it
-- said the same.
ALTER TABLE domain ADD COLUMN selector text NOT NULL DEFAULT '';
ALTER TABLE domain ADD COLUMN public_key text NOT NULL DEFAULT '';
ALTER TABLE domain ADD COLUMN checks text NOT NULL DEFAULT '';
ALTER TABLE domain ADD COLUMN checked bigint NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN check_at bigint NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN check_tries integer NOT NULL DEFAULT 0;
CREATE INDEX domain_due ON domain (check_at) WHERE deleted = 0;

-- Private keys of domains that are in use.
CREATE TABLE domain_key (
  domain_id integer PRIMARY KEY REFERENCES domain (id),
  sealed    bytea NOT NULL
);
