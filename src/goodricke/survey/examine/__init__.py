"""What an astronomer looks at before believing a catalog: numbers, figures, a report."""
