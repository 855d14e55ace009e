-- +goose Up

-- Reactivations that are forgotten after a time: few, beside all that is suppressed.
CREATE INDEX suppression_released ON suppression (released) WHERE released <> 0;

-- How long limits held lanes is asked for of what is not long ago, and forgotten when it is.
CREATE INDEX hold_until ON hold (until);

-- The same of sub-accounts, for a few of them.
CREATE INDEX sub_hold_of ON sub_hold (sub_account_id, until);

-- The last calls that a provider did not accept: few, beside all calls.
CREATE INDEX attempt_failed ON attempt (egress, finished) WHERE class <> 0;
