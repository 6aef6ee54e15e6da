"""What every other room may use; it imports none of them, and no torch.

In: what a user gives (YAML, paths, flags, the environment). Out: checked values, or `InputError` in one line.
`errors` is the one exception for a user's mistakes, `config` builds typed configs and checks ranges, `yaml_files` reads
their YAML, `messages` shows values in messages; `sampling` is how a voice draws; `files` writes files that appear whole
or not at all, `paths` says where the cache lies; `console` is what every command shares, `threads` how OpenMP's threads
wait; `machine` describes what was measured on, `statistics` has confidence intervals, `tables` writes
Markdown. Read `config` first.
"""
