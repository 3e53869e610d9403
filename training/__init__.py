"""The recipe that makes the nano engine's weights: corpus, features, training, ONNX."""
