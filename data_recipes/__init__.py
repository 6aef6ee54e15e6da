"""Corpora to datasets: one file per corpus, and what joins recordings into sequences.

In: a corpus in its own layout. Out: recordings by split, sequences of words with segment boundaries, parquet folders
that `datasets.load_dataset` reads. Of `tts` it knows `core`, `audio` and `text`.
Read `sequences` first; `splits` says which combinations are held out, `fsdd` is the corpus that ships a voice.
"""
