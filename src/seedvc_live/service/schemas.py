"""Bodies of the HTTP API. Requests are validated, and the OpenAPI document is made, from these classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints

Scalar = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, StringConstraints(max_length=200)] | None
SettingName = Annotated[str, StringConstraints(max_length=64)]
Settings = Annotated[dict[SettingName, Scalar], Field(max_length=64, description="The engine's settings by name.")]
VoiceId = Annotated[StrictStr, StringConstraints(max_length=100)]
Sdp = Annotated[StrictStr, StringConstraints(min_length=1, max_length=65536)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SessionRequest(_Request):
    """Opens a session."""

    sdp: Sdp = Field(description="WebRTC offer with one audio section (Opus), RFC 8829.")
    type: Literal["offer"] = "offer"
    voice: VoiceId | None = Field(default=None, description="Target voice; engines without reference need none.")
    engine: SettingName | None = Field(default=None, description="The server's default engine if left out.")
    settings: Settings = {}
    bypass: StrictBool = Field(default=False, description="Start with the delayed source instead of the voice.")


class OfferRequest(BaseModel):
    """The customary form of an offer. Members that are not known are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    sdp: Sdp
    type: Literal["offer"] = "offer"
    session_id: VoiceId | None = Field(default=None, description="An earlier session of this client: it is closed.")
    voice: VoiceId | None = None
    engine: SettingName | None = None
    settings: Settings = {}


class SessionPatch(_Request):
    """Changes a running session; what is left out stays."""

    voice: VoiceId | None = None
    settings: Settings | None = None
    bypass: StrictBool | None = None


class Candidate(_Request):
    """An ICE candidate of the client (RTCIceCandidateInit); an empty one says that there are no more."""

    candidate: Annotated[StrictStr, StringConstraints(max_length=1024, pattern=r"^[\x20-\x7e]*$")]
    sdpMid: Annotated[StrictStr, StringConstraints(max_length=64)] | None = None  # noqa: N815
    sdpMLineIndex: Annotated[StrictInt, Field(ge=0, le=8)] | None = None  # noqa: N815
    usernameFragment: Annotated[StrictStr, StringConstraints(max_length=256)] | None = None  # noqa: N815


class TicketRequest(_Request):
    """Asks for a ticket."""

    session: VoiceId | None = Field(default=None, description="The only session it is good for.")


class Delay(BaseModel):
    """The delay of a session, in milliseconds."""

    model_config = ConfigDict(extra="allow")

    algorithmic_ms: float = Field(description="Block, lookahead and join of the engine.")
    compute_ms: float = Field(description="Reserve for computing a block.")
    playout_ms: float = Field(description="Depth of the play-out.")
    jitter_buffer_ms: float = Field(description="Depth of the jitter buffer.")
    total_ms: float = Field(description="The sum.")


class SessionAnswer(BaseModel):
    """A session that was opened."""

    id: str
    sdp: str = Field(description="Answer with all of the server's candidates.")
    type: Literal["answer"] = "answer"
    engine: str
    voice: str | None
    settings: dict[str, Any]
    bypass: bool
    delay: Delay


class OfferAnswer(BaseModel):
    """Answer to the customary form."""

    sdp: str
    type: Literal["answer"] = "answer"
    session_id: str


class SessionView(BaseModel):
    """A running session."""

    id: str
    state: Literal["negotiating", "connected"]
    engine: str
    voice: str | None
    settings: dict[str, Any]
    bypass: bool
    delay: Delay
    stats: dict[str, Any] | None = Field(description="The latest statistics, as in the event stream.")
    age_seconds: float
    time_to_first_audio: float | None = Field(description="Seconds from the offer to the first converted audio.")


class SessionList(BaseModel):
    """All running sessions."""

    sessions: list[SessionView]


class VoiceView(BaseModel):
    """A voice of the store."""

    id: str
    name: str
    seconds: float = Field(description="Length of the reference clip.")
    created: str = Field(description="When it was added, RFC 3339.")


class VoiceList(BaseModel):
    """All voices."""

    voices: list[VoiceView]


class EngineView(BaseModel):
    """An engine."""

    name: str
    default: bool
    available: bool = Field(description="Whether sessions can use it now.")
    install: str | None = Field(description="The command that installs it, where it is not.")
    sample_rate: int | None
    needs_reference: bool
    settings: dict[str, Any] | None = Field(description="JSON Schema of its settings.")
    per_session: list[str] = Field(description="Settings that cannot change while a session runs.")
    algorithmic_latency_ms: float | None = Field(description="With default settings.")


class EngineList(BaseModel):
    """All engines."""

    engines: list[EngineView]


class IceServer(BaseModel):
    """RTCIceServer of the WebRTC API."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class IceServers(BaseModel):
    """For RTCPeerConnection."""

    iceServers: list[IceServer]  # noqa: N815
    ttl: int = Field(description="Seconds for which the credentials are good.")


class Ticket(BaseModel):
    """Permission for one event stream: `?ticket=…`."""

    ticket: str
    expires_in: int = Field(description="Seconds.")


class Configuration(BaseModel):
    """What a client has to know before it has a token."""

    version: str
    auth: bool = Field(description="Whether a token is needed.")
    default_engine: str
    max_clip_bytes: int
    max_clip_seconds: int


class Health(BaseModel):
    """State of the server."""

    status: Literal["ok", "ready"]


class Problem(BaseModel):
    """RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`/problems/<slug>`")
    title: str
    status: int
    detail: str
    field: str | None = Field(default=None, description="The member of the request that is wrong.")
    retry_after: int | None = Field(default=None, description="Seconds after which to try again.")
    install: str | None = Field(default=None, description="The command that installs what is missing.")
