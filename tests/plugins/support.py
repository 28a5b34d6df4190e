"""Plug-ins of a test, and those that are shipped as examples."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from carptwist.plugins.catalogue import Catalogue

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "plugins"


def catalogue(*plugins: Any, broken: Iterable[str] = ()) -> Catalogue:
    """One that has these and no others."""
    return Catalogue(lambda interface: [each for each in plugins if interface.providedBy(each)], lambda: broken)


def examples() -> Catalogue:
    """What conf/examples/plugins declares, as its file does."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    path = EXAMPLES / "twisted" / "plugins" / "carptwist_examples.py"
    spec = importlib.util.spec_from_file_location("declared_examples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return catalogue(*(each for each in vars(module).values() if hasattr(each, "maker")))
