"""DECIDE AND REMEMBER: the sync core, its store, its receivers and its command line."""
