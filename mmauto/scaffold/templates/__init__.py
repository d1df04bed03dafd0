"""The components that `mmauto plugins new` copies, and their tests: real code, one file a kind.

In a copy the words ``scaffold_name`` and ``ScaffoldName`` become the user's own.
"""
