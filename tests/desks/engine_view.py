"""What the engine sees of the system, in place of what there is.

Only modules of aqz_core import something else: `os`, `sys`, `signal` and others as another system
has them. The test, numpy and the rest of Python stay on the real one.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType


class View(ModuleType):
    """A module with some names taken away and others put in; the rest is asked of the real one."""

    def __init__(self, module, missing=(), **instead):
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(instead)
        self._module = module
        self._missing = frozenset(missing)
        self._before = {}

    def __getattr__(self, name):
        if name in self._missing:
            raise AttributeError(f"this system has no {self._module.__name__}.{name}")
        return getattr(self._module, name)

    def __setattr__(self, name, value):
        # What a test puts into the real module, the engine sees, as it would without this.
        if name.startswith("_") or name not in vars(self._module):
            super().__setattr__(name, value)
        else:
            self._before.setdefault(name, getattr(self._module, name))
            setattr(self._module, name, value)

    def __delattr__(self, name):
        setattr(self._module, name, self._before.pop(name))


class _Loader(importlib.abc.Loader):
    def __init__(self, loader, views, absent):
        self._loader = loader
        self._views = views
        self._absent = absent

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        def import_other(name, *rest):
            if name in self._absent:
                raise ModuleNotFoundError(f"this system has no module {name!r}", name=name)
            return self._views[name] if name in self._views else __import__(name, *rest)

        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_other}
        exec(self._loader.get_code(module.__name__), module.__dict__)


class EngineView(importlib.abc.MetaPathFinder):
    """Let modules of the engine that are imported from now on see other modules.

    Parameters
    ----------
    views : dict
        By the name under which the engine imports it.
    absent : collection of str
        Modules that this system does not have.
    """

    def __init__(self, views, absent=()):
        self._views = views
        self._absent = frozenset(absent)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "aqz_core":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._views, self._absent)
        return spec

    def install(self):
        """Take effect; the engine must not have been imported yet."""
        early = [name for name in sys.modules if name.partition(".")[0] == "aqz_core"]
        assert not early, f"{early} saw the real system already"
        sys.meta_path.insert(0, self)
