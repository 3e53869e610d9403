"""The process that decodes one uploaded clip: `python -m seedvc_live.service.decode_process OUT < CLIP`.

Everything is imported and every plugin loaded first, then limits are set, and only then is the clip
decoded. One line of JSON on standard output is the verdict; no line means that it did not survive.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from seedvc_live.service import limits

NICE = 5
MEMORY = 1024 * 1024 * 1024
CPU_SECONDS = 20
DECODE_SECONDS = 20.0
FILE_BYTES = 32 * 1024 * 1024
_MORE_FILES = 24  # a pipeline's wake-up descriptors, and the file that is written


def verdict(source: BinaryIO, target: Path) -> dict[str, Any]:
    """Decode and judge `source`; write what is used of it to `target` (FLAC, mono, the clip's rate).

    Raises:
        ClipRejectedError: it is not fit.
        MediaError: this installation cannot decode it.
    """
    from seedvc_live.errors import ClipRejectedError
    from seedvc_live.media.clip import ClipDecoder
    from seedvc_live.media.load import save_audio
    from seedvc_live.service import clip_kind, fitness
    from seedvc_live.service.speech import SpeechDetector

    data = source.read(fitness.MAX_BYTES + 1)
    if len(data) > fitness.MAX_BYTES:
        raise ClipRejectedError(
            "clip-too-large", f"the clip is larger than {fitness.MAX_BYTES // (1 << 20)} MB; send a shorter one"
        )
    if not data:
        raise ClipRejectedError("not-audio", "the clip is empty")
    kind = clip_kind.clip_kind(data)
    if kind is None:
        raise ClipRejectedError("not-audio", "this is no audio file; send WAV, FLAC, Ogg, MP3, WebM or MP4")
    if kind == "mp3":
        data = data[clip_kind.id3_length(data) :]
    decoder = ClipDecoder(kind)
    detector = SpeechDetector()
    limits.set_limits(memory=MEMORY, cpu_seconds=CPU_SECONDS, file_bytes=FILE_BYTES, more_files=_MORE_FILES)
    clip, seconds = decoder.decode(data, fitness.USED_SECONDS, fitness.MAX_CLIP_SECONDS + 0.1, DECODE_SECONDS)
    fit = fitness.check_clip(clip, seconds, detector.seconds)
    save_audio(target, fit, "s24")
    return {"kind": kind, "seconds": round(fit.seconds, 3), "rate": fit.rate}


def main(arguments: list[str]) -> int:
    """Print the verdict as JSON: `{"ok": …}`, `{"rejected": slug, "message": …}` or `{"failed": message}`."""
    limits.die_with_parent()
    os.nice(NICE)
    limits.leave_network()
    from seedvc_live.errors import ClipRejectedError, SeedVCLiveError

    result: dict[str, Any]
    try:
        result = {"ok": verdict(sys.stdin.buffer, Path(arguments[0]))}
    except ClipRejectedError as error:
        result = {"rejected": error.slug, "message": str(error)}
    except MemoryError:
        result = {"rejected": "not-audio", "message": "decoding the clip takes more memory than a clip may"}
    except (SeedVCLiveError, OSError) as error:
        result = {"failed": str(error)}
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
