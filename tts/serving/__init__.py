"""Servers: OpenAI's speech API over HTTP, and Wyoming, the protocol of Home Assistant; no torch.

In: requests of clients. Out: speech while it is made, and the digits of recordings. Read `http` first, the routes; then
`pool`, which speaks many texts at a time in a few threads. `settings` is what `tts serve` takes, `schemas` what
requests and answers hold, `encoding` and `uploads` are audio as clients send and get it, `guards` the checks before a
route, `wyoming` the other protocol, `run` the process.
"""
