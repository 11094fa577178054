"""Hooks of mkdocs: the manual is written for the forge and for lockgen help, and
becomes a site as it is."""

import logging
import os
import re

log = logging.getLogger("mkdocs.hooks.site")

_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)((?:#[^)\s]*)?)\)")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*\]\([^`\n]*`)", re.MULTILINE | re.DOTALL)


def _slug(text, _separator):
    """The anchor of a heading, as forges make it."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def _nav(folder):
    """The pages in the order of the index, below its headings. A link to the
    README.md of a folder stands for all pages of that folder."""
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as f:
        parts = re.split(r"^## (.*)$", _CODE.sub("", f.read()), flags=re.MULTILINE)
    seen = {"README.md"}

    def entries(text):
        for title, page, _ in _LINK.findall(text):
            page = os.path.normpath(page)
            if page in seen or not page.endswith(".md") or page.startswith(".."):
                continue
            seen.add(page)
            if os.path.basename(page) != "README.md":
                yield {title: page}
                continue
            below = os.path.dirname(page)
            pages = [f"{below}/{name}" for name in sorted(os.listdir(os.path.join(folder, below))) if name.endswith(".md")]
            seen.update(pages)
            yield {title: [page] + [p for p in pages if p != page]}

    nav = [{"Start": "README.md"}] + list(entries(parts[0]))
    for heading, text in zip(parts[1::2], parts[2::2]):
        below = list(entries(text))
        if below:
            nav.append({heading: below})
    return nav


def on_config(config):
    config.mdx_configs.setdefault("toc", {})["slugify"] = _slug
    if os.path.exists(os.path.join(config.docs_dir, "README.md")):
        config.nav = _nav(config.docs_dir)
    return config


def on_page_markdown(markdown, page, config, files):
    """Links that leave the manual, or name a folder, go to the repository, where their
    target must be; those to a folder with a README.md in the manual go to that."""
    root = os.path.dirname(config.config_file_path)
    here = os.path.dirname(page.file.abs_src_path)

    def link(match):
        title, target, anchor = match.groups()
        if ":" in target:
            return match[0]
        path = os.path.normpath(os.path.join(here, target))
        if os.path.isfile(os.path.join(path, "README.md")):
            path = os.path.join(path, "README.md")
            target = os.path.relpath(path, here).replace(os.sep, "/")
        if path.startswith(config.docs_dir + os.sep) and not os.path.isdir(path):
            return f"[{title}]({target}{anchor})"
        if not path.startswith(root + os.sep) or not os.path.exists(path):
            log.warning("%s links to %s, which is not in the repository", page.file.src_path, target)
        kind = "tree" if os.path.isdir(path) else "blob"
        return f"[{title}]({config.repo_url.rstrip('/')}/{kind}/main/{os.path.relpath(path, root)}{anchor})"

    parts = _CODE.split(markdown)
    return "".join(part if i % 2 else _LINK.sub(link, part) for i, part in enumerate(parts))
