### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Hallo,
       *[other] Hallo { $name },
    }

## Subjects

mail_subject_ended = Uw verbinding met { service } is beëindigd
mail_subject_ended_more =
    { $count ->
        [one] Uw verbindingen met { service } en { $count } andere dienst zijn beëindigd
       *[other] Uw verbindingen met { service } en { $count } andere diensten zijn beëindigd
    }
mail_subject_ends = Uw verbinding met { service } eindigt binnenkort
mail_subject_ends_more =
    { $count ->
        [one] Uw verbindingen met { service } en { $count } andere dienst eindigen binnenkort
       *[other] Uw verbindingen met { service } en { $count } andere diensten eindigen binnenkort
    }
mail_subject_connected = { service_start } is weer verbonden
mail_subject_connected_more =
    { $count ->
        [one] { service_start } en { $count } andere dienst zijn weer verbonden
       *[other] { service_start } en { $count } andere diensten zijn weer verbonden
    }

## What to do

mail_ended = Uw verbinding met { service } is op { $date } beëindigd.
mail_ended_digime = Uw verbinding met digi.me, de dienst waarmee { application } verbinding maakt, is op { $date } beëindigd.
mail_ends = Uw verbinding met { service } eindigt op { $date }.
mail_reconnect =
    { $count ->
        [one] Verbind opnieuw, zodat { application } uw gegevens kan blijven gebruiken.
       *[other] Verbind ze opnieuw, zodat { application } uw gegevens kan blijven gebruiken.
    }
mail_renew =
    { $count ->
        [one] Vernieuw de verbinding vóór die dag, zodat { application } uw gegevens kan blijven gebruiken. Als u annuleert, verandert er niets.
       *[other] Vernieuw de verbindingen vóór die dag, zodat { application } uw gegevens kan blijven gebruiken. Als u annuleert, verandert er niets.
    }
mail_connect_again = Uw verbinding met digi.me, de dienst waarmee { application } verbinding maakt, is beëindigd. Open { application } en maak daar opnieuw verbinding.
mail_page_button = Opnieuw verbinden
mail_page = Dat kan op deze pagina:
mail_open_application = Open daarvoor { application } en kies Opnieuw verbinden.
mail_no_link = In deze e-mail staat met opzet geen link.
mail_no_password = U logt in via digi.me, de dienst waarmee { application } verbinding maakt. Wij vragen nooit per e-mail om uw wachtwoord.

## The end

mail_why = U krijgt deze e-mail omdat { application } gegevens gebruikt die u via digi.me deelt. Deze e-mails gaan alleen over uw verbindingen.
mail_stop = Deze e-mails stoppen
mail_stop_without_link = Wilt u deze e-mails niet meer? Kies Afmelden in uw e-mailprogramma, of laat het { application } weten.

## The page that stops the mails

unsubscribe_title = Deze e-mails stoppen?
unsubscribe_text = Als u ze stopt, krijgt u geen e-mails meer over uw verbindingen. Als er een eindigt, krijgt { application } er geen nieuwe gegevens van tot u opnieuw verbindt.
unsubscribe_button = E-mails stoppen
unsubscribed_title = U krijgt deze e-mails niet meer
unsubscribed_text = Verder is er niets veranderd. Wilt u ze weer krijgen, laat het { application } dan weten.
