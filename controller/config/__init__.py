"""The owner's configuration: one TOML file, checked key by key, as typed settings.

In reading order:

    schema            every key: its type, its range, what it means
    settings          what the keys become: frozen records with their defaults
    loader            from the file to the settings, or every mistake at once
    toml_file         reading TOML whatever editor wrote it
    types             the types of values, each with its words for errors
    brokers           the brokers of [mqtt]: one, or a list
    notify            the addresses of [notify], and what each is for
    presets           known bulbs and chimes
    header            the 40 pins of the header
    credentials       the broker's login, as systemd gives it to one service
    learned_rhythms   the rhythms that `self-test --learn` has recorded
    phones_file       where the list of paired phones is kept
    atomic_file       writing that a power cut can't halve
"""
