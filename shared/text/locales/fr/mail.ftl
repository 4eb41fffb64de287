### The texts of the mails, and of the page that stops them. Their readers did not ask for the mail: it says who writes, and why.

mail_greeting =
    { $name ->
        [0] Bonjour,
       *[other] Bonjour { $name },
    }

## Subjects

mail_subject_ended = Votre connexion à { service } a pris fin
mail_subject_ended_more =
    { $count ->
        [one] Vos connexions à { service } et à { $count } autre service ont pris fin
       *[other] Vos connexions à { service } et à { $count } autres services ont pris fin
    }
mail_subject_ends = Votre connexion à { service } prend bientôt fin
mail_subject_ends_more =
    { $count ->
        [one] Vos connexions à { service } et à { $count } autre service prennent bientôt fin
       *[other] Vos connexions à { service } et à { $count } autres services prennent bientôt fin
    }
mail_subject_connected = Connexion rétablie : { service }
mail_subject_connected_more =
    { $count ->
        [one] Connexions rétablies : { service } et { $count } autre service
       *[other] Connexions rétablies : { service } et { $count } autres services
    }

## What to do

mail_ended = Votre connexion à { service } a pris fin le { $date }.
mail_ended_digime = Votre connexion à digi.me, le service utilisé par { application } pour se connecter, a pris fin le { $date }.
mail_ends = Votre connexion à { service } prend fin le { $date }.
mail_reconnect =
    { $count ->
        [one] Reconnectez-vous : { application } pourra ainsi continuer à utiliser vos données.
       *[other] Rétablissez-les : { application } pourra ainsi continuer à utiliser vos données.
    }
mail_renew =
    { $count ->
        [one] Renouvelez-la avant cette date : { application } pourra ainsi continuer à utiliser vos données. Si vous annulez, rien ne change.
       *[other] Renouvelez-les avant cette date : { application } pourra ainsi continuer à utiliser vos données. Si vous annulez, rien ne change.
    }
mail_connect_again = Votre connexion à digi.me, le service utilisé par { application } pour se connecter, a pris fin. Ouvrez { application } et connectez-vous de nouveau depuis là.
mail_page_button = Se reconnecter
mail_page = Vous pouvez le faire sur cette page :
mail_open_application = Pour cela, ouvrez { application } et choisissez « Se reconnecter ».
mail_no_link = Cet e-mail ne contient volontairement aucun lien.
mail_no_password = Vous vous identifiez par digi.me, le service utilisé par { application } pour se connecter. Nous ne demandons jamais votre mot de passe par e-mail.

## The end

mail_why = Vous recevez cet e-mail parce que { application } utilise des données que vous partagez par digi.me. Ces e-mails ne concernent que vos connexions.
mail_stop = Ne plus recevoir ces e-mails
mail_stop_without_link = Pour ne plus recevoir ces e-mails, choisissez « Se désabonner » dans votre messagerie ou contactez { application }.

## The page that stops the mails

unsubscribe_title = Ne plus recevoir ces e-mails ?
unsubscribe_text = Si vous les arrêtez, vous ne recevrez plus d’e-mails sur vos connexions. Si l’une d’elles prend fin, { application } n’en recevra plus de nouvelles données tant que vous ne l’aurez pas rétablie.
unsubscribe_button = Arrêter les e-mails
unsubscribed_title = Vous ne recevrez plus ces e-mails
unsubscribed_text = Rien d’autre n’a changé. Pour les recevoir de nouveau, contactez { application }.
