"""What everything is compared with."""
