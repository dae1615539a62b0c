"""Methods that rewrite a model into a cheaper one that computes the same function."""
