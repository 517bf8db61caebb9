"""Who may see the page, asked before every request.

In reading order:

    pairing   the secret link
    phones    who is paired, and who was thrown out
    hosts     the names of this page: another is DNS rebinding
    gate      the checks before a request, the headers after it
"""
