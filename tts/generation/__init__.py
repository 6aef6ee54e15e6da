"""From word vectors to codes: requests go in (`request.Request`), utterances come out (`request.Generated`).

Read `request` first: it has the interface of an engine and the rules by which all of them draw. `plan` draws durations,
`scheduler` gives places to utterances. `cpu` is the native engine, `torch_engine` the one in plain PyTorch.
"""
