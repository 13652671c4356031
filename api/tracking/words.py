"""What the customer's page says, in each language that it knows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, get_args

Language = Literal["en", "de", "fr", "it"]

LANGUAGES: Final = get_args(Language)

_EN: Final = {
    "received": "We have your request",
    "scheduled": "Your appointment",
    "on_the_way": "We are on our way to you",
    "on_the_way_named": "{name} is on the way to you",
    "arrived": "We are with you",
    "arrived_named": "{name} is with you",
    "unfinished": "We will come again",
    "completed": "It is done",
    "cancelled": "This appointment was cancelled",
    "expected": "Expected between {begins} and {ends}",
    "expected_on": "Expected on {day} between {begins} and {ends}",
    "promised": "Promised: {day}, {begins} to {ends}",
    "as_of": "As of {time}",
    "away": "{distance} away",
    "map": "Where {name} is, seen from your place: north is up",
    "somebody": "the technician",
    "steps": "How far it is",
    "step_scheduled": "Planned",
    "step_on_the_way": "On the way",
    "step_arrived": "With you",
    "step_completed": "Done",
    "refresh": "Look again",
    "write": "Write to us",
    "text": "Your message, for instance where the entrance is",
    "send": "Send",
    "sent": "Your message is on its way.",
    "not_sent": "That was not taken. Please check it, or call us.",
    "rate": "How satisfied are you?",
    "stars": "{count} of 5 stars",
    "comment": "A comment, if you like",
    "thanks": "Thank you for your rating.",
    "rate_again": "Change the rating",
    "until": "This page can be opened until {day}.",
    "expired": "This link has expired",
    "expired_more": "Its time is over. Please call us if there is anything left to say.",
    "unknown": "This link is not good",
    "unknown_more": "It may not have been copied whole, or there is a newer one. Please look into our latest message.",
    "later": "Please try again in a moment",
    "later_more": "The page cannot be shown just now.",
}

_DE: Final = {
    "received": "Wir haben Ihre Anfrage",
    "scheduled": "Ihr Termin",
    "on_the_way": "Wir sind unterwegs zu Ihnen",
    "on_the_way_named": "{name} ist unterwegs zu Ihnen",
    "arrived": "Wir sind bei Ihnen",
    "arrived_named": "{name} ist bei Ihnen",
    "unfinished": "Wir kommen noch einmal",
    "completed": "Erledigt",
    "cancelled": "Dieser Termin wurde abgesagt",
    "expected": "Erwartet zwischen {begins} und {ends} Uhr",
    "expected_on": "Erwartet am {day} zwischen {begins} und {ends} Uhr",
    "promised": "Zugesagt: {day}, {begins} bis {ends} Uhr",
    "as_of": "Stand {time} Uhr",
    "away": "Noch {distance} entfernt",
    "map": "Wo {name} ist, von Ihnen aus gesehen: Norden ist oben",
    "somebody": "der Techniker oder die Technikerin",
    "steps": "Wie weit es ist",
    "step_scheduled": "Geplant",
    "step_on_the_way": "Unterwegs",
    "step_arrived": "Bei Ihnen",
    "step_completed": "Erledigt",
    "refresh": "Erneut nachsehen",
    "write": "Schreiben Sie uns",
    "text": "Ihre Nachricht, zum Beispiel wo der Eingang ist",
    "send": "Senden",
    "sent": "Ihre Nachricht ist unterwegs.",
    "not_sent": "Das wurde nicht angenommen. Bitte prüfen Sie es, oder rufen Sie uns an.",
    "rate": "Wie zufrieden sind Sie?",
    "stars": "{count} von 5 Sternen",
    "comment": "Ein Kommentar, wenn Sie mögen",
    "thanks": "Danke für Ihre Bewertung.",
    "rate_again": "Bewertung ändern",
    "until": "Diese Seite kann bis {day} geöffnet werden.",
    "expired": "Dieser Link ist abgelaufen",
    "expired_more": "Seine Zeit ist vorbei. Bitte rufen Sie uns an, wenn noch etwas offen ist.",
    "unknown": "Dieser Link gilt nicht",
    "unknown_more": "Vielleicht wurde er nicht ganz kopiert, oder es gibt einen neueren. Bitte sehen Sie in unserer "
    "letzten Nachricht nach.",
    "later": "Bitte versuchen Sie es gleich noch einmal",
    "later_more": "Die Seite kann gerade nicht gezeigt werden.",
}

_FR: Final = {
    "received": "Nous avons reçu votre demande",
    "scheduled": "Votre rendez-vous",
    "on_the_way": "Nous sommes en route vers vous",
    "on_the_way_named": "{name} est en route vers vous",
    "arrived": "Nous sommes chez vous",
    "arrived_named": "{name} est chez vous",
    "unfinished": "Nous reviendrons",
    "completed": "C’est terminé",
    "cancelled": "Ce rendez-vous a été annulé",
    "expected": "Arrivée prévue entre {begins} et {ends}",
    "expected_on": "Arrivée prévue le {day} entre {begins} et {ends}",
    "promised": "Promis\N{NO-BREAK SPACE}: {day}, de {begins} à {ends}",
    "as_of": "Situation à {time}",
    "away": "Encore à {distance}",
    "map": "Où se trouve {name}, vu de chez vous\N{NO-BREAK SPACE}: le nord est en haut",
    "somebody": "l’intervenant",
    "steps": "Où nous en sommes",
    "step_scheduled": "Planifié",
    "step_on_the_way": "En route",
    "step_arrived": "Chez vous",
    "step_completed": "Terminé",
    "refresh": "Actualiser",
    "write": "Écrivez-nous",
    "text": "Votre message, par exemple où se trouve l’entrée",
    "send": "Envoyer",
    "sent": "Votre message est parti.",
    "not_sent": "Cela n’a pas été accepté. Vérifiez-le, ou appelez-nous.",
    "rate": "Êtes-vous satisfait\N{NO-BREAK SPACE}?",
    "stars": "{count} étoiles sur 5",
    "comment": "Un commentaire, si vous le souhaitez",
    "thanks": "Merci pour votre évaluation.",
    "rate_again": "Modifier l’évaluation",
    "until": "Cette page peut être ouverte jusqu’au {day}.",
    "expired": "Ce lien a expiré",
    "expired_more": "Son temps est écoulé. Appelez-nous s’il reste quelque chose à régler.",
    "unknown": "Ce lien n’est pas valable",
    "unknown_more": "Il n’a peut-être pas été copié en entier, ou il y en a un plus récent. Voyez notre dernier "
    "message.",
    "later": "Réessayez dans un instant",
    "later_more": "La page ne peut pas être affichée pour le moment.",
}

_IT: Final = {
    "received": "Abbiamo ricevuto la sua richiesta",
    "scheduled": "Il suo appuntamento",
    "on_the_way": "Stiamo arrivando da lei",
    "on_the_way_named": "{name} sta arrivando da lei",
    "arrived": "Siamo da lei",
    "arrived_named": "{name} è da lei",
    "unfinished": "Torneremo",
    "completed": "Fatto",
    "cancelled": "Questo appuntamento è stato annullato",
    "expected": "Arrivo previsto tra le {begins} e le {ends}",
    "expected_on": "Arrivo previsto il {day} tra le {begins} e le {ends}",
    "promised": "Promesso: {day}, dalle {begins} alle {ends}",
    "as_of": "Situazione alle {time}",
    "away": "Ancora a {distance}",
    "map": "Dove si trova {name}, visto da lei: il nord è in alto",
    "somebody": "il tecnico",
    "steps": "A che punto siamo",
    "step_scheduled": "Pianificato",
    "step_on_the_way": "In viaggio",
    "step_arrived": "Da lei",
    "step_completed": "Fatto",
    "refresh": "Aggiorna",
    "write": "Ci scriva",
    "text": "Il suo messaggio, per esempio dove si trova l’ingresso",
    "send": "Invia",
    "sent": "Il suo messaggio è partito.",
    "not_sent": "Non è stato accettato. Lo controlli, o ci chiami.",
    "rate": "Quanto è soddisfatto?",
    "stars": "{count} stelle su 5",
    "comment": "Un commento, se vuole",
    "thanks": "Grazie per la sua valutazione.",
    "rate_again": "Cambia la valutazione",
    "until": "Questa pagina si può aprire fino al {day}.",
    "expired": "Questo link è scaduto",
    "expired_more": "Il suo tempo è finito. Ci chiami se c’è ancora qualcosa da dire.",
    "unknown": "Questo link non è valido",
    "unknown_more": "Forse non è stato copiato per intero, o ce n’è uno più recente. Veda il nostro ultimo messaggio.",
    "later": "Riprovi tra un momento",
    "later_more": "La pagina non si può mostrare in questo momento.",
}

WORDS: Final[dict[Language, Mapping[str, str]]] = {"en": _EN, "de": _DE, "fr": _FR, "it": _IT}

_WEEKDAYS: Final[dict[Language, str]] = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
}
_MONTHS: Final[dict[Language, str]] = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}
_DAYS: Final[dict[Language, str]] = {
    "en": "{weekday} {day} {month}",
    "de": "{weekday}, {day}. {month}",
    "fr": "{weekday} {day} {month}",
    "it": "{weekday} {day} {month}",
}


def language_of(stated: str | None, accepted: str) -> Language:
    """What the customer's record states, else what the browser prefers (``Accept-Language``), else English."""
    for each in (stated or "", *(part.partition(";")[0] for part in _preferred(accepted))):
        language = each.strip().lower().replace("_", "-").partition("-")[0]
        if language in WORDS:
            return language
    return "en"


def day_of(at: datetime, language: Language) -> str:
    """A date in words, without the year."""
    weekday, month = _WEEKDAYS[language].split()[at.weekday()], _MONTHS[language].split()[at.month - 1]
    return _DAYS[language].format(weekday=weekday, day=at.day, month=month)


def distance_of(distance_m: float, language: Language) -> str:
    """A distance for people: to 50 m, or to 100 m."""
    if distance_m < 975:
        return f"{max(50, 50 * round(distance_m / 50))} m"
    kilometres = f"{distance_m / 1000:.1f}"
    return f"{kilometres if language == 'en' else kilometres.replace('.', ',')} km"


def _preferred(accepted: str) -> list[str]:
    """The parts of the header, the most wanted first."""

    def weight(part: str) -> float:
        try:
            return float(part.partition("q=")[2] or 1.0)
        except ValueError:
            return 0.0

    return sorted(accepted[:1_000].split(","), key=weight, reverse=True)
