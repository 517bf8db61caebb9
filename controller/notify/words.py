"""The words of a notice, English and Italian: a title that is read on a lock screen, and a body."""

from __future__ import annotations

from collections.abc import Mapping

from controller.notify.notices import Notice

#: A younger knock is of now: its age says nothing.
YOUNG_S = 5.0

#: By word: title and body, each in English and Italian. ``{age}`` begins with a comma.
WORDS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "hatch_waits": (
        ("Hatch: {n} waiting{age}", "Sportello: {n} in attesa{age}"),
        ("Somebody knocks at the hatch.", "Bussano allo sportello."),
    ),
    "door_waits": (
        ("Front door: somebody waits{age}", "Porta: qualcuno aspetta{age}"),
        ("Somebody knocks at the front door.", "Bussano alla porta."),
    ),
    "DoorForcedOpen": (
        ("Alarm: door forced open", "Allarme: porta forzata"),
        ("The door was opened without a release.", "La porta è stata aperta senza permesso."),
    ),
    "DoorForcedOpen_over": (
        ("Over: door forced open", "Finito: porta forzata"),
        ("The door is shut again.", "La porta è di nuovo chiusa."),
    ),
    "DoorOpenTooLong": (
        ("Alarm: door open too long", "Allarme: porta aperta troppo a lungo"),
        ("Look whether something is in its way.", "Guarda se qualcosa la blocca."),
    ),
    "DoorOpenTooLong_over": (
        ("Over: door open too long", "Finito: porta aperta troppo a lungo"),
        ("The door is shut again.", "La porta è di nuovo chiusa."),
    ),
    "door_pre_alarm": (
        ("Door: please shut it", "Porta: chiudila"),
        ("It will soon have been open too long.", "Tra poco sarà aperta da troppo tempo."),
    ),
    "over_capacity": (
        ("Alarm: {n} inside, too many", "Allarme: {n} dentro, troppi"),
        ("More guests are inside than may be.", "Ci sono più ospiti di quanti possano starci."),
    ),
    "over_capacity_over": (
        ("Over: too many inside", "Finito: troppi dentro"),
        ("No longer too many guests.", "Gli ospiti non sono più troppi."),
    ),
    "evacuation": (
        ("Alarm: evacuation", "Allarme: evacuazione"),
        ("The door stays open.", "La porta resta aperta."),
    ),
    "evacuation_over": (
        ("Over: evacuation", "Finita: evacuazione"),
        ("The door locks again.", "La porta si chiude di nuovo."),
    ),
    "session_warning": (
        ("Time: {left} left", "Tempo: mancano {left}"),
        ("The party's time is nearly up.", "Il tempo del gruppo è quasi finito."),
    ),
    "session_time_up": (
        ("Time is up", "Tempo scaduto"),
        ("The party's time is up.", "Il tempo del gruppo è finito."),
    ),
    "session_overtime": (
        ("Time is up: {over} over", "Tempo scaduto da {over}"),
        ("Somebody is still inside.", "Qualcuno è ancora dentro."),
    ),
    "fault": (
        ("Fault: {fault}", "Guasto: {fault}"),
        ("{name}, {line}: the README says what to do.", "{name}, {line}: il README dice che fare."),
    ),
    "fault_over": (
        ("Mended: {fault}", "Risolto: {fault}"),
        ("{name}, {line}", "{name}, {line}"),
    ),
    "dark": (
        ("Dark: the bar is not to be heard", "Buio: il bar non si sente più"),
        ("The {who} has been silent for a minute.", "Da un minuto tace: {who}."),
    ),
    "dark_over": (
        ("The bar is back", "Il bar è tornato"),
        ("It is heard again.", "Si sente di nuovo."),
    ),
    "hatch_unanswered": (
        ("Hatch: nobody has answered{age}", "Sportello: nessuno ha risposto{age}"),
        ("{n} waiting.", "{n} in attesa."),
    ),
    "door_unanswered": (
        ("Front door: nobody has answered{age}", "Porta: nessuno ha risposto{age}"),
        ("Somebody waits at the front door.", "Qualcuno aspetta alla porta."),
    ),
    "bar_offline": (
        ("Dark: its controller is off", "Buio: la centralina è spenta"),
        ("It does not answer any more.", "Non risponde più."),
    ),
    "bar_offline_over": (
        ("The bar is back", "Il bar è tornato"),
        ("Its controller is on again.", "La centralina è di nuovo accesa."),
    ),
    "bar_silent": (
        ("Dark: the bar is not to be heard", "Buio: il bar non si sente più"),
        ("It hangs, or its network is away.", "È bloccato, o è senza rete."),
    ),
    "bar_silent_over": (
        ("The bar is back", "Il bar è tornato"),
        ("It is heard again.", "Si sente di nuovo."),
    ),
    "old_release": (
        ("An old release: {release}", "Versione vecchia: {release}"),
        (
            "The centre, or most bars, have {newest}.",
            "La centrale, o la maggior parte dei bar, ha la {newest}.",
        ),
    ),
    "centre_away": (
        ("Dark: no bar is to be heard", "Buio: non si sente più nessun bar"),
        ("The centre's servers do not answer.", "I server della centrale non rispondono."),
    ),
    "centre_away_over": (
        ("The centre is back", "La centrale è tornata"),
        ("The bars are heard again.", "I bar si sentono di nuovo."),
    ),
    "more_knock": (
        ("Hatch: {n} more knocks", "Sportello: altri {n}"),
        ("Too many to tell each, in the last hour.", "Troppi per dirli tutti, nell'ultima ora."),
    ),
    "more_door_knock": (
        ("Front door: {n} more knocks", "Porta: altri {n}"),
        ("Too many to tell each, in the last hour.", "Troppi per dirli tutti, nell'ultima ora."),
    ),
    "more_alarm": (
        ("{n} more alarms", "Altri {n} allarmi"),
        ("Too many to tell each, in the last hour.", "Troppi per dirli tutti, nell'ultima ora."),
    ),
    "more_session": (
        ("{n} more about the party's time", "Altri {n} sul tempo del gruppo"),
        ("Too many to tell each, in the last hour.", "Troppi per dirli tutti, nell'ultima ora."),
    ),
    "more_fault": (
        ("{n} more faults", "Altri {n} guasti"),
        ("Too many to tell each, in the last hour.", "Troppi per dirli tutti, nell'ultima ora."),
    ),
    "more_dark": (
        ("Dark {n} more times", "Buio altre {n} volte"),
        ("Too many to tell each, in the last hour.", "Troppi per dirli tutti, nell'ultima ora."),
    ),
    "test": (
        ("Backdoor: a test", "Backdoor: una prova"),
        ("Messages arrive here.", "I messaggi arrivano qui."),
    ),
}  # fmt: skip

