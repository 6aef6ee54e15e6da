"""Text to words, words to vectors and units.

In: a text such as "4 7 2". Out: words, one vector a word, and the units that the pointer steps through.
Read `normalize` first; `units` finds onset, nucleus, coda and pause in a recording, `encoder` gives a vector a word,
`language_model` finds and loads the frozen language model that it uses. `reading` finds numbers as people write them,
which `number_words` says by the rules of `languages`; `pauses` reads "," and "[0.5s]".
"""
