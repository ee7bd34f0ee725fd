"""What ends a sentence."""

#: Ends of sentences, and the quotation marks that close after them: Latin, Greek and Cyrillic; Arabic; Indic, Armenian,
#: Ethiopic, Khmer, Burmese, Tibetan; Chinese and Japanese. C4 names the first four.
SENTENCE_ENDS = ".!?\"…'”’»‼⁇⁈⁉؟۔।॥։።፧፨។៕།༎。．！？｡」』"
