"""Methods that train a few blocks at a time, or in a few directions of each weight."""
