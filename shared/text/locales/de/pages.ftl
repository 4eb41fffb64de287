### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.

## The frame of every page

support_link = Hilfe von { application_dative }
back_button = Zurück zu { application_dative }
back_text = Sie können diese Seite schließen und zu { application_dative } zurückkehren.
try_again_button = Erneut versuchen

## One account

reconnect_title = { service_accusative_start } neu verbinden
reconnect_text = Ihre Verbindung zu { service_dative } ist beendet. Verbinden Sie sich neu, damit { application } Ihre Daten weiter nutzen kann.
renew_title = Verbindung zu { service_dative } erneuern
renew_text = Ihre Verbindung zu { service_dative } endet am { $date }. Erneuern Sie sie jetzt, damit { application } Ihre Daten weiter nutzen kann.
renew_safe = Bis dahin funktioniert sie. Wenn Sie abbrechen, ändert sich nichts.
checking_title = { service_start } wird geprüft
checking_text = Wir prüfen Ihre Verbindung. Sie müssen nichts tun.
dismissed_title = Sie nutzen { service_accusative } nicht mehr
dismissed_text = Sie haben angegeben, dass Sie { service_accusative } nicht mehr nutzen. Sie erhalten dazu keine Erinnerungen mehr. Sie können sich weiterhin neu verbinden.
label_account = Konto
label_ended = Beendet am
label_works_until = Funktioniert bis
not_yours = Nicht Ihr Konto? Schließen Sie diese Seite; es ändert sich nichts.

## What happens next

next_title = So geht es weiter
next_digime = Sie gehen zu digi.me, dem Dienst, über den sich { application } verbindet.
next_service = Sie melden sich bei { service_dative } an. Wir sehen Ihr Passwort nie.
next_digime_sign_in = Sie melden sich bei digi.me an. Wir sehen Ihr Passwort nie.
next_back = Sie kommen zurück, und wir prüfen, ob die Verbindung funktioniert.

## Buttons

reconnect_button = { service_accusative_start } neu verbinden
reconnect_again_button = Nochmals verbinden
renew_button = Verbindung zu { service_dative } erneuern
digime_button = Neu mit digi.me verbinden
postpone_button = Nicht jetzt
dismiss_button = Ich nutze das nicht mehr

## The connection to digi.me

digime_title = Neu mit digi.me verbinden
digime_text = Ihre Verbindung zu digi.me, dem Dienst, über den sich { application } verbindet, ist beendet. Erneuern Sie sie, damit { application } Ihre Daten weiter nutzen kann.
digime_ends_text = Ihre Verbindung zu digi.me, dem Dienst, über den sich { application } verbindet, endet am { $date }. Erneuern Sie sie, damit { application } Ihre Daten weiter nutzen kann.

## Several accounts

list_title = Verbinden Sie Ihre Konten neu
list_title_renew = Erneuern Sie Ihre Verbindungen
list_title_checking = Ihre Konten werden geprüft
list_title_accounts = Ihre Konten
list_text = Erneuern Sie die beendeten Verbindungen, damit { application } Ihre Daten weiter nutzen kann.
list_text_renew = Diese Verbindungen enden bald. Erneuern Sie jede davon, damit { application } Ihre Daten weiter nutzen kann.
list_next = Jede Schaltfläche führt Sie zu digi.me, dem Dienst, über den sich { application } verbindet. Dort melden Sie sich beim jeweiligen Dienst an und kommen dann zurück. Wir sehen Ihr Passwort nie.
list_not_yours = Nicht Ihre Konten? Schließen Sie diese Seite; es ändert sich nichts.
account_after_digime = Sie melden sich zuerst bei digi.me an, dann bei { service_dative }.
account_dead_end = Auf dieser Seite ist das nicht möglich. Kehren Sie zu { application_dative } zurück und verbinden Sie das Konto dort neu.
digime_ended = Ihre Verbindung zu digi.me ist beendet.
digime_dead_end = Auf dieser Seite kann sie nicht erneuert werden. Kehren Sie zu { application_dative } zurück und verbinden Sie sich dort neu.
done_title = Erledigt
done_service = { service_start } ist verbunden.
done_digime = Sie sind mit digi.me verbunden.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Verbinden Sie sich in { application_dative } neu
dead_end_text = Ihre Verbindung zu digi.me, dem Dienst, über den sich { application } verbindet, ist beendet. Auf dieser Seite kann sie nicht erneuert werden.
dead_end_account = { service_start } kann ohne sie nicht neu verbunden werden.
dead_end_next = Kehren Sie zu { application_dative } zurück und verbinden Sie sich dort neu. Es wurde nichts geändert.
all_set_title = Alles in Ordnung
nothing_to_do = Sie müssen nichts tun.

