"""Training: splits by star, configurations, and one fit per family of networks on one small loop."""
