"""The OpenAPI schema as a plain page, which needs nothing from elsewhere; FastAPI's own pages load scripts."""

from html import escape
from typing import Any


def reference_page(schema: dict[str, Any]) -> str:
    """HTML: each route with what it does, the fields of its body, and its answers."""
    parts = schema["components"]["schemas"]
    title = escape(schema["info"]["title"])
    lines = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"]
    lines += ['<meta name=viewport content="width=device-width"><meta name=color-scheme content="light dark">']
    lines += [f"<h1>{title}</h1><p>The same for programs: <a href=/openapi.json>openapi.json</a>.</p>"]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            lines += [
                f"<h2><code>{method.upper()} {escape(path)}</code></h2>",
                f"<p>{escape(operation['description'])}</p>",
            ]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"]["$ref"].rpartition("/")[2]
                required = parts[name].get("required", ())
                rows = [_row(field, form, field in required) for field, form in parts[name]["properties"].items()]
                lines += ["<table><tr><th>field<th>values<th>default<th>meaning</tr>", *rows, "</table>"]
            answers = (f"<li>{code}: {escape(one['description'])}" for code, one in operation["responses"].items())
            lines += ["<ul>", *answers, "</ul>"]
    return "\n".join(lines)


def _row(name: str, form: dict[str, Any], required: bool) -> str:
    default = "required" if required else str(form.get("default", ""))
    cells = (name, _values(form), default, form.get("description", ""))
    return "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>"


def _values(form: dict[str, Any]) -> str:
    """What a field may hold, in a few words."""
    if options := form.get("anyOf"):
        return " or ".join(_values(option) for option in options if option.get("type") != "null")
    if "enum" in form:
        return ", ".join(map(str, form["enum"]))
    bounds = [
        f"{word} {form[key]:g}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to"))
        if key in form
    ]
    return " ".join([form.get("type", "file"), *bounds])
