"""Which texts mention whom: names found in text, pronouns resolved, mentions scored, chunks looked up by entity.

`names` finds many names at once (`NameFinder`) and links them to entities (`StringLinker`), `coreference` resolves what is no
name to the nearest antecedent and gives each mention the four scores of LMEnt, and `postings` holds the chunks of each entity
(`EntityIndex`).
"""
