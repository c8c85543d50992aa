"""How many characters the parts of a document may have, in a folder as in the store."""

ID_LENGTH = 200
TITLE_LENGTH = 1000
TEXT_LENGTH = 1_000_000  # a help article has some 5,000
