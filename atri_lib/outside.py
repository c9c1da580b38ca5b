"""Classes from outside the library, named as text: `module:Class`, or `module:Class=TEXT`.

`module` is imported as Python finds it, in the folder where the command is typed or in PYTHONPATH.
A name may come from a run folder, and so from somebody else: of the module nothing is called but a
subclass of what was asked for.
"""

import importlib


def is_outside(name: str) -> bool:
    """Whether a name is of a class outside the library."""
    return ":" in name.partition("=")[0]


def outside_class(given: str, base: type, what: str, wanted: str) -> type:
    """The class that is named, a subclass of `base`.

    what: "encoder", "scheme" or "data", wanted: what `base` is called, both for messages.
    Raises ValueError, in one line that says what to do, for a name that cannot be one, a module
    that is not found or fails when it is imported, and a class that is none of `base` or lacks a
    method.
    """
    module, _, attribute = given.partition("=")[0].partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        why = f"{module} cannot be imported ({type(error).__name__}: {said})"
        fix = "write module:Class, in the module's folder or with that in PYTHONPATH"
        raise ValueError(f"{what} {given!r}: {why}; {fix}") from error
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    whole = isinstance(found, type) and base in found.__mro__ and not missing
    if not whole:
        message = f"{attribute} of {module} is no subclass of {wanted} with all its methods"
        message += "".join(f", {method} is missing" for method in missing)
        raise ValueError(f"{what} {given!r}: {message}; see the page book/own.md")
    return found


def outside_arguments(given: str) -> list[str]:
    """What the class is called with: the text after "=", or nothing."""
    _, equals, argument = given.partition("=")
    return [argument] if equals else []
