"""The same networks as one would write them first, from the papers: what the fast ones are measured against."""
