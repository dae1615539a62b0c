"""Imported by a warm process: for it, and for all that are forked from it, there is no network."""

from bench.submit.no_network import refuse

refuse()
