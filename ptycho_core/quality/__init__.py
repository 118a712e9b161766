"""How good a reconstruction is: scores, registration, comparison."""
