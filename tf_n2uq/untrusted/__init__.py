"""Model files that need not be trusted: what is read of them, and how much they may hold."""
