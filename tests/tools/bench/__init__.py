"""How fast it is, how much it needs, how right it is: `make bench` prints the tables.

In reading order:

    measure           medians and p99, how busy the machine was, a table and JSON
    contestants       processes to measure, each at its end of a pipe
    stand, hand       ours among them: the real service, and a hand on its pins
    rivals            what a user would run instead
    loads             everything at its worst
    evening           evenings on a clock that the bench turns
    on_chip           the command line on a faked GPIO chip
    bench_edges       pins, disk, broker
    bench_wire        from an edge to its message, from a command to the strike
    bench_strike      from the fourth guest's edge to the strike
    bench_page        from a knock to the glow on a phone
    bench_notify      from a knock to the message, with the page closed
    bench_crowd       a paired phone while strangers ask all the time
    bench_venues      a thousand doors on one broker, and on two
    bench_nights      how fast the history answers
    bench_growth      does any cost grow with time or crowd?
    bench_start       how soon it works, how large it is
    bench_small_pi    memory, CPU, wake-ups and disk of a small Pi
    bench_doorway     how well passages and knocks are decided
    bench_witnesses   how right the count is by each witness
"""
