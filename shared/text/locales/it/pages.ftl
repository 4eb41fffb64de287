### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.
### With "tu", as the public services of Italy write.

## The frame of every page

support_link = Chiedi aiuto { application_to }
back_button = Torna { application_to }
back_text = Puoi chiudere questa pagina e tornare { application_to }.
try_again_button = Riprova

## One account

reconnect_title = Ricollega { service }
reconnect_text = Il tuo collegamento con { service } è terminato. Ricollegalo, così { application } può continuare a usare i tuoi dati.
renew_title = Rinnova il collegamento con { service }
renew_text = Il tuo collegamento con { service } termina il { $date }. Rinnovalo ora, così { application } può continuare a usare i tuoi dati.
renew_safe = Fino ad allora funziona. Se annulli, non cambia nulla.
checking_title = Verifica in corso: { service }
checking_text = Stiamo verificando il tuo collegamento. Non devi fare nulla.
dismissed_title = Non usi più { service }
dismissed_text = Ci hai detto che non usi più { service }. Non riceverai altri promemoria. Puoi sempre ricollegarlo.
label_account = Account
label_ended = Terminato il
label_works_until = Funziona fino al
not_yours = Non è il tuo? Chiudi questa pagina; non cambia nulla.

## What happens next

next_title = Che cosa succede ora
next_digime = Vai su digi.me, il servizio che { application } usa per collegarsi.
next_service = Accedi con { service }. Noi non vediamo mai la tua password.
next_digime_sign_in = Accedi a digi.me. Noi non vediamo mai la tua password.
next_back = Torni qui e noi verifichiamo che il collegamento funzioni.

## Buttons

reconnect_button = Ricollega { service }
reconnect_again_button = Ricollega di nuovo
renew_button = Rinnova il collegamento con { service }
digime_button = Ricollegati a digi.me
postpone_button = Non ora
dismiss_button = Non lo uso più

## The connection to digi.me

digime_title = Ricollegati a digi.me
digime_text = Il tuo collegamento con digi.me, il servizio che { application } usa per collegarsi, è terminato. Rinnovalo, così { application } può continuare a usare i tuoi dati.
digime_ends_text = Il tuo collegamento con digi.me, il servizio che { application } usa per collegarsi, termina il { $date }. Rinnovalo, così { application } può continuare a usare i tuoi dati.

## Several accounts

list_title = Ricollega i tuoi account
list_title_renew = Rinnova i tuoi collegamenti
list_title_checking = Verifica dei tuoi account in corso
list_title_accounts = I tuoi account
list_text = Ripristina i collegamenti terminati, così { application } può continuare a usare i tuoi dati.
list_text_renew = Questi collegamenti stanno per terminare. Rinnovali uno per uno, così { application } può continuare a usare i tuoi dati.
list_next = Ogni pulsante ti porta su digi.me, il servizio che { application } usa per collegarsi. Lì accedi al servizio scelto e poi torni qui. Noi non vediamo mai la tua password.
list_not_yours = Non sono i tuoi account? Chiudi questa pagina; non cambia nulla.
account_after_digime = Prima accedi a digi.me, poi con { service }.
account_dead_end = Da questa pagina non si può ricollegare. Torna { application_to } e collega di nuovo l’account da lì.
digime_ended = Il tuo collegamento con digi.me è terminato.
digime_dead_end = Da questa pagina non si può rinnovare. Torna { application_to } e collegati di nuovo da lì.
done_title = Fatto
done_service = Il collegamento con { service } è attivo.
done_digime = Il collegamento con digi.me è attivo.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Collegati di nuovo { application_from }
dead_end_text = Il tuo collegamento con digi.me, il servizio che { application } usa per collegarsi, è terminato. Da questa pagina non si può rinnovare.
dead_end_account = Senza quel collegamento non si può ricollegare { service }.
dead_end_next = Torna { application_to } e collegati di nuovo da lì. Non è cambiato nulla.
all_set_title = Tutto a posto
nothing_to_do = Non devi fare nulla.

## Links that do not work

expired_title = Questo link è scaduto
unknown_title = Questo link non funziona
unknown_text = Non è cambiato nulla. Controlla di aver aperto il link completo, oppure torna { application_to } e ricollegati da lì.
refused_title = Questa pagina non può più essere usata
start_again_text = Non è cambiato nulla. Per ricollegarti, torna { application_to } e ricomincia da lì.

## Not now, and no longer used

postpone_question = Vuoi ricollegare { service } più tardi?
postpone_question_all = Vuoi ricollegare i tuoi account più tardi?
postpone_text =
    { $days ->
        [one] Per un giorno non riceverai promemoria. Puoi ricollegarti in qualsiasi momento.
       *[other] Per { $days } giorni non riceverai promemoria. Puoi ricollegarti in qualsiasi momento.
    }
dismiss_question = Non usi più { service }?
dismiss_text = Non riceverai altri promemoria su { service }, e { application } non ne riceverà nuovi dati. Puoi ricollegarlo più tardi.
choose_other = Ricollega ora
postponed_title = Nessun promemoria per ora
postponed_text = Non riceverai promemoria prima di questa data: { $date }. Finché non ti ricolleghi, { application } non riceve nuovi dati.

## How a reauthorization ended

connected_title = Il collegamento con { service } è attivo
connected_text = { application_start } può continuare a usare i tuoi dati. Non devi fare altro.
not_connected_title = Il collegamento con { service } non è ristabilito
not_renewed_title = Il collegamento con { service } non è stato rinnovato
works_until = Il tuo collegamento funziona fino a questa data: { $date }.
still_works = Il tuo collegamento funziona ancora.
almost_done_title = Hai quasi finito
almost_done_text = Apri ancora una volta il link che hai ricevuto, oppure torna { application_to }.
digime_again = Il collegamento con digi.me è ristabilito.
one_step_left = Manca un passo.
rest_left = Ora ricollega gli altri account.
cancelled = Hai annullato. Non è cambiato nulla.
cancelled_at = Hai annullato l’accesso con { service }.
invalid_code = La pagina è rimasta aperta troppo a lungo o è stata aperta due volte. Non è cambiato nulla. Riprova senza pause.
onboard_error = { service_start } non ha accettato l’accesso. Verifica di poter accedere direttamente, poi riprova.
not_authorized = Il collegamento non è ancora completo. Riprova e conferma ogni passo richiesto da { service }.
account_not_found = digi.me non ha più questo account.
wrong_account = Hai usato un altro account con { service }.
use_account = Usa quello indicato come { $username }.
wrong_user = Hai effettuato l’accesso a digi.me come un’altra persona. Non è cambiato nulla. Accedi come la persona che aveva creato il collegamento.
server_error = Si è verificato un problema da parte nostra. Non hai sbagliato nulla. Riprova tra qualche minuto.
try_again_at = Per riprovare, torna { application_to }.
connect_again_at = Torna { application_to } e collega di nuovo l’account da lì.
reference = Riferimento per l’assistenza: { $code }

## Errors

error_title = Si è verificato un problema da parte nostra
error_text = Non hai sbagliato nulla.
error_back = Torna { application_to } e ricollegati da lì.
try_again_in = Riprova tra { $time }.
too_many_title = Troppi tentativi
too_many_text = Non è cambiato nulla. Riprova tra { $time }.