FAULTS: Mapping[str, tuple[str, str]] = {
    "CountUnderflow": ("more left than came in", "sono usciti più di quanti entrati"),
    "BeamStuck": ("a light beam is blocked", "un raggio è coperto"),
    "BeamDead": ("a light beam sees nothing", "un raggio non vede niente"),
    "BeamChatter": ("a light beam flickers", "un raggio sfarfalla"),
    "LineChatter": ("a sensor chatters", "un sensore è instabile"),
    "LineInterference": ("interference on the wires", "disturbi elettrici sui fili"),
    "LockNotLocked": ("the bolt is not where it should be", "il catenaccio non è al suo posto"),
    "BrokerDown": ("the broker is away", "il broker è assente"),
    "ClientIdTaken": (
        "another device uses the controller's name",
        "un altro dispositivo usa il nome della centralina",
    ),
    "JournalFailed": ("the journal cannot be written", "il registro non si può scrivere"),
    "FileDamaged": ("a file on the disk was damaged", "un file sul disco era rovinato"),
    "OutputFailed": (
        "a lamp or the chime does not work",
        "una spia o il campanello non funziona",
    ),
    "CommandFlood": ("too many commands", "troppi comandi"),
    "ClockDiffers": ("clocks differ", "gli orologi non coincidono"),
    "SafeMode": ("safe mode: count by hand", "modalità sicura: conta a mano"),
}

ANSWERED = ("Answered", "Risposto")
WHO = {"broker": ("broker", "il broker"), "controller": ("controller", "la centralina")}


def render(notice: Notice, now_s: float, language: str) -> tuple[str, str]:
    """Return title and body in ``en`` or ``it``, as they are true at ``now_s`` (`Now.t_s`)."""
    at = int(language == "it")
    title, body = WORDS[notice.word]
    age_s = now_s - notice.since_s
    data = notice.data
    words = {
        "n": data.get("n", 0),
        "age": "" if age_s < YOUNG_S else f", {span(age_s)}",
        "left": span(_number(data, "left_s")),
        "over": span(_number(data, "over_s")),
        "name": data.get("name", ""),
        "line": data.get("line", ""),
        "fault": FAULTS.get(str(data.get("name")), (data.get("name"),) * 2)[at],
        "who": WHO.get(str(data.get("who")), ("", ""))[at],
        "release": data.get("release", ""),
        "newest": data.get("newest", ""),
    }
    venue = f"{data['venue']}: " if data.get("venue") else ""
    return venue + title[at].format(**words), body[at].format(**words)


def span(seconds: float) -> str:
    """Return a length of time in one unit or two: ``40 s``, ``7 min``, ``1 h 12``."""
    whole = int(abs(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole // 60 % 60:02}"


def _number(data: Mapping[str, object], key: str) -> float:
    found = data.get(key, 0.0)
    return found if isinstance(found, int | float) else 0.0
