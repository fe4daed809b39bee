-- Switches the feature "enrichment" off and deletes all metadata. The count of requests stays: it is the bill.

DROP TRIGGER IF EXISTS enrichment_inserted ON :"schema".object_versions;
DROP TRIGGER IF EXISTS enrichment_updated ON :"schema".object_versions;
DROP TRIGGER IF EXISTS enrichment_deleted ON :"schema".object_versions;
DROP TRIGGER IF EXISTS enrichment_truncated ON :"schema".object_versions;
TRUNCATE :"schema".enrichment_queue, :"schema".object_metadata;
