"""`/docs`: the OpenAPI document as one page of HTML that needs nothing else from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
h2{margin-top:2em}h3{font:600 15px ui-monospace,monospace;background:#f3f3f0;padding:.4em .6em}
table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #ddd;padding:.25em .5em;text-align:left;vertical-align:top}
code{font:13px ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}h3{background:#262626}
td,th{border-color:#444}}
"""


def render(document: dict[str, Any]) -> str:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return "".join(
        (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style><h1>{title}</h1>",
            "<p>Calls carry <code>Authorization: Bearer KEY</code>. ",
            'The same as JSON: <a href="/openapi.json">/openapi.json</a>.</p>',
            *_operations(document),
            *_schemas(document),
            "</html>",
        )
    )


def _operations(document: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Calls</h2>"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"<h3>{escape(method.upper())} {escape(path)}</h3>"
            yield f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>"
            yield _table(("Parameter", "In", "Is"), map(_parameter, operation.get("parameters", [])))
            body = operation.get("requestBody", {}).get("content", {})
            yield _table(("Body", "Is"), ((kind, _type(media["schema"])) for kind, media in body.items()))
            answers = operation["responses"].items()
            yield _table(("Answer", "Means"), ((status, a["description"]) for status, a in answers))


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Shapes</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
        required = schema.get("required", [])
        yield _table(
            ("Field", "Is", "Default"),
            (
                (field, _type(kind), "needed" if field in required else str(kind.get("default", "")))
                for field, kind in schema.get("properties", {}).items()
            ),
        )


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str]:
    described = parameter.get("description", "")
    return parameter["name"], parameter["in"], f"{_type(parameter['schema'])} {described}"


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    words = [str(schema.get("type", "any"))]
    if "items" in schema:
        words.append(f"of {_type(schema['items'])}")
    words += [
        f"{key} {schema[key]}"
        for key in ("minimum", "exclusiveMinimum", "maximum", "format")
        if key in schema
    ]
    if "enum" in schema:
        words.append("of " + ", ".join(repr(choice) for choice in schema["enum"]))
    return " ".join(words)


def _table(heads: tuple[str, ...], rows: Any) -> str:
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{head}</th>" for head in heads)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
