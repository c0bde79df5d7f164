"""What depends on the machine: threads, GPUs, memory."""
