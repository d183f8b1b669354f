"""Every public object says what it is, and every example in a docstring runs and gives what it says."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tfvae

MODULES = [
    "tfvae",
    *(module.name for module in pkgutil.walk_packages(tfvae.__path__, "tfvae.") if ".__" not in module.name),
]
MODULES = [name for name in MODULES if not name.startswith("tfvae._lib")]


def _is_public(dotted):
    return not any(word.startswith("_") for word in dotted.split("."))


def _public_objects():
    """Name -> object: public modules, the classes and functions they offer, and these classes' own public members."""
    found = {}
    for module_name in filter(_is_public, MODULES):
        module = importlib.import_module(module_name)
        found[module_name] = module
        for name in getattr(module, "__all__", [name for name in vars(module) if _is_defined_in(module, name)]):
            value = getattr(module, name)
            if inspect.isroutine(value) or inspect.isclass(value):
                found[f"{module_name}.{name}"] = value
            if inspect.isclass(value):
                own = [kind for kind in value.__mro__ if kind.__module__.startswith("tfvae.")]
                members = {key: member for kind in own[::-1] for key, member in vars(kind).items() if key[0] != "_"}
                found |= {
                    f"{module_name}.{name}.{key}": member for key, member in members.items() if _documentable(member)
                }
    return found


def _is_defined_in(module, name):
    return not name.startswith("_") and getattr(getattr(module, name), "__module__", None) == module.__name__


def _documentable(member):
    return inspect.isroutine(member) or isinstance(member, property | classmethod | staticmethod)


def _docstring(value):
    return inspect.getdoc(value.__func__ if isinstance(value, classmethod | staticmethod) else value)


def test_every_public_object_has_a_docstring():
    assert not [name for name, value in _public_objects().items() if not (_docstring(value) or "").strip()]


def _examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        for example in finder.find(importlib.import_module(name)):
            if example.examples:
                yield pytest.param(example, id=example.name)


@pytest.mark.parametrize("example", list(_examples()))
def test_examples(example, tmp_path, monkeypatch):
    """In an empty folder of its own, so that one may write files."""
    monkeypatch.chdir(tmp_path)
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", ["VAE", "ops.reparameterize_kl", "sample_and_kl", "build_info", "use_backend"])
def test_main_entry_points_have_an_example(name):
    value = tfvae
    for word in name.split("."):
        value = getattr(value, word)
    assert ">>> " in _docstring(value)
