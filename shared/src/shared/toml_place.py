"""Says where in a TOML file a mistake is. tomllib keeps no positions, so look for the heading and, below it, for the option."""

import re


def at(text: str, section: str, option: str | None, problem: str) -> str:
    """Prefix a problem with `line N: section.option: `, the line as far as it can be found."""
    lines = text.splitlines()
    heading = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(rf"[\"']?{re.escape(part)}[\"']?" for part in section.split(".", 1)) + r"\s*\]")
    start = next((number for number, line in enumerate(lines) if heading.match(line)), None)
    assigns = re.compile(rf"\s*[\"']?{re.escape(option or '')}[\"']?\s*=")
    below = lines[start + 1 :] if option and start is not None else []
    offset = next((number + 1 for number, line in enumerate(below) if assigns.match(line)), 0)
    place = f"line {start + offset + 1}: " if start is not None else ""
    return f"{place}{section}{'.' + option if option else ''}: {problem}"
