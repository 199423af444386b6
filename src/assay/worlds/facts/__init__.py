"""Facts in words: who has what in which relation, how that is said and asked, what follows from it, and what was answered.

`model` is the vocabulary (`Facts`, `Relation`, `Template`, `Implication`), `file` reads a user's file of them (`forms` its
layout, `schema` its fields, `sentences` where sentences are cut, `building` facts of fields, `meaning` what contradicts itself,
`published` files of other tools), `names` invents people, and `questions` holds what a language model is asked (`Question`) and
what it answered (`Answers`). Nothing here knows a model; asking is `assay.protocols.language_model`.
"""
