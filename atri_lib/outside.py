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
    name = given.partition("=")[0]
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), attribute]):
        raise ValueError(f"{what} {given!r}: write module:Class, as in my_module:MyClass")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            fix = "type the command in its folder, or add that to PYTHONPATH"
            raise ValueError(f"{what} {given!r}: no module {module!r}; {fix}") from error
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{what} {given!r}: its module fails when imported ({why})") from error
    if not isinstance(found, type) or base not in found.__mro__:
        message = f"{attribute} of {module} is no subclass of {wanted}"
        raise ValueError(f"{what} {given!r}: {message}; see the page book/own.md")
    if lacking := sorted(getattr(found, "__abstractmethods__", ())):
        message = f"{attribute} of {module} lacks {', '.join(lacking)}"
        raise ValueError(f"{what} {given!r}: {message}; see the page book/own.md")
    return found


def outside_arguments(given: str) -> list[str]:
    """What the class is called with: the text after "=", or nothing."""
    _, equals, argument = given.partition("=")
    return [argument] if equals else []
