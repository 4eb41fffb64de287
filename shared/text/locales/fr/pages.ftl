### The texts of the pages. Readers are customers of a bank or patients of a hospital, on a phone.
### A name never follows "de" or "que", which would be shortened before a vowel.

## The frame of every page

support_link = Contacter { application }
back_button = Retourner à { application }
back_text = Vous pouvez fermer cette page et retourner à { application }.
try_again_button = Réessayer

## One account

reconnect_title = Reconnecter { service }
reconnect_text = Votre connexion à { service } a pris fin. Reconnectez-vous : { application } pourra ainsi continuer à utiliser vos données.
renew_title = Renouveler la connexion à { service }
renew_text = Votre connexion à { service } prend fin le { $date }. Renouvelez-la maintenant : { application } pourra ainsi continuer à utiliser vos données.
renew_safe = Elle fonctionne jusqu’à cette date. Si vous annulez, rien ne change.
checking_title = Vérification en cours : { service }
checking_text = Nous vérifions votre connexion. Vous n’avez rien à faire.
dismissed_title = Vous n’utilisez plus { service }
dismissed_text = Vous nous avez indiqué ne plus utiliser { service }. Vous ne recevrez plus de rappel à ce sujet. Vous pouvez toujours vous reconnecter.
label_account = Compte
label_ended = Fin de la connexion
label_works_until = Fonctionne jusqu’au
not_yours = Ce compte n’est pas le vôtre ? Fermez cette page ; rien ne change.

## What happens next

next_title = La suite
next_digime = Vous allez sur digi.me, le service utilisé par { application } pour se connecter.
next_service = Vous vous identifiez { service_at }. Nous ne voyons jamais votre mot de passe.
next_digime_sign_in = Vous vous identifiez sur digi.me. Nous ne voyons jamais votre mot de passe.
next_back = Vous revenez ici, et nous vérifions que la connexion fonctionne.

## Buttons

reconnect_button = Reconnecter { service }
reconnect_again_button = Reconnecter à nouveau
renew_button = Renouveler la connexion à { service }
digime_button = Se reconnecter à digi.me
postpone_button = Pas maintenant
dismiss_button = Je ne l’utilise plus

## The connection to digi.me

digime_title = Reconnectez-vous à digi.me
digime_text = Votre connexion à digi.me, le service utilisé par { application } pour se connecter, a pris fin. Renouvelez-la : { application } pourra ainsi continuer à utiliser vos données.
digime_ends_text = Votre connexion à digi.me, le service utilisé par { application } pour se connecter, prend fin le { $date }. Renouvelez-la : { application } pourra ainsi continuer à utiliser vos données.

## Several accounts

list_title = Reconnectez vos comptes
list_title_renew = Renouvelez vos connexions
list_title_checking = Vérification de vos comptes
list_title_accounts = Vos comptes
list_text = Rétablissez les connexions qui ont pris fin : { application } pourra ainsi continuer à utiliser vos données.
list_text_renew = Ces connexions prennent bientôt fin. Renouvelez chacune d’elles : { application } pourra ainsi continuer à utiliser vos données.
list_next = Chaque bouton vous mène à digi.me, le service utilisé par { application } pour se connecter. Vous vous y identifiez auprès du service concerné, puis vous revenez ici. Nous ne voyons jamais votre mot de passe.
list_not_yours = Ces comptes ne sont pas les vôtres ? Fermez cette page ; rien ne change.
account_after_digime = Vous vous identifiez d’abord sur digi.me, puis { service_at }.
account_dead_end = Cette page ne permet pas de le reconnecter. Retournez à { application } et connectez-le de nouveau depuis là.
digime_ended = Votre connexion à digi.me a pris fin.
digime_dead_end = Cette page ne permet pas de la renouveler. Retournez à { application } et connectez-vous de nouveau depuis là.
done_title = Terminé
done_service = La connexion à { service } fonctionne.
done_digime = Vous êtes connecté à digi.me.

## Nothing can be renewed from the page, or nothing is left

