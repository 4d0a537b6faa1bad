"""HubSpot: the CRM."""
