### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.

## The frame of every page

support_link = Vraag hulp bij { application }
back_button = Terug naar { application }
back_text = U kunt deze pagina sluiten en teruggaan naar { application }.
try_again_button = Opnieuw proberen

## One account

reconnect_title = Verbind { service } opnieuw
reconnect_text = Uw verbinding met { service } is beëindigd. Verbind opnieuw, zodat { application } uw gegevens kan blijven gebruiken.
renew_title = Vernieuw de verbinding met { service }
renew_text = Uw verbinding met { service } eindigt op { $date }. Vernieuw de verbinding nu, zodat { application } uw gegevens kan blijven gebruiken.
renew_safe = Tot die dag werkt de verbinding. Als u annuleert, verandert er niets.
checking_title = { service_start } wordt gecontroleerd
checking_text = We controleren uw verbinding. U hoeft niets te doen.
dismissed_title = U gebruikt { service } niet meer
dismissed_text = U hebt aangegeven dat u { service } niet meer gebruikt. U krijgt hierover geen herinneringen meer. U kunt nog steeds opnieuw verbinden.
label_account = Account
label_ended = Beëindigd op
label_works_until = Werkt tot
not_yours = Niet van u? Sluit deze pagina; er verandert niets.

## What happens next

next_title = Wat er hierna gebeurt
next_digime = U gaat naar digi.me, de dienst waarmee { application } verbinding maakt.
next_service = U logt in bij { service }. Wij zien uw wachtwoord nooit.
next_digime_sign_in = U logt in bij digi.me. Wij zien uw wachtwoord nooit.
next_back = U komt terug en wij controleren of de verbinding werkt.

## Buttons

reconnect_button = Verbind { service } opnieuw
reconnect_again_button = Opnieuw verbinden
renew_button = Vernieuw de verbinding met { service }
digime_button = Opnieuw verbinden met digi.me
postpone_button = Niet nu
dismiss_button = Ik gebruik dit niet meer

## The connection to digi.me

digime_title = Opnieuw verbinden met digi.me
digime_text = Uw verbinding met digi.me, de dienst waarmee { application } verbinding maakt, is beëindigd. Vernieuw de verbinding, zodat { application } uw gegevens kan blijven gebruiken.
digime_ends_text = Uw verbinding met digi.me, de dienst waarmee { application } verbinding maakt, eindigt op { $date }. Vernieuw de verbinding, zodat { application } uw gegevens kan blijven gebruiken.

## Several accounts

list_title = Verbind uw accounts opnieuw
list_title_renew = Vernieuw uw verbindingen
list_title_checking = Uw verbindingen worden gecontroleerd
list_title_accounts = Uw accounts
list_text = Herstel de beëindigde verbindingen, zodat { application } uw gegevens kan blijven gebruiken.
list_text_renew = Deze verbindingen eindigen binnenkort. Vernieuw ze één voor één, zodat { application } uw gegevens kan blijven gebruiken.
list_next = Elke knop brengt u naar digi.me, de dienst waarmee { application } verbinding maakt. Daar logt u in bij de dienst, en u komt dan terug. Wij zien uw wachtwoord nooit.
list_not_yours = Niet uw accounts? Sluit deze pagina; er verandert niets.
account_after_digime = U logt eerst in bij digi.me en daarna bij { service }.
account_dead_end = Opnieuw verbinden kan niet vanaf deze pagina. Ga terug naar { application } en maak daar opnieuw verbinding.
digime_ended = Uw verbinding met digi.me is beëindigd.
digime_dead_end = Vernieuwen kan niet vanaf deze pagina. Ga terug naar { application } en maak daar opnieuw verbinding.
done_title = Klaar
done_service = { service_start } is verbonden.
done_digime = U bent verbonden met digi.me.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Maak opnieuw verbinding vanuit { application }
dead_end_text = Uw verbinding met digi.me, de dienst waarmee { application } verbinding maakt, is beëindigd. Vernieuwen kan niet vanaf deze pagina.
dead_end_account = { service_start } kan zonder die verbinding niet opnieuw worden verbonden.
dead_end_next = Ga terug naar { application } en maak daar opnieuw verbinding. Er is niets veranderd.
all_set_title = Alles is in orde
nothing_to_do = U hoeft niets te doen.