dead_end_title = Reconnectez-vous depuis { application }
dead_end_text = Votre connexion à digi.me, le service utilisé par { application } pour se connecter, a pris fin. Cette page ne permet pas de la renouveler.
dead_end_account = Sans elle, il est impossible de reconnecter { service }.
dead_end_next = Retournez à { application } et connectez-vous de nouveau depuis là. Rien n’a été modifié.
all_set_title = Tout est en ordre
nothing_to_do = Vous n’avez rien à faire.

## Links that do not work

expired_title = Ce lien a expiré
unknown_title = Ce lien ne fonctionne pas
unknown_text = Rien n’a été modifié. Vérifiez que vous avez ouvert le lien en entier, ou retournez à { application } et reconnectez-vous depuis là.
refused_title = Cette page ne peut plus être utilisée
start_again_text = Rien n’a été modifié. Pour vous reconnecter, retournez à { application } et recommencez depuis là.

## Not now, and no longer used

postpone_question = Reconnecter { service } plus tard ?
postpone_question_all = Reconnecter vos comptes plus tard ?
postpone_text =
    { $days ->
        [one] Vous ne recevrez pas de rappel pendant { $days } jour. Vous pouvez vous reconnecter à tout moment.
       *[other] Vous ne recevrez pas de rappel pendant { $days } jours. Vous pouvez vous reconnecter à tout moment.
    }
dismiss_question = Vous n’utilisez plus { service } ?
dismiss_text = Vous ne recevrez plus de rappel concernant { service }, et { application } n’en recevra plus de nouvelles données. Vous pourrez vous reconnecter plus tard.
choose_other = Reconnecter maintenant
postponed_title = Pas de rappel pour l’instant
postponed_text = Vous ne recevrez pas de rappel avant le { $date }. Sans reconnexion, { application } ne reçoit pas de nouvelles données.

## How a reauthorization ended

connected_title = La connexion à { service } fonctionne
connected_text = { application_start } peut continuer à utiliser vos données. Vous n’avez rien d’autre à faire.
not_connected_title = Connexion non rétablie : { service }
not_renewed_title = Connexion non renouvelée : { service }
works_until = Votre connexion fonctionne jusqu’au { $date }.
still_works = Votre connexion fonctionne toujours.
almost_done_title = C’est presque terminé
almost_done_text = Ouvrez de nouveau le lien reçu, ou retournez à { application }.
digime_again = Vous êtes de nouveau connecté à digi.me.
one_step_left = Il reste une étape.
rest_left = Reconnectez maintenant les autres comptes.
cancelled = Vous avez annulé. Rien n’a été modifié.
cancelled_at = Vous avez annulé la connexion à { service }.
invalid_code = La page est restée ouverte trop longtemps ou a été ouverte deux fois. Rien n’a été modifié. Réessayez sans interruption.
onboard_error = { service_start } n’a pas accepté l’identification. Vérifiez que vous pouvez vous y identifier directement, puis réessayez.
not_authorized = La connexion n’est pas encore terminée. Réessayez et confirmez chaque étape demandée par { service }.
account_not_found = digi.me ne connaît plus ce compte.
wrong_account = Vous avez utilisé un autre compte { service_at }.
use_account = Utilisez celui qui s’affiche comme { $username }.
wrong_user = Vous vous êtes identifié sur digi.me avec le compte d’une autre personne. Rien n’a été modifié. Identifiez-vous avec le compte de la personne qui avait établi la connexion.
server_error = Une erreur s’est produite de notre côté. Vous n’avez rien fait de mal. Réessayez dans quelques minutes.
try_again_at = Pour réessayer, retournez à { application }.
connect_again_at = Retournez à { application } et connectez de nouveau le compte depuis là.
reference = Référence pour l’assistance : { $code }

## Errors

error_title = Une erreur s’est produite de notre côté
error_text = Vous n’avez rien fait de mal.
error_back = Retournez à { application } et reconnectez-vous depuis là.
try_again_in = Réessayez dans { $time }.
too_many_title = Trop de tentatives
too_many_text = Rien n’a été modifié. Réessayez dans { $time }.
