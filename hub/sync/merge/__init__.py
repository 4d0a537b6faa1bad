"""Two golden records become one, and two again."""
