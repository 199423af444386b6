"""A generated encyclopaedia: invented people, places, works and firms, facts about them, and pages that state some.

`words` holds relations, their wordings and descriptions, `names` invents names, `world` draws entities and facts
(`Encyclopaedia`), and `pages` writes pages cut into chunks (`Corpus`), with every mention and every fact stated.
"""
