"""The texts of a new package that are no components: project file, hooks, README."""

from __future__ import annotations

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{title}, a {kind} for mmauto"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["mmauto"]

[project.optional-dependencies]
dev = ["pytest>=8"]

# how mmauto finds the package: any name = the module with the hooks
[project.entry-points.mmauto]
{name} = "{package}"

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
"*" = ["py.typed"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

HOOKS = '''\
"""{title} for mmauto."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import {base}, hookimpl

from {package}.{name} import {title}

mmauto_api = {api}
"""The version of mmauto's contracts that this package is written for; checked when it loads."""


@hookimpl
def mmauto_{kind}s() -> Sequence[{base}]:
    """What this package offers; import nothing heavy here."""
    return [{title}()]
'''

README = """\
# {distribution}

The {kind} `{name}` for [mmauto](https://pypi.org/project/mmauto/):
{summary}.

The code is in `{package}/{name}.py`.

## Install and test
```
pip install -e ".[dev]"
pytest                        # the contract of a {kind}, and what this one is for
mmauto plugins check .        # the same contract, without pytest or installing
mmauto plugins show {kind}:{name}
```

## Use
{use}

## Publish
1. Choose a licence and authors: `license` and `authors` in `pyproject.toml`.
2. Keep `pytest` green; raise `version`.
3. `pip install build twine`, then `python -m build` and `twine upload dist/*`.

`mmauto_api = {api}` in `{package}/__init__.py` is the version of mmauto's contracts for which the
package is written. A release of mmauto with other contracts refuses the package with a sentence
instead of failing later; change the number once you have adapted the code.
"""

USES = {
    "encoder": "`mmauto search ... --encoders {name},...`; without `--encoders` it joins every "
    "search on\ndata with its modality.",
    "fusion": "Every search gives it an arm of its own; `--fusions {name},...` names the arms.",
    "regulariser": "`mmauto search ... --regularisers {name}` searches with it and without it.",
    "control": "Every search runs it; `--exclude {name}` leaves it out.",
    "task": "`mmauto search --task {name}` on simulated rows, with `--data TABLE` on your own.",
    "section": "Every report has it from then on; `mmauto report STUDY` writes one anew.",
}
"""How a search meets a component, by kind."""
