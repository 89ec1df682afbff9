-- Calls whose answer did not arrive, and that the fallback answered.

alter table calls
    -- The step at which its chain begins; the one before is what the lost answer would have begun.
    add column fallback_step integer,
    -- When it was asked.
    add column fallback_at   timestamptz;
