"""What the documentation site adds to the pages in this folder: the files beside it that pages link to.

In the repository pages link to the README, to the model cards and to NOTICE where these lie. The site has them as pages
of its own, and their links follow.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
CARDS = "src/rotoscope/weights/files"
LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))|(src=\")([^\":]+)(\")")


def moved() -> dict[str, str]:
    """Where files of the repository are on the site, by their paths in the repository."""
    places = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
    places |= {f"{CARDS}/{card.name}": f"cards/{card.name}" for card in sorted((ROOT / CARDS).glob("*.md"))}
    places |= {CARDS: "cards/index.md", "NOTICE": "NOTICE.md", "LICENSE": "LICENSE.md"}
    return places


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that lie elsewhere."""
    for source, target in moved().items():
        if source == CARDS:
            cards = sorted((ROOT / CARDS).glob("*.md"))
            text = "# Model cards\n\n" + "".join(f"- [{card.stem}]({card.name})\n" for card in cards)
        else:
            text = (ROOT / source).read_text(encoding="utf-8")
        if target in ("NOTICE.md", "LICENSE.md"):
            text = f"# {source}\n\n```\n{text}\n```\n"
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to what lies elsewhere lead to its place on the site."""
    back = {target: source for source, target in moved().items()}
    here = back.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    if here == CARDS:
        return markdown

    def follow(match: re.Match[str]) -> str:
        before, link, after = match.groups()[:3] if match[1] else match.groups()[3:]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
        target = moved().get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if target is None:
            return match[0]
        return before + posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".") + after

    return LINK.sub(follow, markdown)
