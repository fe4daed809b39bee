(
    given.restore_sequencer > stored.sequencer AND (
        given.restore_sequencer, given.restored_until IS NOT NULL, coalesce(given.restored_until, '-infinity')
    ) > (
        coalesce(stored.restore_sequencer, ''), stored.restored_until IS NOT NULL,
        coalesce(stored.restored_until, '-infinity')
    )
)
