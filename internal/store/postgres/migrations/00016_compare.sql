-- +goose Up

-- One more dimension: failovers (store.DimensionFailover). Times to deliver are counted in finer spans from now on, which the event's marks
-- tell (store.MarkFine).
ALTER TABLE facet DROP CONSTRAINT facet_dimension_check;
ALTER TABLE facet ADD CONSTRAINT facet_dimension_check CHECK (dimension BETWEEN 1 AND 9);
