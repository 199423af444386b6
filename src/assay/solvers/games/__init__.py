"""Exact solutions of finite common-payoff games, with certificates another program can check.

`pairs` finds every optimal pair of one game in rational arithmetic; `batches` solves many integer games at once; `humans` has
the behavioural humans; `information` decides which of two observation structures tells more; `two_stage` and `dec_pomdp` plan
over beliefs.
"""
