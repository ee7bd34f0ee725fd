"""The steps of normalisation, one module a kind, and the screen that finds which text needs which."""
