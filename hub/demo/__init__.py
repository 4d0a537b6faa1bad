"""`tulay demo`: a HubSpot twin and a real Tryton on this machine, and a day in their life.

The one room in the hub that names systems; nothing else may import it but the command line.
"""
