"""Encoders of sound, of pictures and of sentences, and the two towers in one space. A name is
imported when it is asked for.
"""

import importlib

_MODULES = {
    "CED": "ced",
    "E5": "e5",
    "DualEncoder": "dual",
    "EfficientNetLite0": "efficientnet",
    "MultilingualUSE": "use",
    "SonarText": "sonar",
    "YAMNet": "yamnet",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> type:
    """The class of that name: `import atri_lib.encoders` alone loads neither torch nor
    transformers.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
