"""The marketplace: jobs, bids, comments and hiring."""
