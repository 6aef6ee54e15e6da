"""What every other room may use; it imports none of them.

`errors` is the one exception for a user's mistakes, `config` reads typed configs from YAML and checks ranges, `files`
writes files that appear whole or not at all, `paths` says where the cache lies, `sampling` is how a voice speaks.
Read `config` first.
"""
