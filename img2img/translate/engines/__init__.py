"""What runs a network: one engine a file, all with the same result but for rounding."""
