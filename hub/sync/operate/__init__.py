"""What an administrator asks and decides: explain, resolve, reconcile, what is in quarantine."""
