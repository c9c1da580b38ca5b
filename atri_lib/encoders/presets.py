"""The encoders of each preset, by name, and encoders of your own.

A name is one of CLIP_ENCODERS or TEXT_ENCODERS, or `module:Class` for an encoder that is not part
of this library:

    python -m atri_lib train --clip-encoder my_encoders:Ear --text-encoder my_encoders:Reader

`module` is imported as Python finds it, in the folder where the command is typed or in PYTHONPATH.
`Class` is called without arguments, or with one text: `my_encoders:Ear=weights.safetensors` calls
`Ear("weights.safetensors")`. The name is kept in the run (config.json), so that `evaluate`,
`search` and `train --resume` build the same encoder again. They run the code of that module.

What an encoder has to have. Both are subclasses of torch.nn.Module with

    name: str         short, for messages and keys
    dim: int          width of what it returns
    fingerprint: str  changes whenever its outputs do, since it names cached features;
                      `fingerprint = property(atri_lib.encoders.weights.fingerprint)` makes it
                      from the name and the weights

An audio encoder has

    forward(waveform) -> patches
        waveform: float32 [N, samples], 16 kHz, mono, in [-1, 1]; clips of one length
        patches: float32 [N, P, dim] in the order of time; P is 1 or more, and follows from the
        length. They are averaged in `--parts` equal parts of the clip.

A text encoder has

    embed(sentences, language="eng") -> vectors
        sentences: a list of str in one language; language: ISO 639-3, one of
        `atri_lib.languages.CODES`; vectors: float32 [N, dim], without gradient

Optional:

    blocks               list of modules, first to last; `--unfreeze clips=2` opens the last two
    tokenize(sentences, language) and forward(**tokens) -> [N, dim]
                         of a text encoder that is to be trained (`--unfreeze text=...`): tokens
                         are tensors [N, L] by name, filled up with zeros; one is called "mask",
                         bool, true where a token is. `atri_lib.encoders.text.embed` then serves
                         as `embed`
    unknown_pieces(sentences, language) -> list of lists of str
                         what of each sentence the vocabulary does not know; it is reported

An encoder returns the same for the same input and does not depend on the rest of the batch.
`examples/clap_encoder.py` wraps the CLAP model of transformers in this way.
"""

import functools
from collections.abc import Callable, Mapping

from torch import nn

from atri_lib import encoders
from atri_lib.outside import is_outside, outside_arguments, outside_class

# name -> what gives the pretrained encoder; only then is its module imported, with the packages it
# needs
CLIP_ENCODERS = {
    "yamnet": lambda: encoders.YAMNet.pretrained(),
    "efficientnet-lite0": lambda: encoders.EfficientNetLite0.pretrained(),  # of pictures
} | {
    f"ced-{size}": lambda *source, size=size: encoders.CED.pretrained(size, *source)
    for size in ("tiny", "mini", "small", "base")
}
TEXT_ENCODERS = {
    "use": lambda: encoders.MultilingualUSE.pretrained(),
    "e5": lambda: encoders.E5.pretrained(),
    "sonar": lambda *source: encoders.SonarText.pretrained(*source),
}
PRESETS = {"mini": ("yamnet", "use"), "paper": ("ced-base", "sonar")}  # clips, text
# What an encoder from outside needs: attribute -> its kind.
CONTRACT = {"name": str, "dim": int, "fingerprint": str}
READS = {"embed": Callable}  # a text encoder does
Builder = Callable[..., nn.Module]


def build_encoders(
    preset: str, clips: str | None = None, text: str | None = None
) -> tuple[nn.Module, nn.Module]:
    """The pretrained encoders of a preset, of clips and of text, either one replaced by name.

    A name is one of CLIP_ENCODERS or TEXT_ENCODERS; ced-SIZE and sonar take their checkpoint from
    the hub, or from where "ced-tiny=PATH" says: a file, a folder or another hub id. Or it is
    "module:Class" or "module:Class=TEXT" (see above). Raises ValueError naming the choices, or what
    an encoder of your own lacks; each encoder raises its own error when its weights cannot be had.
    """
    return tuple(build() for build in encoder_builders(preset, clips, text))


def encoder_builders(
    preset: str, clips: str | None = None, text: str | None = None
) -> list[Builder]:
    """What build_encoders calls: the names are checked, no weights are read.

    Raises KeyError for a preset that is none of PRESETS, ValueError naming the choices, or what
    module:Class lacks.
    """
    preset_clips, preset_text = PRESETS[preset]
    return [
        _builder(clips or preset_clips, CLIP_ENCODERS),
        _builder(text or preset_text, TEXT_ENCODERS),
    ]


def _builder(given: str, known: Mapping[str, Builder]) -> Builder:
    if is_outside(given):
        reads = READS if known is TEXT_ENCODERS else {}
        return _own_builder(given, CONTRACT | reads)
    name, equals, source = given.partition("=")
    if name not in known:
        choices = f"{', '.join(known)}, or your own as module:Class"
        raise ValueError(f"unknown encoder {name!r}: use one of {choices}")
    if not equals:
        return known[name]
    if not source or not name.startswith(("ced", "sonar")):
        raise ValueError(f"encoder {given!r}: only ced-SIZE=PATH and sonar=PATH name a checkpoint")
    return functools.partial(known[name], source)


def _own_builder(given: str, contract: Mapping[str, type]) -> Builder:
    """What builds an encoder from outside the library, "module:Class" or "module:Class=TEXT"."""
    found = outside_class(given, nn.Module, "encoder", "torch.nn.Module")

    def build() -> nn.Module:
        try:
            encoder = found(*outside_arguments(given))
        except Exception as error:
            why = f"it cannot be built ({type(error).__name__}: {error})"
            raise ValueError(f"encoder {given!r}: {why}") from error
        for wanted, kind in contract.items():
            if not isinstance(getattr(encoder, wanted, None), kind):
                lacks = f"it has no {wanted} ({kind.__name__.lower()})"
                raise ValueError(f"encoder {given!r}: {lacks}; see atri_lib.encoders.presets")
        return encoder

    return build
