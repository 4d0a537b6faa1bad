"""HubSpot CRM: companies, contacts, products, deals, orders, invoices, tasks and notes."""
