"""A WORLD OF DEVICES: a seeded fleet with a ledger of what it hands over, and the comparison with what is stored."""
