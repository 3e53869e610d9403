"""Every exception this package raises on purpose.

::

    SeedVCLiveError
    ├── SettingsError        a setting is unknown, of the wrong type, or out of range
    │   └── FixedSettingError   a setting cannot change while a session runs
    ├── MissingPackageError  a Python package of an optional extra is not installed
    ├── EngineError          an engine is unknown, cannot be loaded, or failed
    │   ├── ModelFileError   a weight file is missing, damaged or of another version
    │   └── TooSlowError     an engine cannot keep up with a live stream on this machine
    ├── VoiceError           a reference clip cannot become a voice (silent, too short, …)
    │   ├── ClipRejectedError    an uploaded clip is not fit; its `slug` says which fault
    │   └── VoiceNotFoundError   no stored voice has that id
    ├── MediaError           audio could not be read, sent or written
    │   ├── MissingElementError  a GStreamer plugin is not installed
    │   ├── InputError       a source is missing, unreadable, empty or not audio
    │   ├── OutputError      a sink cannot be opened or written
    │   └── NegotiationError a WebRTC connection could not be set up
    │       └── NoAddressError   this machine has no address to offer for it
    ├── SdpError             a session description from outside is not acceptable
    ├── SessionError         a running conversion failed
    └── ServerError          the server cannot run, or one of its processes failed

Each message is one line that says what, where and what to do.
"""

from __future__ import annotations


class SeedVCLiveError(Exception):
    """Base of all errors that a user can cause or mend."""


class SettingsError(SeedVCLiveError, ValueError):
    """A setting is unknown, of the wrong type, or out of its range.

    Attributes:
        field: name of the offending setting.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class FixedSettingError(SettingsError):
    """A setting is fixed for the session and cannot change while it runs."""


class MissingPackageError(SeedVCLiveError):
    """A Python package of an optional extra is not installed."""


class EngineError(SeedVCLiveError):
    """An engine is unknown, cannot be loaded, or failed."""


class ModelFileError(EngineError):
    """A weight file is missing, damaged or of another version."""


class TooSlowError(EngineError):
    """An engine cannot keep up with a live stream on this machine."""


class VoiceError(SeedVCLiveError):
    """A reference clip cannot become a voice."""


class ClipRejectedError(VoiceError):
    """An uploaded clip is not fit as a reference.

    Attributes:
        slug: which fault, one of `SLUGS`.
    """

    SLUGS = (
        "not-audio",
        "clip-too-large",
        "reference-too-short",
        "reference-too-long",
        "reference-silent",
        "reference-no-speech",
        "reference-clipped",
    )

    def __init__(self, slug: str, message: str) -> None:
        if slug not in self.SLUGS:
            raise ValueError(f"unknown fault '{slug}'")
        super().__init__(message)
        self.slug = slug


class VoiceNotFoundError(VoiceError):
    """No stored voice has that id."""


class MediaError(SeedVCLiveError):
    """Audio could not be read, sent or written.

    Attributes:
        debug: GStreamer's own account of it, for the log at level debug; None when there is none.
    """

    debug: str | None = None


class MissingElementError(MediaError):
    """A GStreamer element is not installed.

    Attributes:
        element: the element's factory name.
        package: the distribution package that has it, or None when unknown.
    """

    def __init__(self, element: str, package: str | None = None) -> None:
        remedy = f"install it with: apt-get install {package}" if package else "run: seedvc-live doctor"
        super().__init__(f"GStreamer element '{element}' is not installed; {remedy}")
        self.element = element
        self.package = package


class InputError(MediaError):
    """A source is missing, unreadable, empty or not audio."""


class OutputError(MediaError):
    """A sink cannot be opened or written."""


class NegotiationError(MediaError):
    """A WebRTC connection could not be set up."""


class NoAddressError(NegotiationError):
    """This machine has no address for media to offer: no network, or no relay where only that may be used."""


class SdpError(SeedVCLiveError, ValueError):
    """A session description (SDP) or ICE candidate from outside is malformed or not acceptable."""


class SessionError(SeedVCLiveError):
    """A running conversion failed."""


class ServerError(SeedVCLiveError):
    """The server cannot run, or one of its processes failed."""
