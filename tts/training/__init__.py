"""Training: from a config to a checkpoint.

In: a `RunConfig` and recordings. Out: `config.yaml`, `metrics.jsonl`, `checkpoints/` in the run's folder.
Read `loop` first: seed, data, model, optimizer, resume, steps. `config` lists every key, `start` decides what can be
decided before data are read (with `folder`, `launcher`, `precision`), `data` reads them, `batches` makes padded batches
with pointer and advance bits, `losses` is the objective, `checkpoint` writes whole files or none.
"""
