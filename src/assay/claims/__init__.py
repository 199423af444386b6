"""Claims, rules, controls, experiments, studies and verdicts: data and pure judgement."""
