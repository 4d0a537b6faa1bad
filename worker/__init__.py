"""KEEP TIME: what runs when. The only package that knows rq and redis."""
