"""Text from data as it may go to a terminal."""


def plain(text: object) -> str:
    """Text with control and direction characters, and halves of characters, as escapes.

    Newlines stay, for messages of several lines.
    """
    shown = []
    for character in str(text):
        if character.isprintable() or character == "\n":
            shown.append(character)
        else:
            shown.append(character.encode("unicode_escape").decode())
    return "".join(shown)
