"""Storage: Database, transactional outbox and statements, independent of the domain."""
