"""Personal data in texts: found by kind, then masked, removed, or left for a rule to drop the document.

`masking` is the way in; `blocks` joins texts and folds their characters; `addresses`, `accounts`, `identities`, `phones`
and `credentials` find the kinds. Every finder looks at one line of one text, except for private keys.
"""
