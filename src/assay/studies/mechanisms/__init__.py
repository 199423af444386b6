"""How small transformers compute."""
