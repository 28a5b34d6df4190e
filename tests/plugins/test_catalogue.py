"""How plug-ins are found, and what is said of those that are of no use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.interfaces import IDemotionPlugin, IHookPlugin, ILinkPlugin, IPlanePlugin
from carptwist.plugins.catalogue import PluginError
from carptwist.plugins.declaration import DemotionPlugin, HookPlugin, LinkPlugin, PlanePlugin
from tests.plugins.support import EXAMPLES, catalogue

ROOT = Path(__file__).parents[2]


@implementer(IPlugin, IHookPlugin)
class _Half:
    """Says that it is one, and has not what it takes."""

    name = "half"

    def load(self) -> None:
        pass


class CatalogueTests(SynchronousTestCase):
    def test_ready_made_ones_are_complete(self) -> None:
        for interface, kind in (
            (IPlanePlugin, PlanePlugin),
            (ILinkPlugin, LinkPlugin),
            (IHookPlugin, HookPlugin),
            (IDemotionPlugin, DemotionPlugin),
        ):
            verifyObject(interface, kind("name", "collections.OrderedDict"))
            verifyObject(IPlugin, kind("name", "collections.OrderedDict"))

    def test_by_kind_and_name(self) -> None:
        """Each kind of section has names of its own."""
        hook, link = HookPlugin("it", "collections.OrderedDict"), LinkPlugin("it", "collections.OrderedDict")
        found = catalogue(hook, link)
        self.assertIs(found.find("hook", "it"), hook)
        self.assertIs(found.find("link", "it"), link)
        self.assertIsNone(found.fault("hook", "it"))

    def refusal(self, kind: str, name: str, *plugins: Any, **options: Any) -> str:
        with self.assertRaises(PluginError) as raised:
            catalogue(*plugins, **options).find(kind, name)
        self.assertEqual(catalogue(*plugins, **options).fault(kind, name), str(raised.exception))
        return str(raised.exception)

    def test_there_is_none(self) -> None:
        """The text names what there is, and which files could not be asked."""
        pager = HookPlugin("pager", "collections.OrderedDict")
        self.assertEqual(
            self.refusal("hook", "pagre", pager),
            "no such plug-in is installed for [hook] sections: did you mean pager?",
        )
        self.assertEqual(
            self.refusal("hook", "x", pager), "no such plug-in is installed for [hook] sections: there are pager"
        )
        self.assertEqual(
            self.refusal("hook", "x", broken=["/a/b.py cannot be imported: ImportError: no"]),
            "no such plug-in is installed for [hook] sections, nor any other; /a/b.py cannot be imported: "
            "ImportError: no",
        )

    def test_of_another_kind(self) -> None:
        self.assertEqual(
            self.refusal("link", "pager", HookPlugin("pager", "collections.OrderedDict")),
            "that plug-in is for [hook] sections",
        )

    def test_two_of_one_name(self) -> None:
        self.assertEqual(
            self.refusal("hook", "pager", HookPlugin("pager", "shop.Pager"), HookPlugin("pager", "mail.Pager")),
            "there are several of that name, mail.Pager and shop.Pager: remove all but one",
        )

    def test_one_that_lacks_something(self) -> None:
        """Its author is told what."""
        text = self.refusal("hook", "half", _Half())
        self.assertIn("tests.plugins.test_catalogue._Half is no complete IHookPlugin", text)
        self.assertIn("hook(config, reactor)", text)

    def test_one_that_cannot_be_loaded(self) -> None:
        """Neither what is not there, nor what fails while it is imported."""
        text = self.refusal("hook", "pager", HookPlugin("pager", "no_such_module_at_all.Pager"))
        self.assertTrue(text.startswith("no_such_module_at_all.Pager cannot be loaded: "), text)
        self.assertTrue(text.endswith(": install what it needs"), text)

    def test_nothing_is_looked_for_unless_it_is_named(self) -> None:
        """Whoever has no plug-ins pays for none."""
        code = "import sys; from carptwist.configuration import load; load('conf/carp.ini')"
        code += "; assert 'twisted.plugin' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


class CheckTests(SynchronousTestCase):
    """``carptwist check`` with what is installed, here by PYTHONPATH."""

    def check(self, text: str, *more: Path) -> subprocess.CompletedProcess[str]:
        directory = Path(self.mktemp())
        directory.mkdir()
        path = directory / "carp.ini"
        path.write_text(f"[vhid 1@em0]\naddress = 192.0.2.1/24\npass = mekmitasdigoat\n{text}")
        path.chmod(0o600)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, EXAMPLES, *more)))}
        code = "import sys; from carptwist.tools.carptwist import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, "check", str(path)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    def test_examples(self) -> None:
        """Are found by Twisted's plug-in system."""
        done = self.check(
            "plane = plugin\nplugin = commands\nargument = /bin/true up\n  /bin/true down\n"
            "[link em0]\nplugin = tunnel\nargument = 192.0.2.2:8112 192.0.2.3:8112\n"
            "[hook graphite]\nplugin = graphite\nargument = graphite.example:2003\n"
            "[check load]\nplugin = load\nargument = 8.0\n"
        )
        self.assertEqual((done.returncode, done.stderr.count("error")), (0, 0), done.stderr)

    def test_a_bad_name_is_an_error_with_its_line(self) -> None:
        done = self.check("[hook graphite]\nplugin = grafite\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn(":5: [hook graphite] plugin = grafite: no such plug-in", done.stderr)
        self.assertIn("did you mean graphite?", done.stderr)

    def test_a_file_that_cannot_be_imported(self) -> None:
        """Is named, where what it may have had is missing."""
        place = Path(self.mktemp()).absolute() / "twisted" / "plugins"
        place.mkdir(parents=True)
        (place / "shop_carp.py").write_text("import no_such_module_at_all\n")
        done = self.check("[hook shop]\nplugin = shop\n", place.parents[1])
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{place}/shop_carp.py cannot be imported: ModuleNotFoundError", done.stderr)
