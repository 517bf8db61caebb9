"""The owner's configuration: one TOML file, checked key by key, as typed settings.

Read `schema` first (every key with its range), then `settings` (what they become), `loader`,
`toml_file`, `types`, `presets` (known devices), `notify` (addresses of messages), `credentials`,
`learned_rhythms` and `atomic_file`.
"""
