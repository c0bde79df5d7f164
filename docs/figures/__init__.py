"""The pictures of these pages, each drawn by a module of its own from the code that it shows."""
