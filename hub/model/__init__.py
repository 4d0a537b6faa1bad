"""Pure decisions on plain values: no database, no network, no clock."""
