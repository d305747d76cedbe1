#!/usr/bin/env python3
"""Checks that each relative link of Markdown files leads to a file, and its fragment to a heading of that file.

    links.py FILE_OR_DIRECTORY...

Links in code are skipped, and links to other sites. Exits with 1 if a link leads nowhere.
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
# `[text](target)`, `![text](target)` and `[text]: target`.
LINK = re.compile(r"\]\(<?([^()\s<>]+)>?(?: \"[^\"]*\")?\)|^\[[^\]]+\]: *<?(\S+?)>?$", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
OTHER_SITE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def slugs(text):
    """Returns the fragments of the headings, as GitHub makes them."""
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def links(text):
    """Returns the targets of the links outside of code."""
    text = CODE.sub("", FENCE.sub("", text))
    return [target or reference for target, reference in LINK.findall(text)]


def broken(file):
    """Returns a message for each link of a file that leads nowhere, and the number of links."""
    messages, count = [], 0
    for link in links(file.read_text()):
        if OTHER_SITE.match(link):
            continue
        count += 1
        path, _, fragment = link.partition("#")
        target = file.parent / unquote(path) if path else file
        if fragment and target.is_dir():
            target = target / "README.md"
        if not target.exists():
            messages.append(f"{file}: there is no {link}")
        elif fragment and target.suffix == ".md" and fragment not in slugs(target.read_text()):
            messages.append(f"{file}: no heading has the fragment of {link}")
    return messages, count


def markdown(paths):
    for path in map(Path, paths):
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def main(paths):
    found, total, files = [], 0, 0
    for file in markdown(paths):
        messages, count = broken(file)
        found, total, files = found + messages, total + count, files + 1
    for message in found:
        print(f"error: {message}", file=sys.stderr)
    if total < 50:
        sys.exit(f"error: only {total} links: the pattern finds no links any more")
    if found:
        sys.exit(1)
    print(f"{total} links in {files} files lead to files and headings")


if __name__ == "__main__":
    main(sys.argv[1:])
