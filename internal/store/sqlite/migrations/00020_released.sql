-- +goose Up

-- Reactivations that are forgotten after a time: few, beside all that is suppressed.
CREATE INDEX suppression_released ON suppression (released) WHERE released <> 0;
