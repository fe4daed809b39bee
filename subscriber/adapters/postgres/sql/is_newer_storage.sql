(
    given.storage_sequencer > stored.sequencer AND (
        given.storage_sequencer, given.storage_class, given.access_tier
    ) > (
        coalesce(stored.storage_sequencer, ''), coalesce(stored.storage_class, ''), coalesce(stored.access_tier, '')
    )
)
