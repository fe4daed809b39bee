-- Which settings of the server give up durability. Aurora has them off where its own storage makes them needless.

SELECT
    CASE WHEN to_regproc('pg_catalog.aurora_version') IS NOT NULL THEN '{}'::text[]
    ELSE array_remove(
        ARRAY[
            CASE WHEN current_setting('fsync') = 'off' THEN 'fsync' END,
            CASE WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes' END
        ],
        NULL
    ) END AS settings_off
