"""Bytewax operators: thin shells over the plain Python beside them."""
