"""For administrators: explain, resolve, reconcile, quarantine entries."""
