"""Checks of an installation: what is there, what is missing, and the command that installs it."""

from __future__ import annotations

import importlib
import platform
import shlex
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from seedvc_live.engines.registry import ENGINES, NEEDS_MODELS, load_engine
from seedvc_live.errors import SeedVCLiveError

USES: dict[str, tuple[str, ...]] = {
    "core": ("appsink", "appsrc", "audioconvert", "audioresample", "capsfilter"),
    "files": (
        "filesrc",
        "decodebin",
        "filesink",
        "wavparse",
        "wavenc",
        "flacparse",
        "flacdec",
        "flacenc",
        "mpegaudioparse",
        "mpg123audiodec",
        "oggdemux",
        "vorbisdec",
        "opusparse",
        "opusdec",
        "qtdemux",
        "faad",
    ),
    # Clips from browsers' recorders, decoded by the server.
    "clips": ("giostreamsrc", "matroskademux", "qtdemux", "oggdemux", "aacparse", "faad", "opusdec"),
    "rtp": (
        "udpsrc",
        "rtpjitterbuffer",
        "rtpopusdepay",
        "opusdec",
        "opusenc",
        "rtpopuspay",
        "udpsink",
    ),
    # Sessions with browsers. webrtcbin makes the others when it needs them.
    "webrtc": (
        "webrtcbin",
        "rtpbin",
        "nicesrc",
        "nicesink",
        "dtlsdec",
        "srtpdec",
        "rtpopusdepay",
        "rtpopuspay",
        "fakesink",
    ),
    "udp": ("udpsrc", "udpsink"),
    "test": ("audiotestsrc",),
    "devices": ("autoaudiosrc", "autoaudiosink"),
}
"""GStreamer elements by what they are for. Devices are optional: servers have none."""

_OPTIONAL = {"devices"}

_APT = "apt-get install --no-install-recommends"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: stable, used in the documentation (`gstreamer.rtp`).
        ok: whether what is needed is there.
        required: whether the program fails without it.
        detail: version, or what is missing.
        remedy: the command that mends it.
    """

    name: str
    ok: bool
    required: bool = True
    detail: str = ""
    remedy: str = ""


def check_all(
    engine: str | None = None,
    model: str | None = None,
    model_dir: str | None = None,
    revision: tuple[str, ...] = (),
    config: str | None = None,
) -> list[Check]:
    """Every check; `engine` None checks all engines that are installed with the package.

    Args:
        engine: this one only.
        model, model_dir, revision, config: of the engine seed-vc: which model, and where its files are.

    Raises:
        EngineError: there is no such model.
        ModelFileError: the configuration cannot be read.
    """
    checks = [_python(), _gi()]
    if checks[-1].ok:
        checks.append(_gstreamer())
        if checks[-1].ok:
            checks += [_elements(use, names) for use, names in USES.items()]
    checks += [_module(name) for name in ("numpy", "soxr", "onnxruntime", "kaldi_native_fbank", "aiohttp")]
    if engine in NEEDS_MODELS:
        return checks + _seed_vc(model or "xlsr-tiny", model_dir, revision, config)
    checks += [_engine(name) for name in ([engine] if engine else [e for e in ENGINES if e not in NEEDS_MODELS])]
    return checks


def as_dict(checks: list[Check]) -> dict[str, Any]:
    """For JSON: the overall verdict and every check."""
    return {"ok": healthy(checks), "checks": [asdict(check) for check in checks]}


def healthy(checks: list[Check]) -> bool:
    """Whether nothing that is required is missing."""
    return all(check.ok or not check.required for check in checks)


def _python() -> Check:
    ok = (3, 10) <= sys.version_info[:2] <= (3, 13)
    remedy = "" if ok else "use Python 3.10 to 3.13"
    return Check("python", ok, detail=platform.python_version(), remedy=remedy)


def _gi() -> Check:
    try:
        gi = importlib.import_module("gi")
    except ImportError as error:
        headers = f"{_APT} libgirepository1.0-dev libcairo2-dev pkg-config gcc python3-dev"
        return Check("gi", False, detail=str(error), remedy=f"{headers} && pip install 'PyGObject<3.51'")
    return Check("gi", True, detail=f"PyGObject {gi.__version__}")


def _gstreamer() -> Check:
    remedy = f"{_APT} gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base"
    try:
        from seedvc_live.media.elements import Gst, init

        init()
    except (ImportError, ValueError, SeedVCLiveError) as error:
        return Check("gstreamer", False, detail=str(error), remedy=remedy)
    found = Gst.version()
    text = ".".join(str(part) for part in found[:3])
    ok = (found[0], found[1]) >= (1, 20)
    return Check("gstreamer", ok, detail=text, remedy="" if ok else "GStreamer 1.20 or later is needed")


def _elements(use: str, names: tuple[str, ...]) -> Check:
    from seedvc_live.media.elements import DEBIAN_PACKAGES, check_elements

    missing = check_elements(list(names))
    required = use not in _OPTIONAL
    if not missing:
        return Check(f"gstreamer.{use}", True, required, f"{len(names)} elements")
    packages = sorted({DEBIAN_PACKAGES.get(name, "gstreamer1.0-plugins-bad") for name in missing})
    return Check(
        f"gstreamer.{use}",
        False,
        required,
        f"missing: {', '.join(missing)} (in {', '.join(packages)})",
        f"{_APT} {' '.join(packages)}",
    )


def _module(name: str, remedy: str = "") -> Check:
    package = {"yaml": "pyyaml"}.get(name, name.replace("_", "-"))
    try:
        importlib.import_module(name)
        return Check(package, True, detail=version(package))
    except ImportError as error:
        return Check(package, False, detail=str(error), remedy=remedy or f"pip install {package}")
    except PackageNotFoundError:
        return Check(package, True, detail="version unknown")


def _engine(name: str) -> Check:
    try:
        engine = load_engine(name)
    except (SeedVCLiveError, ImportError) as error:
        remedy = "pip install --force-reinstall seedvc-live"
        return Check(f"engine.{name}", False, detail=str(error), remedy=remedy)
    try:
        return Check(f"engine.{name}", True, detail=f"{engine.sample_rate} Hz, weights {engine.weights_hash[:12]}")
    finally:
        engine.close()


def _seed_vc(model: str, model_dir: str | None, revision: tuple[str, ...], config: str | None) -> list[Check]:
    """Packages, device and every file of a model. The networks are not loaded: a file counts if it is there."""
    checks = [_module(name, "pip install 'seedvc-live[seed-vc]'") for name in ("torch", "transformers", "yaml")]
    checks.append(_module("huggingface_hub", "pip install 'seedvc-live[seed-vc]'"))
    if not checks[0].ok:
        return checks
    import torch

    gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if gpu else "none: too slow for live streams at the default settings"
    checks.append(Check("engine.seed-vc.gpu", gpu, False, name))
    from seedvc_live.engines.seedvc.inventory import take_stock

    words = ["seedvc-live download --model", model, *(f"--revision {r}" for r in revision)]
    for option, value in (("--model-dir", model_dir), ("--config", config)):
        words += [option, shlex.quote(value)] if value else []
    for found in take_stock(model, model_dir, revision, config):
        known = "sha256 as recorded" if found.checked else "no sha256 recorded"
        detail = found.problem or f"{found.path} ({known})"
        checks.append(
            Check(
                f"{found.file.repository}/{found.file.name}",
                not found.problem,
                found.required,
                detail,
                remedy=" ".join(words) if found.problem else "",
            )
        )
    return checks
