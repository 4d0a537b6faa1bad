"""Keeps time: what runs when. The only package that imports rq and redis."""
