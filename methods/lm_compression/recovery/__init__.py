"""What a short training alone gives, after compressions that do without."""
