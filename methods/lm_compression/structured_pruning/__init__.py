"""Methods that make matrices narrower: whole heads and neurons leave."""
