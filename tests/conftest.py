from __future__ import annotations

from hypothesis import settings

# Time limits per example would make a busy machine fail; the example count keeps the suite short.
settings.register_profile("default", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("default")
