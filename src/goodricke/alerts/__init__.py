"""Live alerts: packets in, a state per object, calibrated answers out."""
