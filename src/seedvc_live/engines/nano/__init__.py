"""The bundled engine: zero-shot conversion on one CPU core. `engine.NanoEngine` is the way in."""
