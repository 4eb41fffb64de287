### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Guten Tag,
       *[other] Guten Tag { $name },
    }

## Subjects

mail_subject_ended = Ihre Verbindung zu { service_dative } ist beendet
mail_subject_ended_more =
    { $count ->
        [one] Ihre Verbindungen zu { service_dative } und einem weiteren Dienst sind beendet
       *[other] Ihre Verbindungen zu { service_dative } und { $count } weiteren Diensten sind beendet
    }
mail_subject_ends = Ihre Verbindung zu { service_dative } endet bald
mail_subject_ends_more =
    { $count ->
        [one] Ihre Verbindungen zu { service_dative } und einem weiteren Dienst enden bald
       *[other] Ihre Verbindungen zu { service_dative } und { $count } weiteren Diensten enden bald
    }
mail_subject_connected = { service_start } ist wieder verbunden
mail_subject_connected_more =
    { $count ->
        [one] { service_start } und ein weiterer Dienst sind wieder verbunden
       *[other] { service_start } und { $count } weitere Dienste sind wieder verbunden
    }

## What to do

mail_ended = Ihre Verbindung zu { service_dative } wurde am { $date } beendet.
mail_ended_digime = Ihre Verbindung zu digi.me, dem Dienst, über den sich { application } verbindet, wurde am { $date } beendet.
mail_ends = Ihre Verbindung zu { service_dative } endet am { $date }.
mail_reconnect =
    { $count ->
        [one] Verbinden Sie sich neu, damit { application } Ihre Daten weiter nutzen kann.
       *[other] Verbinden Sie sie neu, damit { application } Ihre Daten weiter nutzen kann.
    }
mail_renew =
    { $count ->
        [one] Erneuern Sie sie vorher, damit { application } Ihre Daten weiter nutzen kann. Wenn Sie abbrechen, ändert sich nichts.
       *[other] Erneuern Sie diese Verbindungen vorher, damit { application } Ihre Daten weiter nutzen kann. Wenn Sie abbrechen, ändert sich nichts.
    }
mail_connect_again = Ihre Verbindung zu digi.me, dem Dienst, über den sich { application } verbindet, ist beendet. Öffnen Sie { application } und verbinden Sie sich dort neu.
mail_page_button = Neu verbinden
mail_page = Das geht auf dieser Seite:
mail_open_application = Öffnen Sie dazu { application } und wählen Sie „Neu verbinden“.
mail_no_link = Diese E-Mail enthält absichtlich keinen Link.
mail_no_password = Sie melden sich über digi.me an, den Dienst, über den sich { application } verbindet. Wir fragen nie per E-Mail nach Ihrem Passwort.

## The end

mail_why = Sie erhalten diese E-Mail, weil { application } Daten nutzt, die Sie über digi.me teilen. In diesen E-Mails geht es nur um Ihre Verbindungen.
mail_stop = Diese E-Mails abbestellen
mail_stop_without_link = Um diese E-Mails abzubestellen, wählen Sie „Abbestellen“ in Ihrem E-Mail-Programm oder wenden Sie sich an { application }.

## The page that stops the mails

unsubscribe_title = Diese E-Mails abbestellen?
unsubscribe_text = Wenn Sie sie abbestellen, erhalten Sie keine E-Mails mehr über Ihre Verbindungen. Wenn eine davon endet, erhält { application } daraus keine neuen Daten, bis Sie sie neu verbinden.
unsubscribe_button = E-Mails abbestellen
unsubscribed_title = Sie erhalten diese E-Mails nicht mehr
unsubscribed_text = Sonst wurde nichts geändert. Wenn Sie sie wieder erhalten möchten, wenden Sie sich an { application }.
