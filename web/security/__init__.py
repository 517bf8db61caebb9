"""Who may see the page: `pairing` (phones, their secret), `gate` (before each request)."""
