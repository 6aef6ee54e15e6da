"""The compiled engine: one stream or many on CPU cores, without torch.

In and out as for every engine (`tts.generation.interface`). Read `engine` first; `layout` folds and packs weights, and
`comb` is the filter of what was made.
"""
