"""Models as ONNX graphs: `graph` builds them, `networks` and `steps` have the networks, `answer` what follows."""
