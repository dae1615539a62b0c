"""Methods that write matrices as products of thinner ones."""
