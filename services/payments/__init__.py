"""The double-entry ledger and everything that moves money."""
