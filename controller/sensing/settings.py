"""What sensing is tuned with."""

from __future__ import annotations

from dataclasses import dataclass

from controller.sensing.rhythms import Rhythm


@dataclass(frozen=True, slots=True)
class SensingSettings:
    """The owner's numbers for sensing, in milliseconds and millimetres."""

    #: Distance between the two beams, 60-120 mm, right to 5 %: depth is measured with it.
    beam_spacing_mm: float = 90.0
    #: Clear width of the doorway; 0 where it is not known. In a narrow one no two walk abreast.
    door_width_mm: float = 0.0
    #: A beam's level must stand this long: receivers chatter for up to 5 ms, glitches last 2.
    beam_settle_ms: float = 6.0
    #: Sunlight makes receivers drop out for 10-40 ms.
    beam_dropout_ms: float = 45.0
    #: A beam broken for longer is a fault; before that somebody may be standing there.
    beam_stuck_after_ms: float = 60_000.0
    #: A switch's level must stand this long; 0 believes the first edge.
    contact_settle_ms: float = 30.0
    #: So many raps are a knock: 2, or 1 where no bottle is ever put down near the sensor.
    knock_raps: int = 2
    #: Silence that ends a knock.
    knock_gap_ms: float = 1200.0
    #: Rhythms that have a name: (name, intervals relative to the longest), see `rhythms.learn`.
    regulars: tuple[Rhythm, ...] = ()