## Links that do not work

expired_title = Dieser Link ist abgelaufen
unknown_title = Dieser Link funktioniert nicht
unknown_text = Es wurde nichts geändert. Prüfen Sie, ob Sie den vollständigen Link geöffnet haben, oder kehren Sie zu { application_dative } zurück und verbinden Sie sich dort neu.
refused_title = Diese Seite kann nicht mehr verwendet werden
start_again_text = Es wurde nichts geändert. Um sich neu zu verbinden, kehren Sie zu { application_dative } zurück und beginnen Sie dort von vorn.

## Not now, and no longer used

postpone_question = { service_accusative_start } später neu verbinden?
postpone_question_all = Ihre Konten später neu verbinden?
postpone_text =
    { $days ->
        [one] Sie erhalten einen Tag lang keine Erinnerung. Sie können sich jederzeit neu verbinden.
       *[other] Sie erhalten { $days } Tage lang keine Erinnerung. Sie können sich jederzeit neu verbinden.
    }
dismiss_question = Nutzen Sie { service_accusative } nicht mehr?
dismiss_text = Sie erhalten keine Erinnerungen mehr zu { service_dative }, und { application } erhält von dort keine neuen Daten. Sie können sich später neu verbinden.
choose_other = Doch jetzt neu verbinden
postponed_title = Vorerst keine Erinnerung
postponed_text = Vor dem { $date } erhalten Sie keine Erinnerung. Bis Sie sich neu verbinden, erhält { application } keine neuen Daten.

## How a reauthorization ended

connected_title = { service_start } ist verbunden
connected_text = { application_start } kann Ihre Daten weiter nutzen. Sie müssen nichts weiter tun.
not_connected_title = { service_start } ist nicht verbunden
not_renewed_title = Die Verbindung zu { service_dative } wurde nicht erneuert
works_until = Ihre Verbindung funktioniert bis zum { $date }.
still_works = Ihre Verbindung funktioniert weiterhin.
almost_done_title = Fast fertig
almost_done_text = Öffnen Sie den Link, den Sie erhalten haben, noch einmal, oder kehren Sie zu { application_dative } zurück.
digime_again = Sie sind wieder mit digi.me verbunden.
one_step_left = Es fehlt noch ein Schritt.
rest_left = Verbinden Sie jetzt noch die übrigen Konten.
cancelled = Sie haben abgebrochen. Es wurde nichts geändert.
cancelled_at = Sie haben bei { service_dative } abgebrochen.
invalid_code = Die Seite war zu lange geöffnet oder wurde zweimal geöffnet. Es wurde nichts geändert. Versuchen Sie es noch einmal ohne längere Pause.
onboard_error = { service_start } hat die Anmeldung nicht akzeptiert. Prüfen Sie, ob Sie sich bei { service_dative } selbst anmelden können, und versuchen Sie es dann noch einmal.
not_authorized = Die Verbindung ist noch nicht vollständig. Versuchen Sie es noch einmal und bestätigen Sie jeden Schritt bei { service_dative }.
account_not_found = digi.me kennt dieses Konto nicht mehr.
wrong_account = Sie haben ein anderes Konto bei { service_dative } verwendet.
use_account = Verwenden Sie das Konto, das als { $username } angezeigt wird.
wrong_user = Sie haben sich bei digi.me als eine andere Person angemeldet. Es wurde nichts geändert. Melden Sie sich als die Person an, die die Verbindung eingerichtet hat.
server_error = Bei uns ist ein Fehler aufgetreten. Sie haben nichts falsch gemacht. Versuchen Sie es in einigen Minuten noch einmal.
try_again_at = Um es noch einmal zu versuchen, kehren Sie zu { application_dative } zurück.
connect_again_at = Kehren Sie zu { application_dative } zurück und verbinden Sie das Konto dort neu.
reference = Referenz für den Support: { $code }

## Errors

error_title = Bei uns ist ein Fehler aufgetreten
error_text = Sie haben nichts falsch gemacht.
error_back = Kehren Sie zu { application_dative } zurück und verbinden Sie sich dort neu.
try_again_in = Versuchen Sie es in { $time } noch einmal.
too_many_title = Zu viele Versuche
too_many_text = Es wurde nichts geändert. Versuchen Sie es in { $time } noch einmal.
