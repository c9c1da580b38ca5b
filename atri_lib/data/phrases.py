"""How a scene is said in each of the eight languages.

A template has the sounds' noun phrases at {0}, {1}, {2}, unchanged, with their indefinite article where the language
has one. So no German template asks for another case than the nominative, and no French, Spanish or Catalan one puts a
preposition before them, with which the article could contract. Every layout has three phrasings per language; phrasing
j of one language is the translation of phrasing j of the others.
"""

import re
from collections.abc import Sequence

from atri_lib.languages import language

FAR = {
    "eng": "{} in the distance", "fra": "{} au loin", "deu": "{} in der Ferne", "spa": "{} a lo lejos",
    "nld": "{} in de verte", "cat": "{} a la llunyania", "jpn": "遠くの{}", "zho": "远处的{}",
}  # fmt: skip
NEAR = {
    "eng": "{} nearby", "fra": "{} tout près", "deu": "{} ganz nah", "spa": "{} muy cerca",
    "nld": "{} dichtbij", "cat": "{} molt a prop", "jpn": "近くの{}", "zho": "近处的{}",
}  # fmt: skip
# layout -> language -> three phrasings; "sequence2" and "sequence3" by the number of sounds
TEMPLATES = {
    "single": {
        "eng": ("{0}.", "A single sound: {0}.", "You can hear {0}."),
        "fra": ("{0}.", "Un seul son : {0}.", "On entend {0}."),
        "deu": ("{0}.", "Ein einziges Geräusch: {0}.", "Zu hören ist {0}."),
        "spa": ("{0}.", "Un solo sonido: {0}.", "Se oye {0}."),
        "nld": ("{0}.", "Eén geluid: {0}.", "Je hoort {0}."),
        "cat": ("{0}.", "Un sol so: {0}.", "Se sent {0}."),
        "jpn": ("{0}。", "音は一つ：{0}。", "{0}が聞こえる。"),
        "zho": ("{0}。", "只有一个声音：{0}。", "可以听到{0}。"),
    },
    "repeated": {
        "eng": ("{0}, again and again.", "Several times: {0}.", "You can hear {0} over and over."),
        "fra": ("{0}, encore et encore.", "Plusieurs fois : {0}.", "On entend {0} à plusieurs reprises."),
        "deu": ("{0}, immer wieder.", "Mehrmals: {0}.", "Immer wieder ist {0} zu hören."),
        "spa": ("{0}, una y otra vez.", "Varias veces: {0}.", "Se oye {0} repetidas veces."),
        "nld": ("{0}, steeds opnieuw.", "Meerdere keren: {0}.", "Je hoort {0} telkens weer."),
        "cat": ("{0}, una vegada i una altra.", "Diverses vegades: {0}.", "Se sent {0} repetidament."),
        "jpn": ("{0}、何度も。", "繰り返し：{0}。", "{0}が何度も聞こえる。"),
        "zho": ("{0}，一遍又一遍。", "多次重复：{0}。", "可以反复听到{0}。"),
    },
    "sequence2": {
        "eng": ("{0}, then {1}.", "First {0}, after that {1}.", "You can hear {0}, followed by {1}."),
        "fra": ("{0}, puis {1}.", "D'abord {0}, ensuite {1}.", "On entend {0}, et après, {1}."),
        "deu": ("{0}, dann {1}.", "Zuerst {0}, danach {1}.", "Zu hören ist {0}, anschließend {1}."),
        "spa": ("{0}, luego {1}.", "Primero {0}, después {1}.", "Se oye {0} y, a continuación, {1}."),
        "nld": ("{0}, dan {1}.", "Eerst {0}, daarna {1}.", "Je hoort {0}, gevolgd door {1}."),
        "cat": ("{0}, després {1}.", "Primer {0}, tot seguit {1}.", "Se sent {0} i, a continuació, {1}."),
        "jpn": ("{0}、それから{1}。", "まず{0}、次に{1}。", "{0}に続いて{1}が聞こえる。"),
        "zho": ("{0}，然后是{1}。", "先是{0}，接着是{1}。", "可以听到{0}，随后是{1}。"),
    },
    "sequence3": {
        "eng": ("{0}, then {1}, then {2}.", "First {0}, after that {1}, finally {2}.",
                "You can hear {0}, followed by {1}, and at the end {2}."),
        "fra": ("{0}, puis {1}, puis {2}.", "D'abord {0}, ensuite {1}, enfin {2}.",
                "On entend {0}, et après, {1}, et à la fin, {2}."),
        "deu": ("{0}, dann {1}, dann {2}.", "Zuerst {0}, danach {1}, zum Schluss {2}.",
                "Zu hören ist {0}, anschließend {1} und am Ende {2}."),
        "spa": ("{0}, luego {1}, luego {2}.", "Primero {0}, después {1}, por último {2}.",
                "Se oye {0}, a continuación {1} y, al final, {2}."),
        "nld": ("{0}, dan {1}, dan {2}.", "Eerst {0}, daarna {1}, tot slot {2}.",
                "Je hoort {0}, gevolgd door {1}, en aan het eind {2}."),
        "cat": ("{0}, després {1}, després {2}.", "Primer {0}, tot seguit {1}, finalment {2}.",
                "Se sent {0}, a continuació {1} i, al final, {2}."),
        "jpn": ("{0}、それから{1}、それから{2}。", "まず{0}、次に{1}、最後に{2}。",
                "{0}に続いて{1}、そして最後に{2}が聞こえる。"),
        "zho": ("{0}，然后是{1}，再然后是{2}。", "先是{0}，接着是{1}，最后是{2}。",
                "可以听到{0}，随后是{1}，末了是{2}。"),
    },
    "together": {
        "eng": ("{0} and {1} at the same time.", "At once: {0} and {1}.", "You can hear {0} while {1} is heard too."),
        "fra": ("{0} et {1} en même temps.", "À la fois : {0} et {1}.", "On entend {0} et, simultanément, {1}."),
        "deu": ("{0} und {1} gleichzeitig.", "Zur selben Zeit: {0} und {1}.",
                "Zu hören ist {0}, während auch {1} zu hören ist."),
        "spa": ("{0} y {1} al mismo tiempo.", "A la vez: {0} y {1}.", "Se oye {0} y, simultáneamente, {1}."),
        "nld": ("{0} en {1} tegelijk.", "Op hetzelfde moment: {0} en {1}.",
                "Je hoort {0} terwijl ook {1} te horen is."),
        "cat": ("{0} i {1} al mateix temps.", "Alhora: {0} i {1}.", "Se sent {0} i, simultàniament, {1}."),
        "jpn": ("{0}と{1}が同時に。", "同時に：{0}と{1}。", "{0}が聞こえる間、{1}も聞こえる。"),
        "zho": ("{0}和{1}同时出现。", "同时：{0}和{1}。", "听到{0}的同时，也能听到{1}。"),
    },
}  # fmt: skip
PHRASINGS = 3


def caption(layout: str, names: Sequence[str], far: Sequence[bool], phrasing: int, code: str) -> str:
    """One sentence about a scene.

    layout: "single", "repeated", "sequence" or "together"; names: noun phrases in the language `code`, in the order
    of the scene; far: which of them are in the distance. Distance is always said; nearness where a scene has both, so
    that "a dog nearby, then a horn in the distance" is told from two distant sounds. Raises UnknownLanguage.
    """
    language(code)
    key = f"sequence{len(names)}" if layout == "sequence" else layout
    mixed = any(far) and not all(far)
    placed = [
        FAR[code].format(name) if away else NEAR[code].format(name) if mixed else name
        for name, away in zip(names, far, strict=True)
    ]
    sentence = TEMPLATES[key][code][phrasing].format(*placed)
    if code == "spa":  # "y" becomes "e" before the sound i, which "hie" is not
        sentence = re.sub(r"\by (?=i|hi(?!e))", "e ", sentence)
    return sentence[:1].upper() + sentence[1:]
