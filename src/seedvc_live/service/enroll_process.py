"""The process that derives an engine's tensors from a stored voice.

`python -m seedvc_live.service.enroll_process FOLDER ID ENGINE [OPTIONS]`, OPTIONS being the engine's
constructor's, as JSON. It prints `{"weights": hash}`, `{"failed": message}` or `{"unfit": message}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from seedvc_live.service import limits

NICE = 10


def enroll_now(folder: str, id: str, name: str, options: dict[str, Any]) -> str:
    """Enroll in this process, unless it has been done; the hash of the engine's weights.

    Raises:
        VoiceError: no such voice, or it is not fit for this engine.
        EngineError: the engine cannot be loaded.
    """
    from seedvc_live.engines.registry import load_engine
    from seedvc_live.media.load import load_audio
    from seedvc_live.service.voices import VoiceStore

    store = VoiceStore(folder)
    reference = store.reference(id)
    with contextlib.closing(load_engine(name, **options)) as engine:
        if store.tensors(id, name, engine.weights_hash) is None:
            voice = engine.enroll(load_audio(reference))
            with store.workspace() as work:
                voice.save(work / "voice")
                store.keep_tensors(id, name, engine.weights_hash, work / "voice")
        return engine.weights_hash


def main(arguments: list[str]) -> int:
    """Run, and print one line."""
    limits.die_with_parent()
    os.nice(NICE)
    from seedvc_live.errors import SeedVCLiveError, VoiceError

    folder, id, name, *rest = arguments
    try:
        result = {"weights": enroll_now(folder, id, name, json.loads(rest[0]) if rest else {})}
    except VoiceError as error:
        result = {"unfit": str(error)}
    except (SeedVCLiveError, ImportError) as error:
        result = {"failed": str(error)}
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
