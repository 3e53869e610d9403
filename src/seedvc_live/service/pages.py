"""Pages for people: the API's description, and what each kind of problem means. No script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

from seedvc_live.service.problems import PROBLEMS
from seedvc_live.service.security import CONTENT_POLICY

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow-x: auto; padding: .75rem; border: 1px solid; border-radius: .4rem }
section { border-top: 1px solid; padding-top: .5rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
summary { cursor: pointer }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY.replace("style-src 'self'", f"style-src 'self' 'sha256-{_STYLE_HASH}'")
}
"""The pages' one style is in them, and allowed by its hash."""


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="/static/icon.svg"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )


def problem_page(slug: str) -> str:
    """What a kind of problem means."""
    kind = PROBLEMS[slug]
    return _page(
        kind.title,
        f"<h1>{escape(kind.title)}</h1><p><code>{slug}</code>, status {kind.status}. The <code>detail</code> of the "
        'document says more. See the <a href="/api/docs">description of the API</a>.</p>',
    )


def docs_page(document: dict[str, Any]) -> str:
    """The OpenAPI document, for reading."""
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_marked(info['description'])}</p>",
        '<p>The same for programs: <a href="/api/openapi.json">openapi.json</a>.</p>',
    ]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'].capitalize())}</h2>")
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts.append(_operation(document, path, method, operation))
    return _page("seedvc-live API", "".join(parts))


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section id="{operation["operationId"]}"><h3><code>{method.upper()} {escape(path)}</code></h3>',
        f"<p><strong>{escape(operation['summary'])}.</strong> {_marked(operation.get('description', ''))}</p>",
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(_schema(f"Request, {media}", document, content["schema"]))
    rows = []
    for status, response in operation["responses"].items():
        rows.append(f"<tr><td>{status}</td><td>{_marked(response['description'])}</td></tr>")
        for media, content in response.get("content", {}).items():
            if status < "300":
                parts.append(_schema(f"Answer {status}, {media}", document, content["schema"]))
    return "".join([*parts, f"<table><tbody>{''.join(rows)}</tbody></table></section>"])


def _schema(title: str, document: dict[str, Any], schema: dict[str, Any]) -> str:
    found = schema
    if "$ref" in schema:
        found = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    text = escape(json.dumps(found, indent=2, ensure_ascii=False))
    return f"<details><summary>{escape(title)}</summary><pre>{text}</pre></details>"


def _marked(text: str) -> str:
    """Escaped, with `code` marked."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
