"""What each entity is called in Home Assistant, in English and in Italian."""

from __future__ import annotations

from collections.abc import Mapping

#: By the entity's key. The lock is the device's main entity and has its name.
NAMES: Mapping[str, tuple[str, str]] = {
    "lock_state": ("Lock", "Serratura"),
    "refused": ("Refused", "Rifiutato"),
    "not_done": ("Command refused", "Comando rifiutato"),
    "letting_in": ("Letting in", "Ingresso in corso"),
    "door": ("Door", "Porta"),
    "bolt": ("Bolt", "Catenaccio"),
    "forced": ("Door forced", "Porta forzata"),
    "open_too_long": ("Door open too long", "Porta aperta da troppo"),
    "evacuation": ("Evacuation", "Evacuazione"),
    "locked_down": ("Lock-down", "Blocco totale"),
    "closed": ("Closed to guests", "Chiuso agli ospiti"),
    "guests": ("Guests", "Ospiti"),
    "free_places": ("Free places", "Posti liberi"),
    "full": ("Full", "Pieno"),
    "uncertain": ("Count uncertain", "Conteggio incerto"),
    "over_capacity": ("Too many inside", "Troppi dentro"),
    "question": ("Question open", "Domanda aperta"),
    "answer": ("How many came in", "Quanti sono entrati"),
    "staff_pass": ("Staff pass", "Passaggio del personale"),
    "count": ("Set guests", "Correggi gli ospiti"),
    "report_wrong": ("Count was wrong", "Il conteggio era sbagliato"),
    "room_empty": ("Room empty", "Sala vuota"),
    "session_ends": ("Session ends", "Fine della sessione"),
    "session_phase": ("Session", "Sessione"),
    "next_booking": ("Next booking", "Prossima prenotazione"),
    "guests_tonight": ("Guests tonight", "Ospiti stasera"),
    "parties_tonight": ("Parties tonight", "Gruppi stasera"),
    "knocks_tonight": ("Knocks tonight", "Colpi stasera"),
    "denied_tonight": ("Refused tonight", "Rifiutati stasera"),
    "hatch_knock": ("Knock at the hatch", "Bussano allo sportello"),
    "door_knock": ("Knock at the door", "Bussano alla porta"),
    "hatch_raps": ("Raps at the hatch", "Colpi allo sportello"),
    "door_raps": ("Raps at the door", "Colpi alla porta"),
    "hatch": ("Hatch", "Sportello"),
    "hatch_light": ("Hatch light", "Luce dello sportello"),
    "door_waiting": ("Somebody at the door", "Qualcuno alla porta"),
    "hatch_answered": ("Hatch answered", "Risposto allo sportello"),
    "door_answered": ("Door answered", "Risposto alla porta"),
    "release_cancel": ("Stop the release", "Ferma l'apertura"),
    "undo": ("Take back", "Annulla l'ultimo"),
    "staff": ("Arm staff pass", "Fai passare il personale"),
    "close": ("Close to guests", "Chiudi agli ospiti"),
    "reopen": ("Open to guests", "Riapri agli ospiti"),
    "lock_down": ("Lock down", "Blocca tutto"),
    "lock_down_release": ("End lock-down", "Togli il blocco totale"),
    "evacuate": ("Evacuate", "Evacua"),
    "evacuation_ends": ("End evacuation", "Fine evacuazione"),
    "siren": ("Chime", "Campanello"),
    "chime": ("Chime rang", "Il campanello ha suonato"),
    "problem": ("Problem", "Problema"),
    "faults": ("Faults", "Guasti"),
    "self_test_state": ("Self-test", "Autotest"),
    "self_test": ("Begin self-test", "Avvia l'autotest"),
    "started": ("Started", "Avviato"),
    "signal": ("Signal", "Segnale"),
}
#: Of the buttons that let a party in.
LET_IN = ("Let in {n}", "Fai entrare {n}")


def name_of(key: str, italian: bool) -> str | None:
    """Return what the entity is called; None is the device's own name."""
    if key.startswith("let_in_"):
        return LET_IN[italian].format(n=key.rpartition("_")[2])
    return NAMES[key][italian] if key in NAMES else None