## Links that do not work

expired_title = Deze link is verlopen
unknown_title = Deze link werkt niet
unknown_text = Er is niets veranderd. Controleer of u de volledige link hebt geopend, of ga terug naar { application } en maak daar opnieuw verbinding.
refused_title = Deze pagina kan niet meer worden gebruikt
start_again_text = Er is niets veranderd. Ga terug naar { application } en begin daar opnieuw om weer verbinding te maken.

## Not now, and no longer used

postpone_question = { service_start } later opnieuw verbinden?
postpone_question_all = Uw accounts later opnieuw verbinden?
postpone_text =
    { $days ->
        [one] U krijgt één dag lang geen herinnering. U kunt altijd opnieuw verbinden.
       *[other] U krijgt { $days } dagen lang geen herinnering. U kunt altijd opnieuw verbinden.
    }
dismiss_question = Gebruikt u { service } niet meer?
dismiss_text = U krijgt geen herinneringen meer over { service }, en { application } krijgt er geen nieuwe gegevens meer van. U kunt later opnieuw verbinden.
choose_other = Toch nu opnieuw verbinden
postponed_title = Voorlopig geen herinnering
postponed_text = U krijgt vóór { $date } geen herinnering. Totdat u opnieuw verbindt, krijgt { application } geen nieuwe gegevens.

## How a reauthorization ended

connected_title = { service_start } is verbonden
connected_text = { application_start } kan uw gegevens blijven gebruiken. U hoeft verder niets te doen.
not_connected_title = { service_start } is niet verbonden
not_renewed_title = De verbinding met { service } is niet vernieuwd
works_until = Uw verbinding werkt tot { $date }.
still_works = Uw verbinding werkt nog.
almost_done_title = Bijna klaar
almost_done_text = Open de link die u hebt ontvangen nog een keer, of ga terug naar { application }.
digime_again = U bent weer verbonden met digi.me.
one_step_left = Er is nog één stap.
rest_left = Verbind nu de andere opnieuw.
cancelled = U hebt geannuleerd. Er is niets veranderd.
cancelled_at = U hebt geannuleerd bij { service }.
invalid_code = De pagina stond te lang open of is twee keer geopend. Er is niets veranderd. Probeer het opnieuw en wacht tussendoor niet te lang.
onboard_error = { service_start } heeft de aanmelding niet geaccepteerd. Controleer of u bij { service } zelf kunt inloggen en probeer het dan opnieuw.
not_authorized = De verbinding is nog niet voltooid. Probeer het opnieuw en bevestig elke stap bij { service }.
account_not_found = digi.me kent dit account niet meer.
wrong_account = U hebt een ander account bij { service } gebruikt.
use_account = Gebruik het account dat wordt getoond als { $username }.
wrong_user = U bent bij digi.me ingelogd als iemand anders. Er is niets veranderd. Log in als de persoon die eerder de verbinding heeft gemaakt.
server_error = Er is bij ons iets misgegaan. U hebt niets verkeerd gedaan. Probeer het over een paar minuten opnieuw.
try_again_at = Ga terug naar { application } om het opnieuw te proberen.
connect_again_at = Ga terug naar { application } en maak daar opnieuw verbinding met dit account.
reference = Referentie voor de helpdesk: { $code }

## Errors

error_title = Er is bij ons iets misgegaan
error_text = U hebt niets verkeerd gedaan.
error_back = Ga terug naar { application } en maak daar opnieuw verbinding.
try_again_in = Probeer het over { $time } opnieuw.
too_many_title = Te veel pogingen
too_many_text = Er is niets veranderd. Probeer het over { $time } opnieuw.
