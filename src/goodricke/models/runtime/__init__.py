"""Adaptation to the machine: threads, GPUs, memory."""
