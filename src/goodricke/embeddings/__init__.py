"""What embeddings are good for: objects like a given one (`similar`), and objects worth a label (`suggest`)."""
