"""The addresses of the page, one file a subject.

In reading order:

    page            the page itself: show, stream, command
    streams         the state to every phone, as it changes
    wiring          the drawing of the wires
    phones          the paired phones
    nights          the history, also as CSV and JSON
    venues          all bars as tiles
    metrics         Prometheus
    venue_metrics   Prometheus, of all bars
    spaceapi        whether there is room, for everybody
    simulator       the demo's buttons that move pins
"""
