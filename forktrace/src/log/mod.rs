//! The event log, schema 1 (SCHEMA.md).
