"""The words on the wire: records, topics, tables, settings and ingest protocols. No I/O, no other Onsite package."""
