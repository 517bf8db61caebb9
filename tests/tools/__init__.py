"""Programs that prove more than a test run can.

In reading order:

    model          every state that the rules can reach, against the laws of the house
    chaos          killing, cutting, freezing and rotting disks
    doorway        simulated doorways with truth, and the score
    centre         a whole centre on this machine, tried and broken
    bench          how fast it is, how much it needs, how right it is
    soak           a year of evenings in minutes
    mutate         break the pure core: does a test fail?
    fuzz           bytes from a stranger, everywhere
    fuzz_heard     its target: a message of a broker that lies
    fuzz_request   its target: a request at the page in this process
    fuzz_page      a stranger's requests at the real page
    lighthouse     Lighthouse's marks of the page
"""
