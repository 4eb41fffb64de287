### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Ciao,
       *[other] Ciao { $name },
    }

## Subjects

mail_subject_ended = Il tuo collegamento con { service } è terminato
mail_subject_ended_more =
    { $count ->
        [one] I tuoi collegamenti con { service } e un altro servizio sono terminati
       *[other] I tuoi collegamenti con { service } e altri { $count } servizi sono terminati
    }
mail_subject_ends = Il tuo collegamento con { service } sta per terminare
mail_subject_ends_more =
    { $count ->
        [one] I tuoi collegamenti con { service } e un altro servizio stanno per terminare
       *[other] I tuoi collegamenti con { service } e altri { $count } servizi stanno per terminare
    }
mail_subject_connected = Il collegamento con { service } è di nuovo attivo
mail_subject_connected_more =
    { $count ->
        [one] I collegamenti con { service } e un altro servizio sono di nuovo attivi
       *[other] I collegamenti con { service } e altri { $count } servizi sono di nuovo attivi
    }

## What to do

mail_ended = Il tuo collegamento con { service } è terminato il { $date }.
mail_ended_digime = Il tuo collegamento con digi.me, il servizio che { application } usa per collegarsi, è terminato il { $date }.
mail_ends = Il tuo collegamento con { service } termina il { $date }.
mail_reconnect =
    { $count ->
        [one] Ricollegalo, così { application } può continuare a usare i tuoi dati.
       *[other] Ricollegali, così { application } può continuare a usare i tuoi dati.
    }
mail_renew =
    { $count ->
        [one] Rinnovalo prima, così { application } può continuare a usare i tuoi dati. Se annulli, non cambia nulla.
       *[other] Rinnovali prima, così { application } può continuare a usare i tuoi dati. Se annulli, non cambia nulla.
    }
mail_connect_again = Il tuo collegamento con digi.me, il servizio che { application } usa per collegarsi, è terminato. Apri { application } e collegati di nuovo da lì.
mail_page_button = Ricollega
mail_page = Puoi farlo in questa pagina:
mail_open_application = Per farlo, apri { application } e scegli «Ricollega».
mail_no_link = Questa e-mail non contiene link, di proposito.
mail_no_password = Accedi tramite digi.me, il servizio che { application } usa per collegarsi. Non chiediamo mai la tua password per e-mail.

## The end

mail_why = Ricevi questa e-mail perché { application } usa dati che condividi tramite digi.me. Queste e-mail riguardano solo i tuoi collegamenti.
mail_stop = Non ricevere più queste e-mail
mail_stop_without_link = Per non ricevere più queste e-mail, scegli «Annulla iscrizione» nel tuo programma di posta o avvisa { application }.

## The page that stops the mails

unsubscribe_title = Non ricevere più queste e-mail?
unsubscribe_text = Se le interrompi, non ricevi più e-mail sui tuoi collegamenti. Se uno di essi termina, { application } non ne riceve nuovi dati finché non lo ricolleghi.
unsubscribe_button = Interrompi le e-mail
unsubscribed_title = Non ricevi più queste e-mail
unsubscribed_text = Non è cambiato altro. Per riceverle di nuovo, avvisa { application }.
