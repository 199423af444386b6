"""One paper a file (or folder): its claims and the code that measures them; found by walking this folder."""
