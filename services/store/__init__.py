"""The store as a whole: lock, schema upgrade, epoch, backup and restore."""
