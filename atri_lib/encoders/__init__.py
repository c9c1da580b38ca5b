"""Encoders of sound, of pictures and of sentences, and the two towers in one space. A name is
imported when it is asked for.
"""

__all__ = [
    "CED",
    "E5",
    "DualEncoder",
    "EfficientNetLite0",
    "MultilingualUSE",
    "SonarText",
    "YAMNet",
]


def __getattr__(name: str) -> type:
    """The class of that name: `import atri_lib.encoders` alone loads neither torch nor
    transformers.
    """
    match name:
        case "CED":
            from atri_lib.encoders.ced import CED as found
        case "DualEncoder":
            from atri_lib.encoders.dual import DualEncoder as found
        case "E5":
            from atri_lib.encoders.e5 import E5 as found
        case "EfficientNetLite0":
            from atri_lib.encoders.efficientnet import EfficientNetLite0 as found
        case "MultilingualUSE":
            from atri_lib.encoders.use import MultilingualUSE as found
        case "SonarText":
            from atri_lib.encoders.sonar import SonarText as found
        case "YAMNet":
            from atri_lib.encoders.yamnet import YAMNet as found
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
